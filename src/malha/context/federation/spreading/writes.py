"""What became of the parts of a write: one answer out of many (§5.2.16–5.2.18, §6.3.17)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, rendering
from malha.context.broker.contracts import ERRORS
from malha.context.federation.asking import wire
from malha.context.federation.contracts import PROXIED, Answer, BadGateway, Conflicts, GatewayTimeout
from malha.context.federation.registrations.matching import Source
from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

_ETSI = {400: "BadRequestData", 404: "ResourceNotFound", 409: "AlreadyExists", 422: "OperationNotSupported", 508: "LoopDetected"}


@dataclass(frozen=True, slots=True)
class Result:
    """What one place did with its part: `source` None is this broker. `names` are the attributes of the part."""

    source: Source | None
    status: int
    problem: dict[str, Any] | None = None
    names: tuple[str, ...] = ()
    response: Response | None = None
    body: Any = None

    @property
    def ok(self) -> bool:
        """Whether the part was written."""
        return 200 <= self.status < 300

    @property
    def there(self) -> bool:
        """Whether the source has the entity already."""
        return self.status == 409 and str((self.problem or {}).get("type", "")).endswith("AlreadyExists")

    @property
    def proxied(self) -> bool:
        """Whether the part was written nowhere else."""
        return self.source is not None and self.source.mode in PROXIED


def of_answer(request: Request, source: Source, answer: Answer, names: Sequence[str] = ()) -> Result:
    """The outcome at a source."""
    body = _json(answer.body)
    if answer.ok:
        return Result(source, answer.status, names=tuple(names), body=body)
    uri = source.registration.uri
    if answer.status == 0 or answer.status >= 500:
        tongue = language.of_request(request.headers, request.cookies)
        reason = language.word(answer.reason, tongue) if answer.reason else f"HTTP {answer.status}"
        late = answer.status == 504 or (answer.status == 0 and answer.warning == wire.SILENT)
        kind = GatewayTimeout if late else BadGateway
        if answer.status == 508:
            return Result(source, 508, problem_of(request, 508, msg("O pedido já passou por aqui: as fontes apontam umas para as outras.")), tuple(names))
        return of_error(request, source, kind(msg("A fonte “{uri}” não fez o que se pediu: {reason}."), uri=uri, reason=reason), names)
    said = body if isinstance(body, dict) and "type" in body else {}
    detail = str(said.get("detail") or said.get("title") or msg("A fonte recusou."))
    problem = {**problem_of(request, answer.status, detail), **{key: said[key] for key in ("type", "title") if isinstance(said.get(key), str)}}
    return Result(source, answer.status, problem, tuple(names))


def of_error(request: Request, source: Source | None, error: MalhaError, names: Sequence[str] = ()) -> Result:
    """The outcome that is an error of ours."""
    response = door.problem(error, request)
    return Result(source, error.status, msgspec.json.decode(bytes(response.body)), tuple(names), response)


def unsupported(request: Request, source: Source, names: Sequence[str] = ()) -> Result:
    """The source alone holds the data, and does not take the operation."""
    return of_error(request, source, Conflicts(msg("A fonte “{uri}” responde por isto e não aceita esta operação."), uri=source.registration.uri), names)


def problem_of(request: Request, status: int, detail: str) -> dict[str, Any]:
    """A problem of the type that a status stands for."""
    tongue = language.of_request(request.headers, request.cookies)
    etsi = _ETSI.get(status, "BadRequestData" if status < 500 else "InternalError")
    return {"type": ERRORS + etsi, "title": language.translate(door.TITLES[etsi], tongue), "detail": language.translate(detail, tongue), "status": status}


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def combined(results: Sequence[Result], uri: str, success: Response, *, by_attribute: bool = False) -> Response:
    """One answer: success where all succeeded, the error of an only part, else 207 with what succeeded and what did not."""
    proxied = any(one.ok and one.proxied for one in results)
    counted = [one for one in results if not (one.source is None and one.status == 404 and proxied)]
    good, bad = [one for one in counted if one.ok], [one for one in counted if not one.ok]
    if not bad and not any(one.status == 207 for one in good):
        own = next((one.response for one in good if one.source is None and one.response is not None), None)
        return own if own is not None else success
    if not good and len(bad) == 1:
        first = bad[0]
        if first.response is not None:
            return first.response
        return Response(msgspec.json.encode(first.problem), status_code=first.status, media_type="application/problem+json")
    return rendering.plain(_by_attribute(good, bad) if by_attribute else _by_entity(uri, good, bad), status=207)


def _by_entity(uri: str, good: Sequence[Result], bad: Sequence[Result]) -> dict[str, Any]:
    errors = [error_of(uri, one) for one in bad]
    for one in good:
        if one.status == 207 and isinstance(one.body, dict):
            errors += [{**each, **_registration(one)} for each in one.body.get("errors", ()) if isinstance(each, dict)]
    return {"success": [uri] if good else [], "errors": errors}


def error_of(uri: str, one: Result) -> dict[str, Any]:
    """A failed part as an entry of a list of errors (§5.2.17)."""
    return {"entityId": uri, **_registration(one), "error": one.problem}


def _registration(one: Result) -> dict[str, str]:
    return {"registrationId": one.source.registration.uri} if one.source is not None else {}


def _by_attribute(good: Sequence[Result], bad: Sequence[Result]) -> dict[str, Any]:
    updated: dict[str, None] = {}
    left: list[dict[str, Any]] = []
    for one in good:
        body = one.body if one.status == 207 else None
        if isinstance(body, dict):
            left += [{**each, **_registration(one)} for each in body.get("notUpdated", ()) if isinstance(each, dict)]
            updated |= dict.fromkeys(str(name) for name in body.get("updated", ()))
        elif one.status != 207:
            updated |= dict.fromkeys(contexts.iri_of(name) for name in one.names)
    for one in bad:
        reason = str((one.problem or {}).get("detail", ""))
        left += [{"attributeName": contexts.iri_of(name), "reason": reason, **_registration(one)} for name in one.names]
    missed = {each["attributeName"] for each in left}
    return {"updated": [name for name in updated if name not in missed], "notUpdated": left}
