"""A tenant made by the first write to it, where the operator allows that (GS CIM 009 §5.5.10)."""

from __future__ import annotations

import re
import time
from typing import Any

import psycopg
from starlette.requests import Request

from malha.context.broker import tenants
from malha.context.broker.contracts import BadRequestData, NonexistentTenant
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.foundation.tenancy import rules
from malha.foundation.tokens.contracts import Claims
from malha.kernel.text import msg

#: operations that make what they name, and so may make its tenant
_MAKES = re.compile(
    r".*/ngsi-ld/v1/(?:entities|entityOperations/(?:create|upsert)|subscriptions|csourceRegistrations|csourceSubscriptions|temporal/entities|jsonldContexts)/?"
)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
REMEMBER_SECONDS = 30.0
_known: dict[tuple[str, int, str], tuple[float, frozenset[str]]] = {}


def may_make(request: Request) -> bool:
    """Whether the operation is one that makes something."""
    return request.method == "POST" and "ngsild-snapshot" not in request.headers and _MAKES.fullmatch(request.url.path) is not None


def make(conn: psycopg.Connection[Any], claims: Claims, name: str) -> int:
    """The tenant of that name, made for this client. Raises NonexistentTenant where it may not, BadRequestData for a name that is no address."""
    most = settings.current().tenants_by_write
    missing = NonexistentTenant(msg("Não há nenhum município ou comunidade em “{slug}”."), slug=name[:80])
    if not most or not _founds(claims):
        raise missing
    if not _NAME.fullmatch(name) or name in rules.RESERVED:
        raise BadRequestData(msg("“{name}” não serve para um município: letras minúsculas, algarismos, - e _, até 63."), name=name[:80])
    client, home = claims.subject.removeprefix("client:"), claims.tenants[0]
    with conn.transaction():
        row = conn.execute("SELECT found_tenant(%s, %s, %s, %s)", [name, client, home, most]).fetchone()
        if row is None or row[0] is None:
            there = tenants.find(conn, name)  # another request of a moment ago
            if there is None:
                raise missing
            return there.id
        conn.execute("SELECT set_config('malha.tenants', %s, true)", [f"{{{int(row[0])}}}"])
        audit.record_on(conn, int(row[0]), claims.subject, "tenant.found", name, {"home": home})
    return int(row[0])


def _founds(claims: Claims) -> bool:
    return (
        claims.subject.startswith("client:")
        and Capability.TENANT_CREATE in claims.capabilities
        and not claims.scoped
        and claims.types is None
        and len(claims.tenants) == 1
    )


def founder(conn: psycopg.Connection[Any], who: Principal, claims: Claims) -> Principal | None:
    """The client in a tenant that it made itself; None in any other."""
    assert who.tenant_id is not None
    if not _founds(claims):
        return None
    key = (f"{conn.info.host}/{conn.info.dbname}", who.tenant_id, claims.subject)
    until, may = _known.get(key, (0.0, frozenset[str]()))
    if time.monotonic() >= until:
        with database.tenant_transaction(conn, [who.tenant_id]):
            row = conn.execute("SELECT capabilities FROM founding_machine(%s, %s)", [who.tenant_id, claims.subject.removeprefix("client:")]).fetchone()
        may = frozenset(row[0]) if row else frozenset()
        if len(_known) > 10_000:
            _known.clear()
        if may:
            _known[key] = (time.monotonic() + REMEMBER_SECONDS, may)
    allowed = frozenset(one for one in who.capabilities if one.value in may)
    return Principal(who.tenant_id, allowed, client_id=who.client_id, name=who.name) if allowed else None


def forget() -> None:
    """Forget who founded what: for tests."""
    _known.clear()
