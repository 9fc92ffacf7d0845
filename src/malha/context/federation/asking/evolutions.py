"""A question about how entities evolved: as it came, and as each place takes it (§5.7.3, §5.7.4, §6.18, §6.19, §6.24)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from malha.context.broker import entity_maps, projection, questions, reading
from malha.context.broker.contracts import Asked, BadRequestData
from malha.context.federation.asking import speaking
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.registrations.matching import Share
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.kernel.text import msg

#: members of a question that list names of attributes
_NAMES = ("attrs", "pick", "omit")
#: of the temporal part of a question (§5.2.21), in a body in objects of their own
_OBJECTS = ("temporalQ", "aggrParams")
_FORM = ("options", "format", "aggrMethods", "aggrPeriodDuration", "lastN", "lang")
_PAGE = ("count", "limit", "offset", "orderBy")
#: values of each attribute that are read of an entity of which only the id is wanted
_LEAST = 1

type Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """What is asked of the past: of the one entity `uri`, or of those of a question, by parameters of an address and perhaps a Query (§5.2.23)."""

    uri: str
    params: Mapping[str, str]
    said: Body | None = None
    source: Any = None

    @property
    def operation(self) -> str:
        """The operation that a source has to take for it (§4.20)."""
        return "retrieveTemporal" if self.uri else "queryTemporal"

    @property
    def temporal(self) -> dict[str, Any]:
        """Its temporal part and its form, wherever they are said."""
        found: dict[str, Any] = dict(self.params)
        for member in _OBJECTS:
            found |= self._object(member)
        return found

    @property
    def by(self) -> str:
        """The temporal property that it asks by (§4.8)."""
        return str(self.temporal.get("timeproperty") or "observedAt")

    @property
    def datasets(self) -> list[str]:
        """The datasets that it asks for, none named: all."""
        return [name.strip() for name in _listed(self.temporal.get("datasetId") or (self.said or {}).get("datasetId") or ()) if name.strip()]

    @property
    def last(self) -> int | None:
        """How many instances of each attribute at most, the newest; None for all."""
        said = str(self.temporal.get("lastN") or "")
        return int(said) if said.isdigit() else None

    def _object(self, member: str) -> dict[str, Any]:
        found = (self.said or {}).get(member)
        return found if isinstance(found, dict) else {}

    def asked(self, who: Asked) -> EntityQuery:
        """Which entities are meant, and which of their attributes are wanted."""
        if self.said is not None:
            wanted = _expanded(_listed(self.said.get("attrs") or self.said.get("pick", ())), who)
            return EntityQuery(any_of=questions.selectors_of(self.said.get("entities", []), who.context), attrs=wanted)
        selected = self.params.get("type", "")
        types = store.rename_in_types(selected, who.context.expand) if selected and selected != "*" else ""
        uris = (self.uri,) if self.uri else tuple(each for each in self.params.get("id", "").split(",") if each)
        wanted = _expanded((self.params.get("attrs") or self.params.get("pick", "")).split(","), who)
        return EntityQuery(type_selection=types, uris=uris, id_pattern=self.params.get("idPattern", ""), attrs=wanted)

    def with_methods(self, methods: Sequence[str]) -> Past:
        """The same, of sums by these methods."""
        if self.said is None:
            return replace(self, params={**self.params, "aggrMethods": ",".join(methods)})
        changed = {member: {**self._object(member), "aggrMethods": list(methods)} for member in _OBJECTS if "aggrMethods" in self._object(member)}
        return replace(self, said={**self.said, **changed})

    def of_values(self, names: Iterable[str], start: str, end: str) -> Past:
        """The values of these attributes themselves (§4.5.9), from `start` to `end`; "" for as far as there are any."""
        relation = "between" if start and end else "after" if start else "before" if end else ""
        period = {"timerel": relation, "timeAt": start or end} | ({"endTimeAt": end} if start and end else {}) if relation else {}
        bare = {name: value for name, value in self.params.items() if name not in {*_FORM, *_NAMES, "timerel", "timeAt", "endTimeAt"}} | {
            "options": "temporalValues"
        }
        if self.said is None:
            return replace(self, params={**bare, **period, "attrs": ",".join(names)})
        by = {name: value for name, value in self.temporal.items() if name == "timeproperty"}
        kept = {name: value for name, value in self.said.items() if name not in {*_OBJECTS, *_NAMES, "lang"}}
        return replace(self, params=bare, said={**kept, "attrs": list(names), **({"temporalQ": {**period, **by}} if period or by else {})})

    def of_ids(self, first: int, most: int) -> Past:
        """As little as can be of the entities of one page, `most` of them from the `first` on."""
        bare = {name: value for name, value in self.params.items() if name not in {*_FORM, *_PAGE}}
        params = {**bare, "limit": str(most), **({"offset": str(first)} if first else {}), "options": "temporalValues"}
        if self.said is None:
            return replace(self, params={**params, "lastN": str(_LEAST)})
        period = {name: value for name, value in self.temporal.items() if name in {"timerel", "timeAt", "endTimeAt", "timeproperty"}}
        kept = {name: value for name, value in self.said.items() if name not in {*_OBJECTS, "lang"}}
        return replace(self, params=params, said={**kept, "temporalQ": {**period, "lastN": _LEAST}})

    def among(self, uris: Sequence[str]) -> Past:
        """The same, of these entities only, all on one page."""
        if self.uri:
            return self
        params = {name: value for name, value in self.params.items() if name not in _PAGE} | {"limit": str(len(uris))}
        if self.said is None:
            return replace(self, params={**params, "id": ",".join(uris)})
        selectors = self.said.get("entities") or [{"type": "*"}]
        cut = [{**each, "id": left} for each in selectors if (left := _left(each.get("id"), uris))]
        return replace(self, params=params, said={**self.said, "entities": cut})

    def here(self, request: Request) -> Request:
        """The request that asks this broker alone, and for no map."""
        headers = [pair for pair in request.scope["headers"] if pair[0].lower() != entity_maps.HEADER.lower().encode()]
        params = {name: value for name, value in self.params.items() if name not in entity_maps.WISHES}
        scope = {**request.scope, "headers": headers, "query_string": urlencode(params).encode()}
        if self.said is not None:
            scope["malha.body"] = msgspec.json.encode({name: value for name, value in self.said.items() if name not in entity_maps.WISHES})
        return Request(scope, request.receive)

    def there(self, session: Session, share: Share, speech: Speech) -> tuple[str, str, dict[str, str], dict[str, Any] | None]:
        """(method, path, parameters, body) as a source takes it, in its words and of its attributes."""
        params = {name: value for name, value in self.params.items() if name not in {"local", "count", *entity_maps.WISHES}}
        if self.said is None:
            path = speaking.entity_path(self.uri) if self.uri else "/entities"
            return "GET", f"/temporal{path}", _parameters(params, session, share, speech), None
        return "POST", "/temporal/entityOperations/query", params, _query(self.said, session, share, speech)


async def read(request: Request) -> Past:
    """The question of a request; what cannot be asked is refused by the broker's own handler. Raises BadRequestData for a body that is no Query."""
    uri = str(request.path_params.get("id", ""))
    if request.method == "GET":
        return Past(uri, dict(request.query_params))
    payload = reading.decode(await reading.body_of(request))
    if not isinstance(payload, dict) or payload.get("type") != "Query":
        raise BadRequestData(msg("Envie um objeto com type “Query”."))
    return Past(uri, dict(request.query_params), payload, reading.source_of(request, reading.media_type(request), payload))


def _left(named: Any, uris: Sequence[str]) -> list[str]:
    """Those of the entities that a selector means which names `named`."""
    listed = _listed(named or ())
    return [uri for uri in uris if not listed or uri in listed]


def _listed(value: Any) -> list[str]:
    """Names, or ids, that a member lists as JSON or with commas."""
    return value.split(",") if isinstance(value, str) else [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else []


def _expanded(names: Iterable[str], who: Asked) -> tuple[str, ...]:
    return tuple(who.context.expand(name.strip()) for name in names if name.strip() and name.strip() not in projection.OWN)


def _parameters(params: Mapping[str, str], session: Session, share: Share, speech: Speech) -> dict[str, str]:
    rename = _renaming(session, speech)
    out = {**params, **{name: ",".join(map(rename, params[name].split(","))) for name in _NAMES if params.get(name)}}
    if params.get("id"):
        out["id"] = ",".join(share.source.own(params["id"].split(",")))
    if params.get("type", "*") != "*":
        out["type"] = store.rename_in_types(params["type"], rename)
    if "q" in params:
        out["q"] = store.rename_in_question(params["q"], rename)
    return out if share.attributes is None else {**_less(out), "attrs": ",".join(_held(share, speech))}


def _query(said: Body, session: Session, share: Share, speech: Speech) -> dict[str, Any]:
    rename = _renaming(session, speech)
    out = {name: value for name, value in said.items() if name not in {"@context", *entity_maps.WISHES}} | {
        name: list(map(rename, _listed(said[name]))) for name in _NAMES if said.get(name)
    }
    if "entities" in said:
        out["entities"] = [each if each["type"] == "*" else {**each, "type": store.rename_in_types(each["type"], rename)} for each in said["entities"]]
    if "q" in said:
        out["q"] = store.rename_in_question(said["q"], rename)
    if "geoproperty" in said.get("geoQ", {}):
        out["geoQ"] = {**said["geoQ"], "geoproperty": rename(said["geoQ"]["geoproperty"])}
    return out if share.attributes is None else {**_less(out), "attrs": _held(share, speech)}


def _held(share: Share, speech: Speech) -> list[str]:
    return sorted(map(speech.name, share.attributes or ()))


def _less[T](asked: Mapping[str, T]) -> dict[str, T]:
    """Without pick and omit, which do not go with attrs; what a source sends beyond its part is left out anyway."""
    return {name: value for name, value in asked.items() if name not in {"pick", "omit"}}


def _renaming(session: Session, speech: Speech) -> Callable[[str], str]:
    def rename(name: str) -> str:
        return name if name in projection.OWN else speech.name(session.who.context.expand(name.strip()))

    return rename
