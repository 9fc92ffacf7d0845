"""Which registrations a question about sources means (§5.10.2, §5.12)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import shapely
from shapely.geometry.base import BaseGeometry

from malha.context.broker import attributes, questions
from malha.context.broker.contracts import BadRequestData
from malha.context.federation.contracts import Registration
from malha.context.federation.registrations import matching
from malha.context.store import shapes
from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.context.store.q import Node, parse, renamed
from malha.context.store.shapes import GeoFilter
from malha.context.subscriptions import conditions, selection
from malha.context.subscriptions.reading import TIMES
from malha.kernel.text import msg
from malha.kernel.time import parse_instant
from malha.vocabulary.contexts.service import Context

PARAMETERS = frozenset({
    "id", "type", "idPattern", "attrs", "q", "csf", "georel", "geometry", "coordinates", "geoproperty", "timerel", "timeAt", "endTimeAt", "timeproperty", "scopeQ",
})  # fmt: skip
#: members of a registration that may be asked for as they are called
_OWN = frozenset({"endpoint", "registrationName", "description", "mode", "tenant", "id", "contextSourceAlias", "hostAlias", "refreshRate"})
_SPACES = frozenset({"location", "observationSpace", "operationSpace"})
LATEST = datetime.max.replace(tzinfo=UTC)
FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """A temporal question (§4.11): which of the two intervals of a source it means, and the instants."""

    interval: str
    start: datetime
    end: datetime

    def meets(self, said: Mapping[str, str]) -> bool:
        """Whether the interval of a source has something of the period."""
        ends = parse_instant(said["endAt"]) if said.get("endAt") else LATEST
        return parse_instant(said["startAt"]) < self.end and ends >= self.start


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about sources."""

    entities: EntityQuery
    attributes: tuple[str, ...] = ()
    conditions: tuple[Node, ...] = ()
    place: GeoFilter | None = None
    period: Period | None = None
    scopes: str = ""

    def means(self, one: Registration) -> bool:
        """Whether the registration is an answer."""
        said = one.document
        if matching.compiled(one).of_question(self.entities, self.attributes) is None:
            return False
        if not _at(said, self.period):
            return False
        if self.scopes and not selection.scopes(self.scopes)(said.get("scope", ())):
            return False
        if self.place is not None:
            space = said.get(self.place.relation.attribute)
            if not isinstance(space, dict) or not self.place.holds(shapely.from_geojson(msgspec.json.encode(space))):
                return False
        return not self.conditions or holds(self.conditions, one)


def _at(said: Mapping[str, Any], period: Period | None) -> bool:
    """Without a period, sources of latest information; with one, those whose interval meets it (§5.10.2.4)."""
    if period is None:
        return "observationInterval" not in said and "managementInterval" not in said
    interval = said.get(period.interval)
    return isinstance(interval, dict) and period.meets(interval)


def may_have(one: Registration, period: Period | None) -> bool:
    """Whether a source may have something of a period: one whose interval does not meet it has nothing (table 5.2.9-1)."""
    interval = one.document.get(period.interval) if period is not None else None
    return period is None or not isinstance(interval, dict) or period.meets(interval)


def meets(one: Registration, asked: EntityQuery) -> bool:
    """Whether a source may have an answer by where its entities are (table 5.2.9-1, §4.3.6.1) and by its datasets (§5.12)."""
    if not of_datasets(one, asked.datasets):
        return False
    if asked.bbox is not None and (where := _space(one, "location")) is not None and not shapely.intersects(where, shapely.box(*asked.bbox)):
        return False
    return all(_may_stand(where, place) for place in shapes.filters(asked) if (where := _space(one, place.relation.attribute)) is not None)


def of_datasets(one: Registration, wanted: Collection[str]) -> bool:
    """Whether a source may have instances of these datasets ("" or @none the default one); where one side names none, it may (§5.12)."""
    own = one.document.get("datasetId")
    return not own or not wanted or not {name.replace("@none", "") for name in own}.isdisjoint(name.replace("@none", "") for name in wanted)


def _space(one: Registration, name: str) -> BaseGeometry | None:
    said = one.document.get(name) if name in _SPACES else None
    return shapely.from_geojson(msgspec.json.encode(said)) if isinstance(said, dict) else None


def _may_stand(where: BaseGeometry, place: GeoFilter) -> bool:
    """Whether something in the space of a source may stand in the relation."""
    relation = place.relation
    if relation.relation == "near":
        return relation.max_distance_m is None or shapes.distance_m(where, place.geometry) <= relation.max_distance_m
    return relation.relation == "disjoint" or bool(shapely.intersects(where, place.geometry))


def holds(asked: Sequence[Node], one: Registration) -> bool:
    """Whether a filter of sources (csf, §4.9) is true of the registration's own properties."""
    members = {name: one.document[name] for name in _OWN if name in one.document} | {"id": one.uri} | dict(one.document.get("properties", {}))
    properties: dict[str, object] = {
        name: value if isinstance(value, dict) and "type" in value else {"type": "Property", "value": value} for name, value in members.items()
    }
    thing = StoredEntity(0, one.tenant_id, one.uri, ("ContextSourceRegistration",), properties, None, one.created_at, one.modified_at)
    return all(conditions.holds(node, thing) for node in asked)


def csf(text: str, context: Context) -> Node:
    """A filter of sources under internal names. Raises UnusableQuery."""
    return renamed(parse(text), lambda name: name if name in _OWN else context.expand(name))


def read(params: Mapping[str, str], context: Context) -> Asked:
    """The question of query parameters. Raises BadRequestData for wrong or too wide ones."""
    params = {name: value for name, value in params.items() if value != ""}
    if not {"type", "attrs", "id", "q", "csf", "georel"} & params.keys():
        raise BadRequestData(msg("A pergunta é demasiado larga: dê type, attrs, id, q ou georel."))
    place = params.get("geoproperty", "location")
    filters = questions.filters(
        {name: value for name, value in params.items() if name in {"id", "type", "idPattern", "georel", "geometry", "coordinates"}}, context
    )
    if "scopeQ" in params:
        selection.scopes(params["scopeQ"])
    geo = replace(filters.geo, attribute=place if place in _SPACES else "location") if filters.geo else None
    return Asked(
        entities=filters,
        attributes=_attributes(params.get("attrs", ""), context),
        conditions=tuple(csf(params[name], context) for name in ("q", "csf") if name in params),
        place=GeoFilter(geo) if geo else None,
        period=period(params),
        scopes=params.get("scopeQ", ""),
    )


def _attributes(text: str, context: Context) -> tuple[str, ...]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not all(attributes.usable_name(name) for name in names):
        raise BadRequestData(msg("O nome “{name}” não serve para um atributo."), name=text[:80])
    return tuple(context.expand(name) for name in names)


def period(params: Mapping[str, str]) -> Period | None:
    """The temporal question of `timerel`, `timeAt`, `endTimeAt` and `timeproperty`; None without one. Raises BadRequestData."""
    relation = params.get("timerel", "")
    if not relation:
        if "timeAt" in params or "endTimeAt" in params:
            raise BadRequestData(msg("Falta timerel: antes, depois ou entre que instantes."))
        return None
    if relation not in {"before", "after", "between"} or "timeAt" not in params or (relation == "between" and "endTimeAt" not in params):
        raise BadRequestData(msg("timerel é before, after ou between, e pede timeAt (e endTimeAt)."))
    at = parse_instant(attributes.instant("timeAt", params["timeAt"]))
    member = params.get("timeproperty", "observedAt")
    if member not in TIMES:
        raise BadRequestData(msg("timeproperty é observedAt, createdAt, modifiedAt ou deletedAt."))
    interval = "observationInterval" if member == "observedAt" else "managementInterval"
    if relation == "between":
        return Period(interval, at, parse_instant(attributes.instant("endTimeAt", params["endTimeAt"])))
    return Period(interval, at, LATEST) if relation == "after" else Period(interval, FIRST, at)
