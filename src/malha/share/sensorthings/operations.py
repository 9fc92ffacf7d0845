"""What a request asks of SensorThings, whether it came alone or in a batch: read, create, change, delete (OGC 18-088 §9, §10, §13)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.responses import PlainTextResponse, Response

from malha.context.broker import rendering as broker
from malha.kernel.text import msg
from malha.share.sensorthings import asking, changing, creating, fetching, rendering
from malha.share.sensorthings.asking import Path, Step
from malha.share.sensorthings.contracts import SETS, BadRequest, EntitySet, NoSuchThing, NotOffered, Options, Page
from malha.share.sensorthings.relations import View, view

#: the address that takes observations of several datastreams at once
MANY = "CreateObservations"


def perform(seen: View, method: str, path: str, params: Iterable[tuple[str, str]], said: Any) -> Response:
    """Do what one request of a batch asks. `path` is relative to the service. Raises what a request alone raises."""
    if method == "GET":
        steps = asking.path(path)
        return read(seen, steps, asking.options(steps.last.kind, params))
    if method == "POST":
        return create_observations(seen, said) if path == MANY else create(seen, creatable(path), said)
    if method in {"PATCH", "DELETE"}:
        steps = one_thing(path, delete=method == "DELETE")
        return remove(seen, steps) if method == "DELETE" else change(seen, steps, said)
    raise NotOffered(msg("Num lote só se pede GET, POST, PATCH ou DELETE."))


def creatable(path: str) -> Path:
    """The collection that a POST names. Raises BadRequest, NotOffered."""
    found = asking.path(path)
    if not found.is_collection or found.ref:
        raise BadRequest(msg("Cria-se numa coleção: POST a Things, Observations ou outra."))
    if found.last.kind.name == "HistoricalLocations":
        raise NotOffered(msg("As posições de antes fazem-se sozinhas: mude a localização da coisa."))
    return found


def one_thing(path: str, *, delete: bool) -> Path:
    """The one thing that a PATCH or DELETE names. Raises BadRequest."""
    found = asking.path(path)
    if found.is_collection or found.fields or found.ref:
        raise BadRequest(msg("Apaga-se uma coisa de cada vez, pelo seu endereço.") if delete else msg("Muda-se uma coisa de cada vez, pelo seu endereço."))
    return found


def create(seen: View, path: Path, said: Any) -> Response:
    """One thing, with what hangs on it (§10.2)."""
    parent = (path.steps[-2].kind, find(seen, path.steps[:-1])) if path.last.link is not None else None
    kind = path.last.kind
    if kind.name == "Observations":
        row: dict[str, Any] | None = creating.observation(seen, said, parent)
    else:
        key = creating.create(seen, kind, said, parent)
        row = _by_id(view(seen.conn, seen.who, seen.base), kind, key)  # a type may be new
    assert row is not None
    return broker.plain(rendering.entities(seen, kind, [row], Options())[0], status=201, headers={"Location": rendering.address(seen, kind, row["id"])})


def create_observations(seen: View, said: Any) -> Response:
    """Observations of several datastreams as lists (§13.3); one address or "error" for each, in order."""
    keys = creating.create_observations(seen, said)
    return broker.plain([rendering.address(seen, SETS["Observations"], key) if key else "error" for key in keys], status=201)


def change(seen: View, path: Path, said: Any) -> Response:
    """One thing, those members that are named (§10.3); what it is afterwards."""
    changing.change(seen, path.last.kind, find(seen, path.steps), said)
    row = find(view(seen.conn, seen.who, seen.base), path.steps)
    return broker.plain(rendering.entities(seen, path.last.kind, [row], Options())[0])


def remove(seen: View, path: Path) -> Response:
    """One thing goes (§10.4)."""
    creating.delete(seen, path.last.kind, find(seen, path.steps))
    return Response(status_code=200)


def read(seen: View, path: Path, options: Options) -> Response:
    """A collection, one thing, a field, a value, or references (§9.2)."""
    kind = path.last.kind
    if path.is_collection:
        page, where = _page(seen, path, options)
        form = rendering.references if path.ref else rendering.collection
        return broker.plain(form(seen, kind, page, options, where))
    row = find(seen, path.steps)
    if path.fields:
        return _field(rendering.entities(seen, kind, [row], Options())[0], path)
    if path.ref:
        return broker.plain({"@iot.selfLink": rendering.address(seen, kind, row["id"])})
    return broker.plain(rendering.entities(seen, kind, [row], options)[0])


def _page(seen: View, path: Path, options: Options) -> tuple[Page, str]:
    last = path.last
    if last.link is None:
        return fetching.page(seen, last.kind, options), f"{seen.base}/{last.kind.name}"
    before = find(seen, path.steps[:-1])
    parent = path.steps[-2].kind
    where = f"{rendering.address(seen, parent, before['id'])}/{last.link.name}"
    if parent.name == "HistoricalLocations" and last.link.name == "Locations":
        return Page([rendering.past_location(before)], total=1 if options.count else None), where
    if before[last.link.here] is None:
        return Page(total=0 if options.count else None), where
    return fetching.page(seen, last.kind, options, only=(last.link.there, [before[last.link.here]])), where


def find(seen: View, steps: tuple[Step, ...]) -> dict[str, Any]:
    """The one row that steps lead to. Raises NoSuchThing."""
    row: dict[str, Any] | None = None
    for n, step in enumerate(steps):
        if step.link is None:
            row = _by_id(seen, step.kind, step.key)
        else:
            assert row is not None
            row = _along(seen, steps[n - 1].kind, row, step)
        if row is None:
            raise NoSuchThing(msg("Não há nada neste endereço."))
    assert row is not None
    return row


def _by_id(seen: View, kind: EntitySet, key: str) -> dict[str, Any] | None:
    if kind.name == "Locations" and ":" in key:
        past = fetching.one(seen, SETS["HistoricalLocations"], key)
        return rendering.past_location(past) if past else None
    return fetching.one(seen, kind, key)


def _along(seen: View, kind: EntitySet, row: dict[str, Any], step: Step) -> dict[str, Any] | None:
    link = step.link
    assert link is not None
    if kind.name == "HistoricalLocations" and link.name == "Locations":
        return rendering.past_location(row) if step.key == row["id"] else None
    if step.key:
        found = _by_id(seen, step.kind, step.key)
        return found if found is not None and found[link.there] == row[link.here] else None
    if row[link.here] is None:
        return None
    rows = fetching.page(seen, step.kind, Options(top=1), only=(link.there, [row[link.here]])).rows
    return rows[0] if rows else None


def _field(entity: dict[str, Any], path: Path) -> Response:
    value: Any = entity
    name = "@iot.id" if path.fields[0] == "id" else path.fields[0]
    for step in (name, *path.fields[1:]):
        if not isinstance(value, dict) or step not in value:
            if step == name:
                return Response(status_code=204)  # a field without a value (§9.2.4)
            raise NoSuchThing(msg("Não há nada neste endereço."))
        value = value[step]
    if not path.value:
        return broker.plain({path.fields[-1]: value})
    return PlainTextResponse(value) if isinstance(value, str) else broker.plain(value)
