"""Let others read, see who did, and end it at once. Django-free; every function runs in a tenant transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from malha.foundation.access.contracts import Grain, Reach
from malha.foundation.agreements.contracts import Agreement, NoAgreement, Reading, Terms, UnusableTerms
from malha.foundation.audit import service as audit
from malha.kernel.text import msg
from malha.kernel.time import now

_SELECT = """
SELECT a.id, a.tenant_id, t.name AS tenant_name, a.grantee_id, g.name AS grantee_name, a.types, a.attributes, a.area, a.grain,
       a.purpose, a.valid_from, a.valid_until, a.signed_by, a.ended_at, r.readings, r.last_read_at, a.area_name
FROM agreement a JOIN organisation t ON t.id = a.tenant_id JOIN organisation g ON g.id = a.grantee_id
LEFT JOIN LATERAL (SELECT count(*) AS readings, max(at) AS last_read_at FROM agreement_reading r WHERE r.tenant_id = a.tenant_id AND r.agreement_id = a.id) r ON true
"""
_IN_FORCE = "a.valid_from <= now() AND a.valid_until > now() AND a.ended_at IS NULL"
_NONE = msg("Nenhum acordo em vigor permite esta leitura. Peça-o ao município a quem os dados pertencem.")


def sign(conn: psycopg.Connection, tenant_id: int, grantee_id: int, terms: Terms, *, by: str) -> int:
    """Let an organisation read, from now; returns the agreement's id. In the giver's scope. Raises UnusableTerms."""
    if not terms.types:
        raise UnusableTerms(msg("Escolha pelo menos um tipo de dados."))
    if not terms.purpose.strip():
        raise UnusableTerms(msg("Diga para que servem os dados: sem finalidade não há acordo."))
    if terms.until <= now():
        raise UnusableTerms(msg("O fim do acordo tem de ser uma data futura."))
    if grantee_id == tenant_id:
        raise UnusableTerms(msg("Não é preciso acordo para ler os próprios dados."))
    row = conn.execute(
        "INSERT INTO agreement (tenant_id, grantee_id, types, attributes, area, grain, purpose, valid_until, signed_by, area_name) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            tenant_id, grantee_id, list(terms.types), list(terms.attributes), None if terms.area is None else Jsonb(terms.area),
            terms.grain, terms.purpose.strip(), terms.until, by, terms.area_name,
        ],
    ).fetchone()  # fmt: skip
    assert row is not None
    details: dict[str, object] = {"grantee": grantee_id, "types": list(terms.types), "grain": terms.grain, "until": terms.until.isoformat()}
    audit.record_on(conn, tenant_id, by, "agreements.sign", f"agreement:{row[0]}", details)
    return int(row[0])


def end(conn: psycopg.Connection, tenant_id: int, agreement_id: int, *, by: str) -> bool:
    """End an agreement at once: the next reading is refused. In the giver's scope. False when it had ended."""
    ended = conn.execute(
        "UPDATE agreement SET ended_at = clock_timestamp(), ended_by = %s WHERE tenant_id = %s AND id = %s AND ended_at IS NULL", [by, tenant_id, agreement_id]
    ).rowcount
    if ended:
        audit.record_on(conn, tenant_id, by, "agreements.end", f"agreement:{agreement_id}")
    return bool(ended)


def given(conn: psycopg.Connection, tenant_id: int) -> list[Agreement]:
    """What a tenant agreed, newest first, ended ones too. In its scope."""
    return _agreements(conn, f"{_SELECT} WHERE a.tenant_id = %s ORDER BY a.valid_from DESC, a.id DESC", [tenant_id])


def granted(conn: psycopg.Connection, grantee_id: int, *, tenant_id: int | None = None, type: str = "") -> list[Agreement]:  # noqa: A002 -- NGSI-LD's word
    """What an organisation may read now, of one tenant or of one type when named. In the reader's own scope, or the giver's."""
    where, values = f"{_IN_FORCE} AND a.grantee_id = %s", [grantee_id]
    if tenant_id is not None:
        where, values = f"{where} AND a.tenant_id = %s", [*values, tenant_id]
    found = _agreements(conn, f"{_SELECT} WHERE {where} ORDER BY t.name, a.id", values)
    return [one for one in found if not type or type in one.types]


def open_reading(conn: psycopg.Connection, agreement_id: int, *, grantee_id: int, tenant_id: int, reader: str, what: str) -> Agreement:
    """Begin to read under an agreement: note it where the giver sees it, and return the terms to keep to.

    In a transaction whose scope is the giver. Raises NoAgreement when it is not in force, or is for somebody else.
    """
    found = _agreements(conn, f"{_SELECT} WHERE {_IN_FORCE} AND a.tenant_id = %s AND a.id = %s AND a.grantee_id = %s", [tenant_id, agreement_id, grantee_id])
    if not found:
        raise NoAgreement(_NONE)
    conn.execute(
        "INSERT INTO agreement_reading (tenant_id, agreement_id, grantee_id, reader, what) VALUES (%s, %s, %s, %s, %s)",
        [tenant_id, agreement_id, grantee_id, reader, what],
    )
    return found[0]


def reach(conn: psycopg.Connection[Any], grantee_ids: Sequence[int], tenant_id: int) -> tuple[Reach, ...]:
    """What the agreements in force let any of these organisations read of the tenant. In their scope, or the giver's."""
    rows = conn.execute(
        f"SELECT a.id, a.types, a.attributes, a.area, a.grain FROM agreement a WHERE a.tenant_id = %s AND a.grantee_id = ANY (%s) AND {_IN_FORCE} ORDER BY a.id",
        [tenant_id, list(grantee_ids)],
    ).fetchall()
    return tuple(Reach(frozenset(types), frozenset(attributes) or None, area, Grain(grain), id_) for id_, types, attributes, area, grain in rows)


def note(conn: psycopg.Connection[Any], tenant_id: int, used: Mapping[int, str], *, reader: str) -> None:
    """Write down what was read under each of these agreements, before it is handed over. In the giver's scope.

    Raises NoAgreement when one of them has ended in the meantime.
    """
    for agreement_id, what in used.items():
        done = conn.execute(
            "INSERT INTO agreement_reading (tenant_id, agreement_id, grantee_id, reader, what) "
            f"SELECT a.tenant_id, a.id, a.grantee_id, %s, %s FROM agreement a WHERE a.tenant_id = %s AND a.id = %s AND {_IN_FORCE}",
            [reader, what, tenant_id, agreement_id],
        )
        if not done.rowcount:
            raise NoAgreement(_NONE)


def readings(conn: psycopg.Connection, tenant_id: int, agreement_id: int, limit: int = 100) -> list[Reading]:
    """Who read under an agreement, newest first. In the giver's scope, or the reader's."""
    with conn.cursor(row_factory=class_row(Reading)) as cursor:
        return cursor.execute(
            "SELECT agreement_id, at, reader, what FROM agreement_reading WHERE tenant_id = %s AND agreement_id = %s ORDER BY at DESC LIMIT %s",
            [tenant_id, agreement_id, limit],
        ).fetchall()


def _agreements(conn: psycopg.Connection, statement: str, values: list[int]) -> list[Agreement]:
    found = []
    for row in conn.execute(statement, values).fetchall():
        id_, tenant_id, tenant_name, grantee_id, grantee_name, types, attributes, area, grain, *rest = row
        found.append(Agreement(id_, tenant_id, tenant_name, grantee_id, grantee_name, tuple(types), tuple(attributes), area, Grain(grain), *rest))
    return found


def describe_area(area: dict[str, Any] | None) -> tuple[float, float, float, float] | None:
    """The box around the area of an agreement (west, south, east, north in degrees); None for everywhere."""
    if area is None:
        return None
    polygons = area["coordinates"] if area["type"] == "MultiPolygon" else [area["coordinates"]]
    points = [point for polygon in polygons for ring in polygon for point in ring]
    return min(p[0] for p in points), min(p[1] for p in points), max(p[0] for p in points), max(p[1] for p in points)
