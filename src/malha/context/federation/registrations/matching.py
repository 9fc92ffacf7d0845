"""Which sources a request concerns, and with which attributes (§5.12). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from malha.context.broker import entity_maps
from malha.context.federation.contracts import Mode, Registration
from malha.context.federation.registrations import reading
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.context.subscriptions import patterns
from malha.kernel.time import now

TIMEOUT_SECONDS = 5.0
LONGEST_SECONDS = 60.0
LONGEST_CACHE_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Things:
    """Some entities that a source has: of these types, and the one of `uri` or those that match `pattern`."""

    types: frozenset[str]
    uri: str = ""
    pattern: str = ""

    def hold(self, uri: str, types: Collection[str]) -> bool:
        """Whether the entity is one of these; without `types` they are not known."""
        if types and self.types.isdisjoint(types):
            return False
        return uri == self.uri if self.uri else not self.pattern or patterns.found(self.pattern, uri)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of what a source has: entities (none named: any) and attributes of them (none named: all)."""

    things: tuple[Things, ...]
    attributes: frozenset[str]

    def has(self, uri: str, types: Collection[str]) -> bool:
        """Whether the entity is among them."""
        return not self.things or any(each.hold(uri, types) for each in self.things)


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a request that concerns a source: `attributes` None for all of them; `uris` and `types` those that it has."""

    source: Source
    attributes: frozenset[str] | None
    uris: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A registration, ready to be asked."""

    registration: Registration
    mode: Mode
    operations: frozenset[str]
    pieces: tuple[Piece, ...]
    timeout_seconds: float
    cooldown_seconds: float | None
    local_only: bool
    endpoint: str
    alias: str
    pairs: Mapping[str, str]
    cache_seconds: float = 0.0

    @property
    def key(self) -> tuple[int, int]:
        """What names it in this installation."""
        return self.registration.tenant_id, self.registration.id

    def over(self) -> bool:
        """Whether its registration has ended."""
        return self.registration.expires_at is not None and self.registration.expires_at <= now()

    def takes(self, *operations: str) -> bool:
        """Whether it takes one of these operations."""
        return not self.operations.isdisjoint(operations)

    def has(self, uri: str, types: Collection[str]) -> bool:
        """Whether it has a part of an entity."""
        return any(piece.has(uri, types) for piece in self.pieces)

    def own(self, uris: Iterable[str]) -> list[str]:
        """Those of the ids that it may have (§4.3.6.1)."""
        return [uri for uri in uris if self.has(uri, ())]

    def of_entity(self, uri: str, types: Collection[str], wanted: Collection[str] = ()) -> Share | None:
        """Its part in a request about one entity; `wanted` are the attributes, none named: all."""
        held: set[str] = set()
        kinds: dict[str, None] = {}
        everything = found = False
        for piece in self.pieces:
            if not piece.has(uri, types):
                continue
            found = True
            everything |= not piece.attributes
            held |= piece.attributes
            kinds |= dict.fromkeys(name for each in piece.things for name in sorted(each.types) if each.hold(uri, types))
        if not found:
            return None
        if everything:
            return Share(self, None, (uri,), tuple(kinds))
        part = frozenset(held & set(wanted)) if wanted else frozenset(held)
        return Share(self, part, (uri,), tuple(kinds)) if part else None

    def of_question(self, question: EntityQuery, wanted: Collection[str] = ()) -> Share | None:
        """Its part in a question; `wanted` are the attributes that matter to it, none named: all."""
        held: set[str] = set()
        uris: dict[str, None] = {}
        kinds: dict[str, None] = {}
        everything = open_ = found = False
        for piece in self.pieces:
            things = [each for each in piece.things if _asked(each, question)]
            if (piece.things and not things) or (piece.attributes and wanted and piece.attributes.isdisjoint(wanted)):
                continue
            found = True
            everything |= not piece.attributes
            held |= piece.attributes
            open_ |= not things or any(not each.uri for each in things)
            uris |= dict.fromkeys(each.uri for each in things if each.uri)
            kinds |= dict.fromkeys(name for each in things for name in sorted(each.types))
        if not found:
            return None
        named = () if open_ else tuple(uris)
        if everything:
            return Share(self, None, named, tuple(kinds))
        return Share(self, frozenset(held & set(wanted)) if wanted else frozenset(held), named, tuple(kinds))


def _asked(things: Things, question: EntityQuery) -> bool:
    if question.any_of:
        return any(
            _types_meet(things, store.plain_types(one.type_selection) or tuple(store.types_in(one.type_selection) if one.type_selection else ()))
            and _ids_meet(things, one.uris, one.id_pattern)
            for one in question.any_of
        )
    names = question.types or (tuple(store.types_in(question.type_selection)) if question.type_selection else ())
    return _types_meet(things, names) and _ids_meet(things, question.uris, question.id_pattern)


def _types_meet(things: Things, names: Collection[str]) -> bool:
    return not names or not things.types.isdisjoint(names)


def _ids_meet(things: Things, uris: Collection[str], pattern: str) -> bool:
    if uris:
        return things.uri in uris if things.uri else not things.pattern or any(patterns.found(things.pattern, uri) for uri in uris)
    return not pattern or not things.uri or patterns.found(pattern, things.uri)


def compiled(registration: Registration) -> Source:
    """The source of a registration that was checked when it came in."""
    said = registration.document
    management = said.get("management") or {}
    return Source(
        registration=registration,
        mode=Mode(said.get("mode", Mode.INCLUSIVE)),
        operations=reading.operations_of(said),
        pieces=tuple(_piece(one) for one in said["information"]),
        timeout_seconds=min(LONGEST_SECONDS, float(management["timeout"]) / 1000) if management.get("timeout") else TIMEOUT_SECONDS,
        cooldown_seconds=float(management["cooldown"]) / 1000 if management.get("cooldown") else None,
        local_only=bool(management.get("localOnly") or said.get("localOnly")),
        endpoint=str(said["endpoint"]),
        alias=str(said.get("hostAlias") or said.get("contextSourceAlias") or ""),
        pairs={pair["key"]: pair["value"] for pair in said.get("contextSourceInfo", ()) if pair["key"] in reading.PROCESSED},
        cache_seconds=_cached(management.get("cacheDuration")),
    )


def _cached(duration: str | None) -> float:
    """For how long an answer need not be asked for again (§5.2.34)."""
    span = entity_maps.duration(duration) if duration else None
    return min(LONGEST_CACHE_SECONDS, span.total_seconds()) if span else 0.0


def _piece(one: Mapping[str, Any]) -> Piece:
    things = tuple(Things(frozenset(each["type"]), each.get("id", ""), each.get("idPattern", "")) for each in one.get("entities", ()))
    return Piece(things, reading.attributes_of(one))


def proxied_by(sources: Iterable[Source], mode: Mode) -> list[Source]:
    """Those of a mode that are still in force."""
    return [source for source in sources if source.mode is mode and not source.over()]
