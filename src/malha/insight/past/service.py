"""The door of the room: which knowledge there is of an instant, and things as they were at it. Connections are inside a tenant transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from malha.context.store.contracts import StoredEntity
from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal import rendering
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import NoLongerKnown
from malha.insight.past import queries
from malha.insight.past.contracts import Knowledge, Moment


def moment(conn: psycopg.Connection[Any], tenant: Tenant, at: datetime, *, as_today: bool = False, entity_type: str = "") -> Moment:
    """The instant with the knowledge that its page shows: of then where that is kept and was not empty (of things of the type), else of today."""
    if as_today:
        return Moment(at, Knowledge.ASKED)
    if at < temporal.known_since(conn, tenant.id):
        return Moment(at, Knowledge.NO_LONGER)
    first = queries.first_known(conn, tenant.id, entity_type)
    return Moment(at, Knowledge.THEN if first is None or first <= at else Knowledge.NOTHING_YET)


def as_they_were(
    tenant: Tenant, entities: Sequence[StoredEntity], moment: Moment, attributes: Sequence[str] | None = None
) -> tuple[list[StoredEntity], Moment]:
    """Those of the things that said something by then, with the values that they had (of `attributes`; None: of all), and by which knowledge.

    What never had an instant (an address, a capacity) is as it is today, where today's knowledge is shown. Where it turns out that what was known is not kept, what is known today. Raises BeyondReach, and the engines' Busy and TooSlow.
    """
    try:
        found = temporal.states(tenant.id, entities, moment.at, known=moment.known_at is not None, attributes=attributes)
    except NoLongerKnown:
        return as_they_were(tenant, entities, replace(moment, knowledge=Knowledge.NO_LONGER), attributes)
    shown = []
    for one in entities:
        if one.id in found:
            values: dict[str, object] = {name: rendering.as_attribute(instance, {}) for name, instance in found[one.id].items()}
            values |= {name: given for name, given in one.attributes.items() if name not in values and _stays(name, given, moment)}
            shown.append(replace(one, attributes=values, location=_place(values, one)))
    return shown, moment


def _stays(name: str, given: object, moment: Moment) -> bool:
    """Whether an attribute without a value of then is shown as it is: what a thing is called, and what was never said to be of an instant."""
    first = given[0] if isinstance(given, list) and given else given
    return name == "name" or (moment.known_at is None and isinstance(first, dict) and "observedAt" not in first)


def _place(values: dict[str, object], today: StoredEntity) -> dict[str, object] | None:
    """Where it lay then; where it lies today, of a thing that never said where it lay."""
    place = values.get("location")
    known = place.get("value") if isinstance(place, dict) else None
    return known if isinstance(known, dict) else today.location
