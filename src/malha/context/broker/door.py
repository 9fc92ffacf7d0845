"""What every operation of the broker shares: who asks, errors as problems, the tenant's echo."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial, wraps
from typing import Any

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import auth, founding, heads, places, pool, reading, tenants, versions
from malha.context.broker.contracts import (
    ERRORS,
    ETSI_BY_SLUG,
    ETSI_BY_STATUS,
    Asked,
    BadRequestData,
    BrokerError,
    Busy,
    Failures,
    NotPermitted,
    OperationNotSupported,
    TooComplex,
    TooManyRequests,
    Unfit,
)
from malha.context.broker.places import PRESENT
from malha.context.broker.quota import Quota
from malha.context.store.contracts import StoredEntity
from malha.foundation.access import acting, reach
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.agreements import service as agreements
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.kernel.errors import MalhaError, Unavailable
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.contracts import ContextNotAvailable, ContextToFetch, UnusableContext
from malha.vocabulary.contexts.service import Context
from malha.vocabulary.models import policy
from malha.vocabulary.models import service as models

logger = logging.getLogger(__name__)
#: contexts that one request may have fetched for it
CONTEXTS_LIMIT = 20
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
type Handler = Callable[[Request], Awaitable[Response]]

TITLES = {
    "InvalidRequest": msg("O pedido não se consegue ler"), "BadRequestData": msg("O pedido tem dados que não servem"), "AlreadyExists": msg("Já existe"),
    "ResourceNotFound": msg("Não existe"), "NonexistentTenant": msg("Esse município não existe aqui"), "LdContextNotAvailable": msg("O @context não está disponível"),
    "OperationNotSupported": msg("Isto não se pode fazer aqui"), "TooComplexQuery": msg("A pergunta é demasiado pesada"),
    "Unauthorized": msg("É preciso um token"), "AccessDenied": msg("Não tem permissão"), "InternalError": msg("Algo correu mal deste lado"),
    "TooManyRequests": msg("São demasiados pedidos"), "Conflict": msg("Há outra fonte que responde por isto"),
    "LoopDetected": msg("O pedido voltou ao ponto de onde veio"),
}  # fmt: skip


def etsi_of(error: MalhaError) -> str:
    """The type of problem that GS CIM 009 §5.5.2 gives an error."""
    if isinstance(error, BrokerError):
        return error.etsi
    return ETSI_BY_SLUG.get(error.slug) or ETSI_BY_STATUS.get(error.status) or ("BadRequestData" if error.status < 500 else "InternalError")


def faults(error: Unfit, tongue: str) -> list[dict[str, str]]:
    """What is wrong with an entity, by property, and how to mend it."""
    said = ((found, models.in_language(found, tongue)) for found in error.findings[:100])
    return [{"property": found.path, "code": found.code, "reason": wrong, "mend": mend} for found, (wrong, mend) in said]


def problem(error: MalhaError, request: Request) -> Response:
    """An error as RFC 9457 problem in the reader's language, with the type that GS CIM 009 §5.5.2 gives it."""
    etsi = etsi_of(error)
    tongue = language.of_request(request.headers, request.cookies)
    body: dict[str, Any] = {
        "type": ERRORS + etsi,
        "title": language.translate(TITLES[etsi], tongue),
        "detail": language.explain(error, tongue),
        "status": error.status,
    }
    if isinstance(error, Unfit):
        body["findings"] = faults(error, tongue)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if isinstance(error, TooManyRequests | Busy | Unavailable):
        headers["Retry-After"] = str(error.params.get("seconds", 1))
    return Response(msgspec.json.encode(body), status_code=error.status, media_type="application/problem+json", headers=headers)


def guarded(handler: Handler, *, limited: bool = False, averages: bool = False, snapshots: bool = False) -> Handler:
    """The handler with known errors turned into problems and the header NGSILD-Tenant echoed (§6.3.14).

    `limited` says that it reads through the store and the history alone, which keep to a reader's reach: readers by
    agreement and people who may see a part of the tenant are let in, and what they read under an agreement is noted
    before it is handed over. `averages` says that it also answers to a reader who may have averages only, `snapshots`
    that it may be asked inside a snapshot (§6.3.22): a request that names one reaches nothing else.
    """

    @wraps(handler)
    async def answer(request: Request) -> Response:
        if request.method in _WITH_BODY and "content-length" not in request.headers:
            return Response(status_code=411)  # bare, and before anything else is looked at (§6.3.4)
        try:
            if request.method in _WITH_BODY:
                await pool.turns().admit(pool.account.get())  # before a body is read that nobody would get to
            if not snapshots and "ngsild-snapshot" in request.headers:
                raise OperationNotSupported(msg("Isto não se faz dentro de um instantâneo; só ler, perguntar e mudar entidades, e ler como evoluíram."))
            with reach.limited(averages=averages) as limits:
                request.scope["malha.limited"] = limited
                response = await handler(request)
                if limits.used:
                    await _note(request, limits.used)
        except MalhaError as error:
            response = problem(error, request)
        except psycopg.errors.QueryCanceled:
            response = problem(TooComplex(msg("A pergunta demora demasiado; restrinja-a por tipo, lugar ou atributo.")), request)
        except (psycopg.DataError, UnicodeEncodeError):  # NUL, a lone surrogate, a number beyond what is stored
            response = problem(
                BadRequestData(msg("O pedido tem um valor que não existe: um carácter nulo ou incompleto, ou um número demasiado grande.")), request
            )
        except psycopg.Error:
            logger.exception("The database refused a request to %s", request.url.path)
            response = problem(MalhaError(msg("Algo correu mal deste lado; nada do pedido ficou guardado.")), request)
        if (version := versions.preferred(request)) is not None and request.method == "GET" and response.status_code < 300:
            response.headers["Preference-Applied"] = f"ngsi-ld={version[0]}.{version[1]}"
        if named := request.headers.get("ngsild-tenant"):
            response.headers["NGSILD-Tenant"] = named
        return response

    return answer


async def _note(request: Request, used: Mapping[int, Iterable[str]]) -> None:
    """Write down, where the giver sees it, what was read under which agreement. Raises NoAgreement when one ended meanwhile."""
    who: Principal = request.scope["malha.principal"]
    path = request.url.path.removeprefix(str(request.scope.get("root_path", "")))
    what = {number: f"{', '.join(sorted(types))} · {request.method} {path}"[:500] for number, types in used.items()}

    def inside() -> None:
        assert who.tenant_id is not None
        with pool.connection() as conn, database.tenant_transaction(conn, [who.tenant_id]):
            agreements.note(conn, who.tenant_id, what, reader=who.actor)

    await pool.run(inside)


@cache
def _quota() -> Quota:
    """The count of this process."""
    return Quota(settings.current().tenant_requests_per_s)


def asked(conn: psycopg.Connection[Any], request: Request, source: Any = None, failures: Failures | None = None, tenant: list[int] | None = None) -> Asked:
    """Who asks, of which tenant, in which words; `source` is the @context of the body, else that of the Link header holds.

    `tenant` takes the tenant's id as soon as it is known, for whoever has to fetch a context then.
    """
    slug = str(request.scope.get("malha.slug", "")) or by_host(conn, request)
    limited = bool(request.scope.get("malha.limited"))
    who = auth.principal(conn, request.headers, request.cookies, slug, method=request.method, limited=limited, makes=founding.may_make(request))
    assert who.tenant_id is not None
    if not request.scope.get("malha.counted") and (wait := _quota().wait_seconds(who.tenant_id)):
        raise TooManyRequests(msg("O seu município já fez os pedidos que lhe cabem. Tente daqui a {seconds} s."), seconds=math.ceil(wait))
    request.scope["malha.principal"], request.scope["malha.counted"] = who, True
    acting.note(who, reading.reason(request))
    reach.narrow(None if reach.only_types(who.reach) else who.reach)
    if tenant is not None:
        tenant[:] = [who.tenant_id]
    if (divert := request.scope.get("malha.divert")) is not None and reach.only_types(who.reach):
        divert(conn, who.tenant_id)
    request.scope.setdefault("malha.media", policy.of_tenant(conn, who.tenant_id).usual_media)
    said = source if source is not None else reading.linked(request)
    one = Asked(
        who.tenant_id, who, contexts.CORE, _tongue(request), request.headers.get("ngsild-tenant", ""), failures or {}, request.scope.get(places.SCOPE, PRESENT)
    )
    return one if said is None else replace(one, context=words(conn, one, said, request.scope.setdefault("malha.words", set())))


@heads.by_head
def _tongue(request: Request) -> str:
    return language.of_request(request.headers, request.cookies)


def words(conn: psycopg.Connection[Any], who: Asked, source: Any, counted: set[str] | None = None) -> Context:
    """A context as sent, with what the tenant's shelf holds; `counted` are the addresses that this request was seen to use.

    Raises ContextToFetch, or why a fetch of a moment ago failed.
    """
    if isinstance(source, Context):
        return source
    try:
        return contexts.at_hand(conn, who.tenant_id, source, counted)
    except ContextToFetch as missing:
        if missing.address in who.failures:
            raise who.failures[missing.address] from missing
        raise


def by_host(conn: psycopg.Connection[Any], request: Request) -> str:
    """The tenant whose own host name the request came to."""
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    found = tenants.find(conn, host) if "." in host and not host.replace(".", "").isdigit() else None
    return found.slug if found else ""


async def read[T](request: Request, work: Callable[[psycopg.Connection[Any], Asked], T], source: Any = None) -> T:
    """Run `work` in the tenant's scope for somebody who may read."""

    def inside(conn: psycopg.Connection[Any], who: Asked) -> T:
        who.principal.require(Capability.DATA_READ)
        with pool.scoped(conn, who.tenant_id):
            return work(conn, who)

    return await _attempt(request, source, inside)


async def write[T](request: Request, source: Any, work: Callable[[psycopg.Connection[Any], Asked], T]) -> T:
    """Run `work` in the tenant's transaction for somebody who may write; an error undoes all of it."""

    def inside(conn: psycopg.Connection[Any], who: Asked) -> T:
        who.principal.require(Capability.DATA_WRITE)
        with database.tenant_transaction(conn, [who.tenant_id]):
            return work(conn, who)

    return await _attempt(request, source, inside)


async def allowed[T](request: Request, capability: Capability, work: Callable[[psycopg.Connection[Any], Asked], T], source: Any = None) -> T:
    """Run `work` outside any transaction for somebody who has the capability."""

    def inside(conn: psycopg.Connection[Any], who: Asked) -> T:
        who.principal.require(capability)
        return work(conn, who)

    return await _attempt(request, source, inside)


async def context_of(request: Request, media: str, payload: Any) -> Context:
    """The context that holds for a body (§5.5.5), fetched if need be, for a principal that is known."""
    source = reading.source_of(request, media, payload)
    return contexts.CORE if source is None else await _attempt(request, source, lambda _, who: who.context)


async def reach_context(request: Request, address: str) -> None:
    """Have a context on the shelf, fetched if need be. Raises ContextNotAvailable (504), UnusableContext."""
    await _attempt(request, address, lambda _conn, _who: None)


async def linked(request: Request) -> Context:
    """The context of the Link header, or the core, for a principal that is known."""
    return contexts.CORE if reading.linked(request) is None else await _attempt(request, None, lambda _, who: who.context)


async def look[T](request: Request, work: Callable[[psycopg.Connection[Any], Asked], T], source: Any = None) -> T:
    """Run `work` in the tenant's transaction for somebody who may read, where the reading leaves a trace (a use counted)."""

    def inside(conn: psycopg.Connection[Any], who: Asked) -> T:
        who.principal.require(Capability.DATA_READ)
        with database.tenant_transaction(conn, [who.tenant_id]):
            return work(conn, who)

    return await _attempt(request, source, inside)


async def _attempt[T](request: Request, source: Any, inside: Callable[[psycopg.Connection[Any], Asked], T]) -> T:
    """Run `inside`; where a context is not on the shelf yet, undo all, fetch it without holding a connection, and run again."""
    failures: Failures = {}
    tenant: list[int] = []

    def once() -> T:
        with pool.connection() as conn:
            who = asked(conn, request, source, failures, tenant)
            return inside(conn, who)

    for _ in range(CONTEXTS_LIMIT):
        try:
            return await pool.run(once)
        except ContextToFetch as missing:
            try:
                await pool.run_apart(partial(contexts.bring, pool.connection, tenant[0], missing.address))
            except (ContextNotAvailable, UnusableContext) as reason:
                failures[missing.address] = reason
    raise BadRequestData(msg("O pedido nomeia @context a mais."))


def within_reach(who: Asked, types: tuple[str, ...]) -> bool:
    """Whether the principal's types let an entity of `types` through."""
    return who.principal.types is None or not who.principal.types.isdisjoint(types)


def personal(who: Asked, types: Iterable[str]) -> frozenset[str]:
    """The attributes of these types that are about people and that the principal may not read."""
    hidden: frozenset[str] = frozenset()
    if Capability.PERSONAL_READ not in who.principal.capabilities:
        for entity_type in types:
            if (model := models.find(entity_type, who.tenant_id)) is not None:
                hidden |= frozenset(p.name for p in model.properties if p.personal)
    return hidden


def refuse_personal(who: Asked, types: Iterable[str], asked: Iterable[str]) -> None:
    """Refuse a condition about attributes that the principal may not read: its answers would tell them bit by bit. Raises NotPermitted."""
    if hidden := personal(who, types).intersection(asked):
        raise NotPermitted(msg("O atributo “{name}” é sobre pessoas; o seu acesso não o abrange."), name=min(hidden))


def shown(who: Asked, entity: StoredEntity) -> StoredEntity:
    """The entity without what the principal may not read."""
    hidden = personal(who, entity.types)
    return replace(entity, attributes={n: a for n, a in entity.attributes.items() if n not in hidden}) if hidden else entity


def require_reach(who: Asked, types: tuple[str, ...]) -> None:
    """Raise NotPermitted for a type beyond the principal's reach."""
    if not within_reach(who, types):
        raise NotPermitted(msg("O seu acesso não abrange entidades do tipo {type}."), type=", ".join(types))
