"""`$batch`: several readings in one request, as JSON (OData JSON 4.01 §19) or as multipart/mixed (OData 4.01 part 1 §11.7.7).

Each part is a request like any other: it is read, checked and answered by itself, with the key of the whole. Change sets
and methods that write are refused by name; a batch inside a batch too.
"""

from __future__ import annotations

import email
import email.policy
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from malha.kernel.text import msg
from malha.share.questions.contracts import BadFilter, NotSupported

#: requests of one batch, bytes of it, and bytes of its answers after which the others are asked for apart
MOST, MOST_BYTES, MOST_ANSWERED = 50, 262_144, 64 * 1024 * 1024
_LINE = re.compile(r"([A-Z]+) (\S.*?)(?: HTTP/\d(?:\.\d)?)?")
_BLANK = re.compile(rb"\r?\n\r?\n")
#: what a part may say of itself; who asks is said once, by the whole
_OWN = frozenset({"accept", "accept-language", "prefer", "odata-maxversion", "odata-version", "if-none-match"})
type Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a batch."""

    name: str
    method: str
    target: str
    headers: Mapping[str, str]


class _Json(msgspec.Struct):
    id: str
    method: str
    url: str
    headers: dict[str, str] = {}
    atomicityGroup: str | None = None  # noqa: N815 -- as the standard writes it


class _Batch(msgspec.Struct):
    requests: list[_Json]


_decode = msgspec.json.Decoder(_Batch).decode  # made once: by several threads at the same moment it would end the process


def read(media: str, body: bytes) -> tuple[list[Ask], bool]:
    """The requests of a batch, and whether it is written in JSON. Raises BadFilter, NotSupported."""
    if len(body) > MOST_BYTES:
        raise BadFilter(msg("Um lote leva no máximo {most} bytes."), most=MOST_BYTES)
    kind = media.partition(";")[0].strip().lower()
    if kind not in {"application/json", "multipart/mixed"}:
        raise BadFilter(msg("Um lote é `application/json` ou `multipart/mixed`, e não “{kind}”."), kind=kind[:60])
    asks = _of_json(body) if kind == "application/json" else _of_parts(media, body)
    if not asks or len(asks) > MOST:
        raise BadFilter(msg("Um lote leva de 1 a {most} pedidos."), most=MOST)
    return asks, kind == "application/json"


def _of_json(body: bytes) -> list[Ask]:
    try:
        found = _decode(body).requests
    except (msgspec.DecodeError, RecursionError) as reason:
        raise BadFilter(msg('O lote não se consegue ler: `{"requests":[{"id":"1","method":"GET","url":"…"}]}`.')) from reason
    if any(one.atomicityGroup is not None for one in found):
        raise NotSupported(msg("Conjuntos de mudanças (`atomicityGroup`) não se usam aqui: só se lê."))
    if len({one.id for one in found}) < len(found):
        raise BadFilter(msg("Dois pedidos do lote têm o mesmo `id`."))
    return [Ask(one.id, one.method.upper(), one.url, one.headers) for one in found]


def _of_parts(media: str, body: bytes) -> list[Ask]:
    head = b"Content-Type: " + media.encode("latin-1", "replace") + b"\r\n\r\n"
    try:
        whole = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        parts = cast("list[EmailMessage]", whole.get_payload()) if whole.is_multipart() else []
        return [_of_part(part, str(number)) for number, part in enumerate(parts, 1)]
    except (RecursionError, LookupError, ValueError) as reason:
        raise BadFilter(msg("O lote não se consegue ler: partes multipart/mixed com um pedido HTTP em cada.")) from reason


def _of_part(part: EmailMessage, number: str) -> Ask:
    if part.is_multipart():
        raise NotSupported(msg("Conjuntos de mudanças (`multipart/mixed` dentro do lote) não se usam aqui: só se lê."))
    payload = part.get_payload(decode=True)
    if part.get_content_type() != "application/http" or not isinstance(payload, bytes):
        raise BadFilter(msg("Cada parte de um lote é um pedido application/http."))
    lines = _BLANK.split(payload.lstrip(b"\r\n"), maxsplit=1)[0].decode("utf-8", "replace").splitlines()
    match = _LINE.fullmatch(lines[0].strip()) if lines else None
    if match is None:
        raise BadFilter(msg("Cada parte de um lote começa pelo pedido, como “GET AirQualityObserved HTTP/1.1”."))
    headers = {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines[1:]) if colon}
    return Ask(str(part.get("Content-ID", "") or number).strip("<> "), match[1], match[2], headers)


async def answer(
    request: Request, asks: Sequence[Ask], root: str, turn: Callable[[str], tuple[Handler, str] | None], refuse: Handler
) -> list[tuple[str, Response]]:
    """(name, answer) of each, one after the other; after one that fails only with `Prefer: continue-on-error` (§11.7.5)."""
    onwards = re.search(r"continue-on-error(?!\s*=\s*false)", request.headers.get("prefer", "").lower()) is not None
    found: list[tuple[str, Response]] = []
    size = 0
    for ask in asks:
        path, query = _within(ask.target, root)
        handled = turn(path) if path is not None and ask.method == "GET" and size <= MOST_ANSWERED else None
        handler, name = handled if handled is not None else (refuse, "")
        response = await handler(_request(request, ask, path or "", query, name, full=size > MOST_ANSWERED))
        found.append((ask.name, response))
        size += len(response.body)
        if response.status_code >= 400 and not onwards:
            break
    return found


def _within(target: str, root: str) -> tuple[str | None, str]:
    """Path below the service and query of an address: absolute, from the root of the host, or below the service; None for one of elsewhere."""
    path, _, query = target.partition("?")
    base = path if "://" not in path else urlsplit(path).path
    if "://" in path and not (path + "/").startswith(root + "/"):
        return None, query
    if base.startswith("/"):
        ours = urlsplit(root).path
        if base != ours and not base.startswith(ours + "/"):
            return None, query
        base = base[len(ours) :]
    return unquote(base).strip("/"), query


def _request(request: Request, ask: Ask, path: str, query: str, name: str, *, full: bool) -> Request:
    kept = [
        (key, value)
        for key, value in request.scope["headers"]
        if key.decode("latin-1").lower() not in {*_OWN, "content-type", "content-length", "transfer-encoding"}
    ]
    said = [(key.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for key, value in ask.headers.items() if key.lower() in _OWN]
    scope = {
        **request.scope, "method": "GET", "path_params": {"set": name}, "query_string": query.replace(" ", "%20").encode("utf-8"), "headers": [*kept, *said],
        "state": {}, "malha.batch": (ask.method, path, full),
    }  # fmt: skip
    return Request(scope)


def as_json(answers: Sequence[tuple[str, Response]]) -> bytes:
    """The answers as JSON has them: a JSON body as it is, another as a text."""
    return msgspec.json.encode({"responses": [_answer(name, response) for name, response in answers]})


def _answer(name: str, response: Response) -> dict[str, Any]:
    headers = {key: value for key, value in response.headers.items() if key != "content-length"}
    body = bytes(response.body)
    told: Any = msgspec.Raw(body) if "json" in response.headers.get("content-type", "") else body.decode("utf-8", "replace")
    return {"id": name, "status": response.status_code, "headers": headers, **({"body": told} if body else {})}


def as_parts(answers: Sequence[tuple[str, Response]]) -> tuple[bytes, str]:
    """The answers as multipart/mixed, and its media type."""
    boundary = f"batch_{uuid.uuid4().hex}"
    made = b""
    for name, response in answers:
        head = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n" + "".join(
            f"{key}: {value}\r\n" for key, value in response.headers.items()
        )
        named = re.sub(r"[^\w.-]", "_", name)
        made += (
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {named}\r\n\r\n{head}\r\n".encode()
            + bytes(response.body)
            + b"\r\n"
        )
    return made + f"--{boundary}--\r\n".encode(), f"multipart/mixed; boundary={boundary}"
