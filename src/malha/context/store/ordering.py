"""The order of a page (GS CIM 009 §4.23) as SQL: by members of the entity, by attributes and what is inside them, by distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from malha.context.store.contracts import Ordering

_COLUMNS = {"id": 'e.uri COLLATE "C"', "createdAt": "e.created_at", "modifiedAt": "e.modified_at", "expiresAt": "e.expires_at", "scope": "e.scopes"}
_META = frozenset({"observedAt", "unitCode", "datasetId", "createdAt", "modifiedAt", "expiresAt", "objectType", "lang"})
#: great-circle metres from the middle of the entity's box to a point (mean radius of the Earth, IUGG); least passes over what is null
_DISTANCE = (
    "CASE WHEN e.bbox IS NOT NULL THEN 12742017.6 * asin(least(1, sqrt(power(sin(radians((center(e.bbox))[1] - %s) / 2), 2)"
    " + cos(radians(%s)) * cos(radians((center(e.bbox))[1])) * power(sin(radians((center(e.bbox))[0] - %s) / 2), 2)))) END"
)


@dataclass(slots=True)
class Clause:
    """What follows ORDER BY, with its parameters."""

    text: str = "e.id"
    params: list[object] = field(default_factory=list)


def clause(steps: Sequence[Ordering]) -> Clause:
    """The order of a page; the id ends it, so that pages never overlap. What lacks the member comes last."""
    if not steps:
        return Clause()
    made = Clause("", [])
    parts = []
    for step in steps:
        way = "DESC NULLS LAST" if step.descending else "ASC NULLS LAST"
        if step.point is not None:
            lon, lat = step.point
            made.params += [lat, lat, lon]
            parts.append(f"{_DISTANCE} {way}")
        elif len(step.path) == 1 and step.path[0] == "type":
            parts.append(f'(SELECT t.name FROM entity_type t WHERE t.id = e.type_id) COLLATE "C" {way}')
        elif len(step.path) == 1 and step.path[0] in _COLUMNS:
            parts.append(f"{_COLUMNS[step.path[0]]} {way}")
        else:
            value, params = _value(step)
            parts.append(f"CASE WHEN jsonb_typeof({value}) = 'number' THEN ({value})::text::numeric END {way}")
            text = f"({value} #>> '{{}}')"
            parts.append(f'{f"lower(unaccent({text}))" if step.folded else text} COLLATE "C" {way}')
            made.params += params * 3
    made.text = ", ".join([*parts, "e.id"])
    return made


def _value(step: Ordering) -> tuple[str, list[object]]:
    """The JSON that a step compares, and its parameters."""
    if len(step.path) == 2 and step.path[1] in {"createdAt", "modifiedAt"}:
        fallback = "to_jsonb(to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))"
        return f"coalesce(e.doc #> %s::text[], {fallback})", [list(step.path)]
    path = list(step.path)
    if len(path) > 1 and path[-1] in _META:
        return "e.doc #> %s::text[]", [path]
    ends = [[*path, member, *step.inside] for member in ("value", "object", "vocab", "json", "languageMap", "valueList")]
    return "coalesce(" + ", ".join("e.doc #> %s::text[]" for _ in ends) + ")", list(ends)
