"""Who asks: a Bearer token or the page's cookie, verified once and remembered for at most a minute; revoked, refused within a second. No Django."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import psycopg

from malha.context.broker import founding, heads, tenants
from malha.context.broker.contracts import NonexistentTenant, NotPermitted, NotSignedIn
from malha.foundation.access import reach, subjects
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.agreements import service as agreements
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.foundation.tokens.contracts import Claims, TokenRefused
from malha.kernel.text import msg

#: set by the pages for signed-in people; good for reading only, so that no other site can make a browser write
COOKIE = "malha_plane"
REMEMBER_SECONDS = 60.0
_SAFE = frozenset({"GET", "HEAD"})
_CAPABILITIES = {capability.value: capability for capability in Capability}
_STRANGER = msg("O seu token não dá acesso a este município.")
_verified: dict[bytes, tuple[float, Claims]] = {}
_MOST = 10_000
#: who the bearer of claims is in a tenant of theirs, by the claims that were verified and the tenant
_principals: dict[tuple[int, int], tuple[Claims, Principal]] = {}


def principal(
    conn: psycopg.Connection[Any], headers: Mapping[str, str], cookies: Mapping[str, str], slug: str = "", *, method: str = "GET", limited: bool = False, makes: bool = False
) -> Principal:  # fmt: skip
    """Who asks, in the tenant of the path (`slug`), of the header NGSILD-Tenant, or the token's only one.

    With `limited`, readers by agreement and people who may see a part of the tenant are let in too: the door keeps
    them to `Principal.reach`. With `makes`, the tenant of the header is made where it is missing and the client may.
    Raises NotSignedIn without a token that holds, NonexistentTenant, NotPermitted.
    """
    return identify(conn, headers, cookies, slug, method=method, limited=limited, makes=makes)[0]


def identify(
    conn: psycopg.Connection[Any], headers: Mapping[str, str], cookies: Mapping[str, str], slug: str = "", *, method: str = "GET", limited: bool = False, makes: bool = False
) -> tuple[Principal, Claims]:  # fmt: skip
    """As `principal`, with what the token says."""
    claims = _claims(conn, _token(headers, cookies, method))
    tenant_id = _tenant(conn, claims, slug, headers.get("ngsild-tenant", ""), makes=makes)
    who = _principal(claims, tenant_id)
    if tenant_id not in claims.tenants:
        who = founding.founder(conn, who, claims) or _by_agreement(conn, who, claims)
    elif claims.scoped:
        who = _limited(conn, who, claims)
    if not limited and not reach.only_types(who.reach):
        raise NotPermitted(msg("O seu acesso é limitado, e esta porta ainda não o sabe respeitar.") if tenant_id in claims.tenants else _STRANGER)
    return who, claims


def _principal(claims: Claims, tenant_id: int) -> Principal:
    """Whom claims name, with what they say that holds in every tenant."""
    known = _principals.get((id(claims), tenant_id))
    if known is not None and known[0] is claims:
        return known[1]
    kind, _, number = claims.subject.partition(":")
    who = Principal(
        tenant_id=tenant_id, capabilities=frozenset(_CAPABILITIES[c] for c in claims.capabilities if c in _CAPABILITIES), types=claims.types, name=claims.name,
        person_id=int(number) if kind == "person" and number.isdigit() else None, client_id=number if kind == "client" else "",
    )  # fmt: skip
    if len(_principals) > _MOST:
        _principals.clear()
    _principals[id(claims), tenant_id] = claims, who
    return who


def _limited(conn: psycopg.Connection[Any], who: Principal, claims: Claims) -> Principal:
    """A principal with the limits that hold now, looked up: a token has no room for an area. Nothing at all for one without a right left."""
    assert who.tenant_id is not None
    with database.tenant_transaction(conn, [who.tenant_id]):
        known = subjects.principal(conn, who.tenant_id, claims.subject)
    return replace(who, reach=() if known is None else known.reach)


def _by_agreement(conn: psycopg.Connection[Any], who: Principal, claims: Claims) -> Principal:
    """A reader of another tenant: what the agreements in force with its own tenants name, and nothing else."""
    assert who.tenant_id is not None
    with database.tenant_transaction(conn, claims.tenants):
        named = agreements.reach(conn, claims.tenants, who.tenant_id) if claims.tenants and not claims.scoped else ()
    parts = reach.within(named, claims.types)
    if not parts:
        raise NotPermitted(_STRANGER)
    return replace(who, capabilities=who.capabilities & {Capability.DATA_READ}, types=reach.types_of(parts), reach=parts)


def revoked(conn: psycopg.Connection[Any], claims: Claims) -> bool:
    """Whether the tokens of this subject were revoked since: for streams, which outlive their token."""
    return tokens.generation(conn, claims.subject) > claims.generation


def _token(headers: Mapping[str, str], cookies: Mapping[str, str], method: str) -> str:
    if token := _bearer(headers.get("authorization", "")):
        return token
    if method in _SAFE and cookies.get(COOKIE):
        return cookies[COOKIE]
    raise NotSignedIn(msg("Falta o token de acesso (Authorization: Bearer …)."))


def _bearer(authorization: str) -> str:
    """The token that the header holds, "" for none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _claims(conn: psycopg.Connection[Any], token: str) -> Claims:
    key = _key(conn.info.dbname, token)
    until, claims = _verified.get(key, (0.0, None))
    if claims is not None and time.monotonic() < until and tokens.lately_revoked(conn).get(claims.subject, 0) <= claims.generation:
        return claims
    try:
        claims = tokens.verify(conn, token)
    except TokenRefused as reason:
        _verified.pop(key, None)
        raise NotSignedIn(reason.message, **reason.params) from reason
    if len(_verified) > _MOST:
        _verified.clear()
    left = claims.expires_at.timestamp() - time.time()
    _verified[key] = (time.monotonic() + min(REMEMBER_SECONDS, left), claims)
    return claims


def _key(dbname: str, token: str) -> bytes:
    return _digest(dbname, token) if len(token) <= heads.LONGEST else _digest.__wrapped__(dbname, token)


@lru_cache(maxsize=heads.MOST)
def _digest(dbname: str, token: str) -> bytes:
    return hashlib.sha256(f"{dbname}\n{token}".encode()).digest()


def remembered(dbname: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Claims | None:
    """What the token of a request says, where it was verified a moment ago. Good for sharing out work, not for letting anybody in."""
    token = _bearer(headers.get("authorization", "")) or cookies.get(COOKIE, "")
    return _verified.get(_key(dbname, token), (0.0, None))[1] if token else None


def _tenant(conn: psycopg.Connection[Any], claims: Claims, slug: str, header: str, *, makes: bool) -> int:
    if slug and not header and (address := tenants.find(conn, slug)) is not None:
        return address.id
    found: set[int] = set()
    for name in (slug, header):
        if not name:
            continue
        address = tenants.find(conn, name)
        if address is None and makes and name == header:
            found.add(founding.make(conn, claims, name))
            continue
        if address is None:
            raise NonexistentTenant(msg("Não há nenhum município ou comunidade em “{slug}”."), slug=name[:80])
        found.add(address.id)
    if not found and len(claims.tenants) == 1:
        found.add(claims.tenants[0])
    if len(found) > 1:
        raise NotPermitted(msg("O caminho e o cabeçalho NGSILD-Tenant dizem municípios diferentes: diga só um."))
    if not found:
        raise NotPermitted(msg("Diga de que município são os dados: no caminho (/municipio/ngsi-ld/…) ou no cabeçalho NGSILD-Tenant."))
    return found.pop()


def forget() -> None:
    """Forget verified tokens: for tests."""
    _verified.clear()
    _principals.clear()
