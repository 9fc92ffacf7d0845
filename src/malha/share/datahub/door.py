"""What every feed shares: who reads (Basic, Bearer, the page's cookie), errors in the feed's own form, addresses, ETags."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

import duckdb
import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import auth, pool, tenants
from malha.context.broker import door as broker
from malha.context.broker.contracts import NonexistentTenant, NotPermitted, NotSignedIn
from malha.foundation.access import reach
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.share.datahub import keys, reaching
from malha.share.datahub.contracts import KeyNeeded, NotReadyYet, Reader
from malha.share.questions.contracts import BadFilter

logger = logging.getLogger(__name__)
type Handler = Callable[[Request], Awaitable[Response]]
type Problem = Callable[[MalhaError, str, Request], Response]
CHALLENGE = 'Basic realm="Malha", charset="UTF-8", Bearer realm="Malha"'


def problem(error: MalhaError, detail: str, _request: Request) -> Response:
    """RFC 9457."""
    body = {"type": f"about:blank#{error.slug}", "title": detail, "detail": detail, "status": error.status, "code": error.slug, "description": detail}
    return Response(msgspec.json.encode(body), error.status, media_type="application/problem+json")


def guarded(handler: Handler, form: Problem = problem) -> Handler:
    """The handler with known errors told in the feed's form, and whoever has no key told how to show one."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except MalhaError as error:
            told = _as_ours(error)
        except psycopg.errors.QueryCanceled:
            told = BadFilter(msg("A pergunta demora demasiado; restrinja-a por período, tipo ou lugar."))
        except (psycopg.errors.DataError, duckdb.ConversionException, duckdb.OutOfRangeException):
            told = BadFilter(msg("As contas do filtro não dão um valor que exista (número demasiado grande, ou data impossível)."))
        except (psycopg.Error, duckdb.Error):
            logger.exception("A database refused %s", request.url.path)
            told = MalhaError(msg("Algo correu mal deste lado."))
        response = form(told, language.explain(told, language.of_request(request.headers, request.cookies)), request)
        if told.status == KeyNeeded.status:
            response.headers["WWW-Authenticate"] = CHALLENGE
        if isinstance(told, NotReadyYet):
            response.headers["Retry-After"] = "5"
        elif told.status in {429, 503}:
            response.headers["Retry-After"] = str(told.params.get("seconds", 1))
        return response

    return answer


def _as_ours(error: MalhaError) -> MalhaError:
    return KeyNeeded(error.message, **error.params) if isinstance(error, NotSignedIn) else error


async def read[T](request: Request, work: Callable[[psycopg.Connection[Any], Reader], T]) -> T:
    """Run `work` in the tenant's scope for somebody who may take data away."""

    def inside() -> T:
        with pool.connection() as conn:
            reader = identify(conn, request)
            with pool.scoped(conn, reader.tenant_id), reach.limited(reader.principal.reach):
                return work(conn, reader)

    return await pool.run(inside)


def identify(conn: psycopg.Connection[Any], request: Request) -> Reader:
    """Who reads. Raises KeyNeeded, NonexistentTenant, NotPermitted."""
    slug = str(request.scope.get("malha.slug", "")) or broker.by_host(conn, request)
    text = key_of(request)
    if text is not None and keys.tenant_of(text) is not None:
        principal, key_id, with_personal = keys.identify(conn, text)
        place = tenants.find(conn, slug) if slug else tenants.find(conn, str(principal.tenant_id))
        if place is None:
            raise NonexistentTenant(msg("Não há nenhum município ou comunidade em “{slug}”."), slug=slug[:80])
        if place.id != principal.tenant_id:
            raise NotPermitted(msg("Esta chave não é deste município."))
    else:
        headers = {**request.headers, **({"authorization": f"Bearer {text}"} if text else {})}
        principal = auth.principal(
            conn, headers, request.cookies, slug, method="GET" if text is None and request.method in {"GET", "HEAD"} else request.method, limited=True
        )
        if not principal.client_id:
            principal.require(Capability.DATA_EXPORT)
        principal.require(Capability.DATA_READ)
        key_id, with_personal = None, False
        found = tenants.find(conn, slug or str(principal.tenant_id))
        assert found is not None
        place = found
    if not reaching.keeps(principal.reach):
        raise NotPermitted(msg("Com um acordo lê-se pela API NGSI-LD; as ligações às ferramentas são para quem trabalha neste município."))
    return _reader(conn, request, principal, place, key_id, with_personal=with_personal)


def _reader(
    conn: psycopg.Connection[Any], request: Request, principal: Principal, place: tenants.Address, key_id: int | None, *, with_personal: bool
) -> Reader:  # fmt: skip
    row = conn.execute("SELECT name FROM organisation WHERE id = %s", [place.id]).fetchone()
    reader = Reader(
        place.id, place.slug, str(row[0]) if row else place.slug, place.time_zone, principal, with_personal, key_id,
        language.of_request(request.headers, request.cookies),
    )  # fmt: skip
    return replace(reader, base=base_of(request, place.slug))


def base_of(request: Request, slug: str) -> str:
    """The tenant's absolute address as the reader reached it, without a slash at its end."""
    host = str(request.url.replace(path="", query="", fragment="")).rstrip("/")
    if not request.scope.get("malha.slug") and (request.url.hostname or "") not in {"localhost", "127.0.0.1", "::1", "testserver"}:
        return host  # the tenant's own host name
    return f"{settings.current().public_url.rstrip('/') or host}/{slug}"


def key_of(request: Request) -> str | None:
    """The key or token that a request shows: as password of Basic (any user), as Bearer, or in `X-Api-Key`."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2].strip() or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return request.headers.get("x-api-key") or None


def etag(*parts: object) -> str:
    """A strong entity tag of what an answer depends on."""
    return '"' + hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32] + '"'


def conditional(request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer with an ETag of its bytes, or 304 where the reader has them (RFC 9110 §13.1.2). Kept by the reader only, asked again each time."""
    tag = etag(hashlib.sha256(body).hexdigest(), media_type)
    every = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Accept, Accept-Language, Cookie", **(headers or {})}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=every)
    return Response(body, headers=every, media_type=media_type)
