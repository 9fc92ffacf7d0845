"""Installations that joined, as rows; what each side may see of the other, worked out before anybody agrees. Django-free."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from malha.context.federation import sealing
from malha.context.federation.contracts import Missing, Unusable
from malha.context.federation.registrations import queries
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.agreements.contracts import Agreement
from malha.kernel.text import msg
from malha.vocabulary.models import service as models

_COLUMNS = "id, name, invited, url, client_id, machine_id, registration_uri, sealed, gives, takes, created_at, joined_at, ended_at, kind"
PERSONAL = msg("é sobre pessoas (RGPD): não sai daqui")
FOREIGN = msg("vem de outra fonte ({name}), que é quem o pode dar")
NOTHING = msg("não há aqui nenhuma entidade deste tipo")
PREFIX = "malha1."
#: licences that data may travel under, with what they are called
LICENCES = {
    "CC-BY-4.0": msg("Creative Commons Atribuição 4.0"), "CC0-1.0": msg("Creative Commons Zero 1.0"), "ODbL-1.0": msg("Open Database License 1.0"),
    "interno": msg("Só para uso das administrações públicas"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """What one side lets the other read: types, attributes (none named: all that are not about people), an area, a licence."""

    types: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    area: Mapping[str, Any] | None = None
    area_name: str = ""
    licence: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {"types": list(self.types), "attributes": list(self.attributes), "area": self.area, "area_name": self.area_name, "licence": self.licence}


def terms(said: Mapping[str, Any]) -> Terms:
    """Terms from their JSON."""
    return Terms(tuple(said.get("types", ())), tuple(said.get("attributes", ())), said.get("area"), said.get("area_name", ""), said.get("licence", ""))


class Kind(StrEnum):
    """Who the other side is: an installation of Malha, which knows of the link, or an NGSI-LD broker that is read and no more."""

    MALHA = "malha"
    BROKER = "ngsild"


@dataclass(frozen=True, slots=True)
class Link:
    """One other side; `invited` says that they came by our invitation. `secrets` are those by which we read there."""

    id: int
    name: str
    invited: bool
    url: str
    client_id: str
    machine_id: int | None
    registration_uri: str
    secrets: Mapping[str, str]
    gives: Terms
    takes: Terms
    created_at: datetime
    joined_at: datetime | None
    ended_at: datetime | None
    kind: Kind = Kind.MALHA


@dataclass(frozen=True, slots=True)
class Invitation:
    """What one text holds: who invites, where, and the key by which the invited one comes in."""

    name: str
    url: str
    slug: str
    client_id: str
    secret: str

    def text(self) -> str:
        """The one text that is passed on, by a safe way: it is a key."""
        body = msgspec.json.encode([self.name, self.url, self.slug, self.client_id, self.secret])
        return PREFIX + base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    @property
    def root(self) -> str:
        """The address of the tenant that invites."""
        return f"{self.url}/{self.slug}"

    def pairs(self) -> dict[str, str]:
        """The credentials as a registration keeps them."""
        return {"oauth:url": f"{self.root}/identity/o/api/token", "oauth:id": self.client_id, "oauth:secret": self.secret}


def invitation(text: str) -> Invitation:
    """The invitation that a text is. Raises Unusable."""
    body = "".join(text.split()).removeprefix(PREFIX)
    try:
        name, url, slug, client_id, secret = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=tuple[str, str, str, str, str])
    except (binascii.Error, ValueError, msgspec.DecodeError) as reason:
        raise Unusable(msg("Isto não é um convite inteiro. Copie-o outra vez, do primeiro ao último carácter.")) from reason
    if not url.startswith(("https://", "http://")):
        raise Unusable(msg("Isto não é um convite inteiro. Copie-o outra vez, do primeiro ao último carácter."))
    return Invitation(name, url.rstrip("/"), slug, client_id, secret)


@dataclass(frozen=True, slots=True)
class Offered:
    """A type that can be read: its attributes, and how many entities there are, None where that is not told."""

    type: str
    attributes: tuple[str, ...]
    count: int | None


@dataclass(slots=True)
class Offer:
    """What one side could give: types with their attributes and counts, and what it refuses, with the reason."""

    types: list[Offered] = field(default_factory=list)
    refused: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    def attributes(self) -> dict[str, list[str]]:
        """Each attribute with the types that have it."""
        found: dict[str, list[str]] = {}
        for each in self.types:
            for name in each.attributes:
                found.setdefault(name, []).append(each.type)
        return dict(sorted(found.items()))

    def terms(self, types: tuple[str, ...], licence: str) -> Terms:
        """Whole types out of it, under a licence."""
        return Terms(types, tuple(name for name, of in self.attributes().items() if set(of) & set(types)), licence=licence)


def offer(conn: psycopg.Connection[Any], tenant_id: int, wanted: Terms | None = None) -> Offer:
    """What the tenant could give, within `wanted` where it is given; in its transaction. What other sources hold is theirs to give."""
    made = Offer()
    uses = store.attribute_uses(conn, tenant_id)
    for name in store.type_names(conn, tenant_id):
        if wanted is not None and wanted.types and name not in wanted.types:
            continue
        model = models.find(name, tenant_id)
        personal = {prop.name for prop in model.properties if prop.personal} if model else set()
        attributes = sorted({use.name for use in uses if use.type == name})
        made.refused += [(f"{name}.{each}", PERSONAL, {}) for each in attributes if each in personal]
        within = dict(wanted.area) if wanted is not None and wanted.area else None
        page = store.query(conn, [tenant_id], EntityQuery(types=(name,), within=within, limit=1, count=True))
        kept = tuple(each for each in attributes if each not in personal and (wanted is None or not wanted.attributes or each in wanted.attributes))
        if page.total:
            made.types.append(Offered(name, kept, page.total))
        else:
            made.refused.append((name, NOTHING, {}))
    for one, _ in queries.find(conn, tenant_id):
        foreign = {name for piece in one.document["information"] for entity in piece.get("entities", ()) for name in entity["type"]}
        source = str(one.document.get("registrationName") or one.uri)
        made.refused += [(name, FOREIGN, {"name": source}) for name in sorted(foreign - {each.type for each in made.types})]
    return made


def every(conn: psycopg.Connection[Any], tenant_id: int) -> list[Link]:
    """Every link of the tenant, newest first."""
    return [_link(row) for row in _cursor(conn).execute(f"SELECT {_COLUMNS} FROM federation_link WHERE tenant_id = %s ORDER BY id DESC", [tenant_id])]


def find(conn: psycopg.Connection[Any], tenant_id: int, *, id_: int = 0, client_id: str = "") -> Link:
    """One link that has not ended, by its number or by the machine that comes here. Raises Missing."""
    row = (
        _cursor(conn)
        .execute(
            f"SELECT {_COLUMNS} FROM federation_link WHERE tenant_id = %s AND (id = %s OR (client_id = %s AND client_id <> '')) AND ended_at IS NULL",
            [tenant_id, id_, client_id],
        )
        .fetchone()
    )
    if row is None:
        raise Missing(msg("Esta ligação entre instalações não existe, ou já terminou."))
    return _link(row)


def _link(row: Sequence[Any]) -> Link:
    kept = sealing.unseal(row[7])
    return Link(row[0], row[1], row[2], row[3], row[4], row[5], row[6], kept, terms(row[8]), terms(row[9]), row[10], row[11], row[12], Kind(row[13]))


def _cursor(conn: psycopg.Connection[Any]) -> psycopg.Cursor[tuple[Any, ...]]:
    return psycopg.Cursor(conn, row_factory=tuple_row)


def insert(
    conn: psycopg.Connection[Any], tenant_id: int, *, name: str, invited: bool, url: str, client_id: str, machine_id: int | None, registration_uri: str,
    secrets: Mapping[str, str], gives: Terms, takes: Terms, joined: bool, kind: Kind = Kind.MALHA,
) -> int:  # fmt: skip
    """Keep a link; its number."""
    row = _cursor(conn).execute(
        "INSERT INTO federation_link (tenant_id, name, invited, url, client_id, machine_id, registration_uri, sealed, gives, takes, joined_at, kind) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, CASE WHEN %s THEN now() END, %s) RETURNING id",
        [
            tenant_id, name, invited, url, client_id, machine_id, registration_uri, sealing.seal(secrets), Jsonb(gives.plain()), Jsonb(takes.plain()), joined, kind,
        ],
    ).fetchone()  # fmt: skip
    assert row is not None
    return int(row[0])


def accepted(
    conn: psycopg.Connection[Any], tenant_id: int, id_: int, *, name: str, url: str, registration_uri: str, secrets: Mapping[str, str], takes: Terms
) -> None:  # fmt: skip
    """The invited side came in."""
    _cursor(conn).execute(
        "UPDATE federation_link SET name = %s, url = %s, registration_uri = %s, sealed = %s, takes = %s, joined_at = now() WHERE tenant_id = %s AND id = %s",
        [name, url, registration_uri, sealing.seal(secrets), Jsonb(takes.plain()), tenant_id, id_],
    )


def end(conn: psycopg.Connection[Any], tenant_id: int, id_: int, by: str) -> None:
    """A link ends; the credentials go with it."""
    _cursor(conn).execute(
        "UPDATE federation_link SET ended_at = now(), ended_by = %s, sealed = NULL WHERE tenant_id = %s AND id = %s AND ended_at IS NULL", [by, tenant_id, id_]
    )


def registration(name: str, endpoint: str, given: Terms, pairs: Mapping[str, str]) -> dict[str, Any]:
    """The other side as a source: what it has of its own, never what it has from others."""
    return {
        "type": "ContextSourceRegistration", "registrationName": name, "endpoint": endpoint, "information": [{"entities": [{"type": each} for each in given.types]}],
        "operations": ["federationOps", "retrieveTemporal", "queryTemporal"], "management": {"localOnly": True}, "licence": given.licence or "interno",
        "contextSourceInfo": [{"key": key, "value": value} for key, value in pairs.items()],
    }  # fmt: skip


def offered(payload: Any) -> Offer:
    """An offer as the other side tells it. Raises Unusable."""
    try:
        types = [Offered(str(each["type"]), tuple(map(str, each["attributes"])), int(each["count"])) for each in payload["types"]]
        refused: list[tuple[str, str, Mapping[str, str]]] = [(str(each["what"]), str(each["reason"]), {}) for each in payload.get("refused", ())]
    except (TypeError, KeyError, ValueError) as reason:
        raise Unusable(msg("A outra instalação respondeu com algo que não se percebe.")) from reason
    return Offer(types, refused)


def of_agreement(found: Agreement) -> dict[str, Any]:
    """A tenant of this installation that lets us read, as a source: nothing travels and nothing is copied."""
    return {
        "type": "ContextSourceRegistration", "registrationName": found.tenant_name, "endpoint": "http://localhost/",
        "information": [{"entities": [{"type": each} for each in found.types]}], "operations": ["retrieveOps", "queryBatch"],
    }  # fmt: skip
