"""The query options of one request, read and checked before anything is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from malha.kernel.text import msg
from malha.share.datahub import signing
from malha.share.datahub.contracts import NotAcceptable, Table
from malha.share.datahub.odata import apply
from malha.share.datahub.odata.apply import Transformed
from malha.share.questions import odata as filters
from malha.share.questions.compiling import turned
from malha.share.questions.contracts import BadFilter, Field, FieldType, NotSupported
from malha.share.questions.expressions import Node

PAGE = 2_000
LARGEST_PAGE = 20_000
MOST = 2**53
_KNOWN = frozenset({"filter", "select", "orderby", "top", "skip", "count", "apply", "skiptoken", "format", "expand"})
_LATER = frozenset({"search", "compute", "levels", "index", "schemaversion", "deltatoken"})
_METADATA = ("none", "minimal", "full")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request for a collection asks for. `after` and `left` come from the token of the page before."""

    where: Node | None = None
    fields: tuple[Field, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    transformed: Transformed | None = None
    top: int | None = None
    skip: int = 0
    count: bool = False
    size: int = PAGE
    after: tuple[object, ...] = ()
    stamp: str = ""


def options(query: Mapping[str, str]) -> dict[str, str]:
    """The system query options by name without `$`. Raises NotSupported for those not kept, BadFilter for those that nobody knows."""
    found: dict[str, str] = {}
    for name, text in query.items():
        bare = name.removeprefix("$").lower()
        if bare in _LATER:
            raise NotSupported(msg("`${name}` ainda não se usa aqui; peça a outra tabela e junte pelo campo `entity`."), name=bare)
        if bare in _KNOWN:
            found[bare] = text
        elif name.startswith("$"):
            raise BadFilter(msg("`{name}` não é uma opção do OData."), name=name[:40])
    return found


def read(table: Table, query: Mapping[str, str], prefer: str, tenant_id: int) -> tuple[Asked, Table]:
    """What was asked, and the table that the answer is (another one after `$apply`). Raises BadFilter, NotSupported."""
    given = options(query)
    transformed = apply.parse(given["apply"]) if given.get("apply") else None
    shown = apply.result(table, transformed) if transformed is not None and transformed.grouped else table
    asked = Asked(
        where=filters.parse(given["filter"]) if given.get("filter", "").strip() else None,
        fields=_selected(shown, given.get("select", "")),
        order=tuple(filters.parse_order(given["orderby"])) if given.get("orderby", "").strip() else (),
        transformed=transformed,
        top=_number(given["top"], "$top") if "top" in given else None,
        skip=_number(given["skip"], "$skip") if "skip" in given else 0,
        count=_flag(given.get("count", "false")),
        size=page_size(prefer),
        stamp=_stamp(table, given, tenant_id),
    )
    return (_resumed(asked, shown, given["skiptoken"]) if "skiptoken" in given else asked), shown


def _selected(table: Table, text: str) -> tuple[Field, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or names == ["*"]:
        return table.fields
    found = {}
    for name in names:
        field = table.find(name)
        if field is None:
            raise BadFilter(msg("“{table}” não tem o campo “{name}”."), table=table.name, name=name[:80])
        found[name] = field
    return tuple(found.values())


def _number(text: str, name: str) -> int:
    if not text.strip().isascii() or not text.strip().isdigit() or int(text) > MOST:
        raise BadFilter(msg("`{name}` é um número inteiro, 0 ou mais: “{text}”."), name=name, text=text[:40])
    return int(text)


def _flag(text: str) -> bool:
    if text.strip().lower() not in {"true", "false"}:
        raise BadFilter(msg("`$count` é `true` ou `false`."))
    return text.strip().lower() == "true"


def page_size(prefer: str) -> int:
    """Rows a page: what `Prefer: odata.maxpagesize` asks for, within our own limit (OData 4.01 §8.2.8.7)."""
    for part in prefer.replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() in {"odata.maxpagesize", "maxpagesize"} and value.strip().strip('"').isdigit():
            return max(1, min(LARGEST_PAGE, int(value.strip().strip('"'))))
    return PAGE


def _stamp(table: Table, given: Mapping[str, str], tenant_id: int) -> str:
    """What a token belongs to: a token of another question is refused."""
    parts = [str(tenant_id), table.name, *(f"{name}={given.get(name, '')}" for name in ("filter", "orderby", "apply"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def next_link(address: str, query: Mapping[str, str], asked: Asked, last: list[object], *, left: int | None, skip: int = 0) -> str:
    """The absolute address of the page that follows, with its signed token."""
    token = signing.seal("page", {"s": asked.stamp, "a": last, "n": left, "k": skip, "z": asked.size})
    kept = [(name, text) for name, text in query.items() if name.removeprefix("$").lower() in {"filter", "select", "orderby", "apply", "format", "expand"}]
    pairs = [*kept, ("$skiptoken", token)]
    return f"{address}?" + "&".join(f"{quote(name, safe='$')}={quote(text, safe='')}" for name, text in pairs)


def _resumed(asked: Asked, table: Table, text: str) -> Asked:
    said = signing.unseal("page", text)
    if said.get("s") != asked.stamp:
        raise BadFilter(msg("O `$skiptoken` não foi dado por esta Malha, ou o pedido mudou entretanto. Comece pela primeira página."))
    kinds = [field.type if (field := table.find(name)) else FieldType.TEXT for name, _ in asked.order]
    kinds += [field.type if (field := table.find(name)) else FieldType.TEXT for name in table.key if name not in {n for n, _ in asked.order}]
    last: list[Any] = list(said["a"])
    restored = tuple(
        turned(value, kind) if isinstance(value, str) else value for value, kind in zip(last, [*kinds, *[FieldType.TEXT] * len(last)], strict=False)
    )
    return Asked(
        asked.where, asked.fields, asked.order, asked.transformed, said["n"], int(said["k"]), False, int(said["z"]), restored, asked.stamp
    )  # fmt: skip


def metadata_level(accept: str, formatted: str) -> str:
    """none, minimal or full. Raises NotAcceptable where the reader takes no JSON."""
    wanted = formatted or accept
    if formatted and formatted.lower() != "json" and "json" not in formatted.lower():
        raise NotAcceptable(msg("Aqui responde-se em JSON (`$format=json`)."))
    if not formatted and accept and not any(kind in accept.lower() for kind in ("json", "*/*", "application/*")):
        raise NotAcceptable(msg("Aqui responde-se em JSON (`Accept: application/json`)."))
    for level in _METADATA:
        if f"odata.metadata={level}" in wanted.lower() or f";metadata={level}" in wanted.lower():
            return level
    return "none" if "odata=nometadata" in wanted.lower() and "minimalmetadata" not in wanted.lower() else "minimal"


def check_version(headers: Mapping[str, str]) -> None:
    """Raise NotAcceptable for a reader that knows only what came before 4.0 (OData 4.01 §8.2.7)."""
    most = headers.get("odata-maxversion", "4.0").strip()
    if not most.startswith("4"):
        raise NotAcceptable(msg("Aqui fala-se OData 4.0; o programa pede “{version}” no máximo."), version=most[:20])
