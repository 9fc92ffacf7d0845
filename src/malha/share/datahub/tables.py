"""Which tables a reader gets, from the tenant's data models: declared once, the fields of every feed follow."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from malha.context.store import service as store
from malha.context.store.contracts import MEMBER
from malha.foundation.access.contracts import Capability
from malha.foundation.language import service as language
from malha.kernel import units
from malha.kernel.text import msg
from malha.share.datahub import corrections, reaching
from malha.share.datahub.contracts import Reader, Table, TableKind, TableMissing
from malha.share.questions.contracts import Field, FieldType
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import AttributeKind, DataModel, ModelProperty, ValueType

_TYPES = {
    ValueType.NUMBER: FieldType.NUMBER,
    ValueType.INTEGER: FieldType.INTEGER,
    ValueType.BOOLEAN: FieldType.BOOLEAN,
    ValueType.INSTANT: FieldType.INSTANT,
    ValueType.DATE: FieldType.DATE,
}
_TAKEN = ("id", "longitude", "latitude", "location", "createdAt", "modifiedAt")
SUFFIX = {TableKind.HOURLY: "_hourly", TableKind.DAILY: "_daily", TableKind.SERIES: "_series"}
_F, _T = Field, FieldType

_SUMS = (
    _F("count", _T.INTEGER, label=msg("Quantos valores"), required=True),
    _F("sum", _T.NUMBER, label=msg("Soma")),
    _F("average", _T.NUMBER, label=msg("Média")),
    _F("minimum", _T.NUMBER, label=msg("Mínimo")),
    _F("maximum", _T.NUMBER, label=msg("Máximo")),
    _F("first", _T.NUMBER, label=msg("Primeiro valor")),
    _F("last", _T.NUMBER, label=msg("Último valor")),
)
_WHOSE = (
    _F("entity", _T.TEXT, label=msg("Entidade"), description=msg("Identificador: o campo id do estado atual"), required=True),
    _F("attribute", _T.TEXT, label=msg("Propriedade"), required=True),
)
_WHICH = (_F("instance", _T.TEXT, label=msg("Instância"), description=msg("datasetId; vazio na instância comum"), required=True),)
_UNIT = (_F("unit", _T.TEXT, label=msg("Unidade (código UN/CEFACT)"), required=True),)


def known(conn: psycopg.Connection[Any], reader: Reader) -> list[Table]:
    """Every table that the reader gets, in order of name. In the tenant's scope."""
    found: list[Table] = []
    for name in store.type_names(conn, reader.tenant_id):
        found += of_type(conn, reader, name)
    return sorted(found, key=lambda table: table.name)


def find(conn: psycopg.Connection[Any], reader: Reader, name: str) -> Table:
    """The table called `name`. Raises TableMissing, also where it is there and not for this reader."""
    for entity_type in store.type_names(conn, reader.tenant_id):
        base = identifier(entity_type)
        if name.startswith(base) and name[len(base) :] in {"", *SUFFIX.values()}:
            found = next((one for one in of_type(conn, reader, entity_type) if one.name == name), None)
            if found is not None:
                return found
    raise TableMissing(msg("Não há nenhuma tabela “{name}” ao seu alcance."), name=name[:120])


def of_type(conn: psycopg.Connection[Any], reader: Reader, entity_type: str) -> list[Table]:
    """The tables of one type: its current state, then its history by hour, by day and value by value; none beyond the reader's reach."""
    within = reaching.of_type(reader.principal.reach, entity_type)
    if within is None or (reader.principal.types is not None and entity_type not in reader.principal.types):
        return []
    model = models.find(entity_type, reader.tenant_id)
    hidden = frozenset() if reader.with_personal and reader.principal.may(Capability.PERSONAL_READ) else personal(model)
    base = identifier(entity_type)
    label = (model.label.in_language(reader.language) if model else "") or entity_type
    about = model.description.in_language(reader.language) if model else ""
    every = [*(model.properties if model else ()), *_beyond(conn, reader.tenant_id, entity_type, model)]
    if within.area:  # where things lie beyond the area, or lay once, is told by no other column
        hidden |= {p.name for p in every if p.kind is AttributeKind.GEO_PROPERTY or p.type is ValueType.GEOMETRY} - {"location"}
    fields = _current_fields([p for p in every if p.name not in hidden and within.shows(p.name)], reader.language, places=within.shows("location"))
    now = Table(base, TableKind.CURRENT, entity_type, fields, ("id",), label, about, hidden, within)
    past = hidden | {"location"} if within.area else hidden
    names = reader.with_personal and reader.principal.may(Capability.PERSONAL_READ)
    return [now, *(replace(_past(base, kind, entity_type, label, past, reader.language, names=names), within=within) for kind in SUFFIX)]


def personal(model: DataModel | None) -> frozenset[str]:
    """The attributes of a model that are about people."""
    return frozenset(p.name for p in model.properties if p.personal) if model else frozenset()


def _past(base: str, kind: TableKind, entity_type: str, label: str, hidden: frozenset[str], tongue: str, *, names: bool) -> Table:
    """A table of history; with `names`, it also says who corrected a value."""
    words = {
        TableKind.HOURLY: (msg("por hora"), msg("Somas por hora (UTC) de cada série de números.")),
        TableKind.DAILY: (msg("por dia"), msg("Somas por dia, na hora do município, de cada série de números.")),
        TableKind.SERIES: (
            msg("valor a valor"),
            msg("Cada valor observado, com o instante em UTC; os que foram corrigidos dizem o que eram, quando e porquê."),
        ),
    }[kind]
    if kind is TableKind.SERIES:
        when = (_F("observedAt", _T.INSTANT, label=msg("Instante"), required=True),)
        fields: tuple[Field, ...] = (
            *_WHOSE,
            *_WHICH,
            *when,
            _F("value", _T.NUMBER, label=msg("Valor")),
            _F("text", _T.TEXT, label=msg("Valor em texto")),
            _F("unit", _T.TEXT, label=msg("Unidade")),
            *corrections.FIELDS,
            *((corrections.WHO,) if names else ()),
        )
        key: tuple[str, ...] = ("attribute", "entity", "instance", "observedAt")
    else:
        when = (_F("start", _T.INSTANT, label=msg("Início"), required=True),)
        fields = (*_WHOSE, *_WHICH, *when, *_UNIT, *_SUMS)
        key = ("attribute", "entity", "instance", "start", "unit")
    which, about = (language.translate(text, tongue) for text in words)
    return Table(base + SUFFIX[kind], kind, entity_type, _worded(fields, tongue), key, f"{label}, {which}", about, hidden)


def _worded(fields: Sequence[Field], tongue: str) -> tuple[Field, ...]:
    """Columns of ours, called and described in the reader's language."""
    return tuple(replace(one, label=language.translate(one.label, tongue), description=language.translate(one.description, tongue)) for one in fields)


def _beyond(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, model: DataModel | None) -> tuple[ModelProperty, ...]:
    """What the data has beyond its model, with the type that all of its values share; what changed is looked at once in three quarters of a minute."""
    declared = [p.name for p in model.properties] if model else []
    key = (conn.info.dbname, tenant_id, entity_type, tuple(declared))
    now, known = time.monotonic(), _seen.get(key)
    if known is None or now >= known.whole_until:
        known = _Seen(0.0, now + WHOLE_SECONDS, None, {})
    if now >= known.until:
        given = {"tenant": tenant_id, "type": store.type_number(conn, entity_type), "declared": declared, "since": known.since, "limit": BEYOND}
        with conn.cursor(row_factory=tuple_row) as cursor:
            (at,) = cursor.execute(_LOOKED).fetchone() or (None,)
            rows = cursor.execute(_BEYOND.format(lately="" if known.since is None else _LATELY), given).fetchall()
        each = {name: (set(kinds), set(shapes)) for name, (kinds, shapes) in known.each.items()}
        for name, kinds, shapes in rows:
            before = each.setdefault(name, (set(), set()))
            before[0].update(kinds)
            before[1].update(shapes)
        if len(_seen) > 10_000:
            _seen.clear()
        known = _seen[key] = _Seen(now + SEEN_SECONDS, known.whole_until, at, each)
    return tuple(
        ModelProperty(name, _kind(sorted(kinds)), _GUESS.get(next(iter(shapes)), ValueType.TEXT) if len(shapes) == 1 else ValueType.TEXT)
        for name, (kinds, shapes) in sorted(known.each.items())[:BEYOND]
    )


def _kind(kinds: Sequence[str]) -> AttributeKind:
    """The kind that an attribute has; one that is sometimes a place counts as one."""
    named = AttributeKind.GEO_PROPERTY.value if AttributeKind.GEO_PROPERTY.value in kinds else kinds[0]
    return AttributeKind(named) if named in set(AttributeKind) else AttributeKind.PROPERTY


def forget() -> None:
    """Forget what was seen beyond the models: for tests."""
    _seen.clear()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one type's things were found to have (kinds and shapes by name), up to when that serves, and since when things changed that were not looked at."""

    until: float
    whole_until: float
    since: datetime | None
    each: dict[str, tuple[set[str], set[str]]]


_seen: dict[tuple[str, int, str, tuple[str, ...]], _Seen] = {}
SEEN_SECONDS = 45.0
#: all things of a type are looked at that seldom: columns that nothing has any more stay that long
WHOLE_SECONDS = 6 * 3600.0
BEYOND = 200
_GUESS = {"number": ValueType.NUMBER, "boolean": ValueType.BOOLEAN}
_LOOKED = "SELECT now() - interval '15 minutes'"  # a change may be seen later than it says that it was made
_LATELY = " AND e.modified_at >= %(since)s"
_BEYOND = """
SELECT k, array_agg(DISTINCT coalesce(v->>'type', 'Property')), array_agg(DISTINCT coalesce(jsonb_typeof(v->'value'), 'none'))
FROM entities e, jsonb_each(e.doc) AS a (k, v)
WHERE e.tenant_id = %(tenant)s AND (e.type_id = %(type)s OR (cardinality(e.types) > 1 AND %(type)s = ANY (e.types))) AND NOT k = ANY (%(declared)s::text[]){lately}
GROUP BY k ORDER BY k LIMIT %(limit)s"""


_PLACE = (
    _F("longitude", _T.NUMBER, label=msg("Longitude"), unit="°", description=msg("EPSG:4326, só de pontos")),
    _F("latitude", _T.NUMBER, label=msg("Latitude"), unit="°", description=msg("EPSG:4326, só de pontos")),
    _F("location", _T.GEOMETRY, label=msg("Lugar"), description=msg("WKT em EPSG:4326")),
)


def _current_fields(every: Sequence[ModelProperty], tongue: str, *, places: bool) -> tuple[Field, ...]:
    properties = [p for p in every if p.name not in _TAKEN]
    fields, names = [*_worded([_F("id", _T.TEXT, label=msg("Identificador"), required=True)], tongue)], {name.lower() for name in _TAKEN}
    for one in properties:
        name = identifier(one.name)
        while name.lower() in names:
            name += "_"
        names.add(name.lower())
        fields.append(_field(one, name, tongue))
    when = (_F("createdAt", _T.INSTANT, label=msg("Criado"), required=True), _F("modifiedAt", _T.INSTANT, label=msg("Alterado"), required=True))
    return (*fields, *_worded((*(_PLACE if places else ()), *when), tongue))


def _field(one: ModelProperty, name: str, tongue: str) -> Field:
    geometry = one.kind is AttributeKind.GEO_PROPERTY or one.type is ValueType.GEOMETRY
    several = one.kind is not AttributeKind.PROPERTY or one.also
    kind = _T.TEXT if geometry or several else _TYPES.get(one.type, _T.TEXT)
    unit = units.find(one.unit) if one.unit else None
    return Field(
        name, kind, one.name, MEMBER.get(one.kind, "value"), one.label.in_language(tongue) or one.name,
        unit.symbol if unit else one.unit, one.description.in_language(tongue),
    )  # fmt: skip


def identifier(name: str) -> str:
    """`name` as OData, SQL and Delta Sharing take it: letters, digits and `_`, at most 128."""
    plain = re.sub(r"\W", "_", name.rpartition("/")[2] if "://" in name else name, flags=re.ASCII)[:128]
    return plain if plain and not plain[0].isdigit() else f"_{plain}"
