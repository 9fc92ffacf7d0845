"""The door of the room: history of one record as a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from malha.context.federation.asking import sifting
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.foundation.administration import words
from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, Instance, SeriesQuery
from malha.history.temporal.rendering import value_of
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import Run, UnknownRun
from malha.insight.past import service as past
from malha.insight.past.contracts import Moment
from malha.insight.records import rules
from malha.kernel import formats
from malha.kernel.text import worded
from malha.vocabulary.models.contracts import Aggregation, ModelProperty

POINTS = 5000
#: of a type with more things than this, only those of the page are looked up as they were
MOST_THEN = 2000


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of things as they were. Where it is not `exact`, there are too many: the condition and the total are of now."""

    entities: list[StoredEntity]
    total: int
    moment: Moment
    exact: bool


def listed_then(conn: psycopg.Connection[Any], tenant: Tenant, question: EntityQuery, moment: Moment) -> Listed:
    """The page of `question` at an instant: its condition is asked of the values of then. Raises StoreError as `store.query`.

    Of a type with more than `MOST_THEN` things by that name, the condition and the count are of now.
    """
    everything = store.query(conn, [tenant.id], replace(question, q="", limit=MOST_THEN, offset=0, count=True))
    if (everything.total or 0) > MOST_THEN:
        page = store.query(conn, [tenant.id], question)
        found, moment = past.as_they_were(tenant, page.entities, moment)
        return Listed(found, page.total or 0, moment, exact=False)
    test = sifting.holds(EntityQuery(q=question.q))
    found, moment = past.as_they_were(tenant, everything.entities, moment)
    kept = [one for one in found if test(one)]
    return Listed(kept[question.offset : question.offset + question.limit], len(kept), moment, exact=True)


def marks(conn: psycopg.Connection[Any], tenant: Tenant, asked: SeriesQuery, found: ModelProperty | None, language: str) -> dict[datetime, str]:
    """Of the values of one thing that `asked` names, those that were corrected: what each was, when it was corrected, by whom and why, in words."""
    corrected = temporal.corrected(tenant.id, asked)
    told = runs.told(conn, tenant.id, sorted({one.by_run for one in corrected.values() if one.by_run is not None}))
    said = {}
    for (_uri, at), one in corrected.items():
        who, why = one.told(told)
        text = _("era %(old)s; corrigido em %(when)s") % {
            "old": formats.quantity(one.number, found.unit if found else one.unit, None, language) if one.number is not None else one.text,
            "when": formats.instant(one.replaced_at, tenant.zone, language),
        }  # fmt: skip
        how = _("pela carga “%(reason)s”") % {"reason": worded(why, gettext)} if why else _("pela API") if who else _("por um programa")
        said[at] = f"{text} {how}{f' ({words.actor(who)})' if who else ''}"
    return said


def series_query(
    entity_type: str, uri: str, attribute: str, days: int, now: datetime, aggregation: Aggregation, known_at: datetime | None = None
) -> SeriesQuery:
    """One measure of one record over the `days` before `now`: each value up to 7 days, else by hour or day."""
    grain = Grain.RAW if days <= 7 else Grain.HOUR if days <= 60 else Grain.DAY
    return SeriesQuery(
        entity_type, attribute, now - timedelta(days=days), now + timedelta(seconds=1), (uri,), grain, aggregation, group_by_entity=True, limit=POINTS,
        known_at=known_at,
    )  # fmt: skip


def series(tenant: Tenant, asked: SeriesQuery) -> list[tuple[datetime, float | None]]:
    """The numbers of one measure of one record over time."""
    return [(at, value) for one in temporal.series(tenant.id, asked) for at, value, _ in one.points if isinstance(value, (int, float))]


@dataclass(frozen=True, slots=True)
class Corrected:
    """A value that was corrected: what it was, when it was replaced, by whom (empty: by a program) and why (empty: through the API)."""

    label: str
    at: datetime
    old: str
    replaced_at: datetime
    actor: str
    reason: str


def corrections(
    conn: psycopg.Connection[Any], tenant: Tenant, uri: str, names: dict[str, ModelProperty | None], now: datetime, language: str
) -> list[Corrected]:
    """Corrected values of a record observed in the last 90 days; who and why come from the load that brought the new value."""
    found = temporal.corrections(tenant.id, uri, list(names), now - timedelta(days=90), now + timedelta(days=1), 50)
    loads = {run_id: _load(conn, tenant.id, run_id) for run_id in {one.by_run for one in found if one.by_run is not None}}
    lines = []
    for one in found:
        known, load = names[one.attribute], loads.get(one.by_run) if one.by_run is not None else None
        instance = Instance(0, one.attribute, one.at, one.replaced_at, one.kind, one.number, one.text, one.unit, 0)
        lines.append(
            Corrected(
                known.label.in_language(language) if known else one.attribute, one.at,
                rules.text_of(value_of(instance), known, one.unit, tenant.zone, language), one.replaced_at,
                load.actor if load else one.actor, load.title if load else "",
            )
        )  # fmt: skip
    return lines


def _load(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> Run | None:
    try:
        return runs.progress(conn, tenant_id, run_id)
    except UnknownRun:
        return None


def chart(
    tenant: Tenant, title: str, found: ModelProperty | None, points: Sequence[tuple[datetime, float | None]], marked: Mapping[datetime, str],
    said: dict[str, str], language: str,
) -> dict[str, Any]:  # fmt: skip
    """The specification that `<malha-chart>` draws; `marked` values are drawn apart, with what is said of them."""
    label = found.label.in_language(language) if found else title
    updated = max((at for at, _ in points), default=None)
    return {
        "kind": "line", "title": title, "unit": formats.unit(found.unit) if found else "", "x": {"type": "time", "zone": tenant.zone.key},
        "series": [{"name": label, "points": [[int(at.timestamp() * 1000), value] for at, value in points]}],
        "updated": updated.isoformat() if updated else "", "words": said,
        "marks": [{"series": 0, "at": int(at.timestamp() * 1000), "value": value, "text": marked[at]} for at, value in points if at in marked],
    }  # fmt: skip
