"""Several requests in one, `multipart/mixed` in and out (OGC 18-088 §11, as OData 4.0 part 1 §11.7 has it).

All of a batch is one transaction; what fails undoes itself alone. The requests of a change set go in together or not at
all, and may name what one before them made by its Content-ID: `$1` in an address, or as an `@iot.id`.
"""

from __future__ import annotations

import email
import email.policy
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage, Message
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from starlette.responses import Response

from malha.context.broker import reading
from malha.context.broker.contracts import UnsupportedMedia
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.share.sensorthings import operations
from malha.share.sensorthings.contracts import BadRequest
from malha.share.sensorthings.relations import View

#: requests of one batch
MOST = 1_000
_BLANK = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(r"([A-Z]+) (\S+)(?: HTTP/\d(?:\.\d)?)?")
_NAMED = re.compile(r"\$([\w.-]+)")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a batch: `target` as it was written, `name` is its Content-ID."""

    method: str
    target: str
    body: bytes
    name: str = ""


class Failed(Exception):
    """A request of a change set was refused, and with it the set."""

    def __init__(self, response: Response, name: str) -> None:
        super().__init__(name)
        self.response, self.name = response, name


type Asks = list[Ask | list[Ask]]


def read(media: str, body: bytes) -> Asks:
    """The requests of a batch, those of a change set together. Raises UnsupportedMedia, BadRequest."""
    if not media.lower().startswith("multipart/mixed"):
        raise UnsupportedMedia(msg("Envie multipart/mixed, não “{found}”."), found=media[:80])
    head = b"Content-Type: " + media.encode("latin-1", "replace") + b"\r\n\r\n"
    try:
        whole = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        found: Asks = [[_ask(each, write=True) for each in _parts(part)] if part.is_multipart() else _ask(part) for part in _parts(whole)]
    except (RecursionError, LookupError, ValueError) as reason:
        raise BadRequest(msg("O lote não se consegue ler: partes multipart/mixed com um pedido HTTP em cada.")) from reason
    if sum(len(one) if isinstance(one, list) else 1 for one in found) > MOST:
        raise BadRequest(msg("Um lote leva no máximo {most} pedidos."), most=MOST)
    return found


def _parts(whole: Message) -> list[EmailMessage]:
    if not whole.is_multipart() or not whole.get_payload():
        raise BadRequest(msg("O lote não se consegue ler: partes multipart/mixed com um pedido HTTP em cada."))
    return cast("list[EmailMessage]", whole.get_payload())


def _ask(part: EmailMessage, *, write: bool = False) -> Ask:
    payload = part.get_payload(decode=True)
    if part.get_content_type() != "application/http" or not isinstance(payload, bytes):
        raise BadRequest(msg("Cada parte de um lote é um pedido application/http."))
    head, *rest = _BLANK.split(payload.lstrip(b"\r\n"), maxsplit=1)
    match = _LINE.fullmatch(head.splitlines()[0].decode("utf-8", "replace").strip() if head else "")
    if match is None:
        raise BadRequest(msg("Cada parte de um lote começa pelo pedido, como “POST Things HTTP/1.1”."))
    if write and match[1] == "GET":
        raise BadRequest(msg("Num conjunto de mudanças não se lê: ponha o GET fora dele."))
    return Ask(match[1], match[2], rest[0] if rest else b"", str(part.get("Content-ID", "")).strip("<> "))


def answer(asks: Asks, look: Callable[[], View], problem: Callable[[MalhaError], Response], *, onwards: bool) -> Response:
    """Do one after the other in the transaction of `look`'s view; after a failure go on only with `onwards` (`odata.continue-on-error`)."""
    boundary = f"batch_{uuid.uuid4().hex}"
    parts: list[bytes] = []
    for one in asks:
        failed = False
        if isinstance(one, list):
            try:
                with look().conn.transaction():
                    parts.append(_set(one, look, problem))
            except Failed as reason:
                parts.append(_part(reason.response, reason.name))
                failed = True
        else:
            response = _one(one, look, problem, {})
            parts.append(_part(response, one.name))
            failed = response.status_code >= 400
        if failed and not onwards:
            break
    return Response(_joined(parts, boundary), media_type=f"multipart/mixed; boundary={boundary}")


def _set(asks: list[Ask], look: Callable[[], View], problem: Callable[[MalhaError], Response]) -> bytes:
    """The answers of a change set as one part. Raises Failed."""
    made: dict[str, str] = {}
    parts: list[bytes] = []
    for ask in asks:
        response = _one(ask, look, problem, made)
        if response.status_code >= 400:
            raise Failed(response, ask.name)
        if ask.name and "location" in response.headers:
            made[ask.name] = response.headers["location"]
        parts.append(_part(response, ask.name))
    boundary = f"changeset_{uuid.uuid4().hex}"
    return f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode() + _joined(parts, boundary)


def _one(ask: Ask, look: Callable[[], View], problem: Callable[[MalhaError], Response], made: dict[str, str]) -> Response:
    """One request, undone by itself where it fails."""
    seen = look()
    try:
        with seen.conn.transaction():
            path, query = _where(ask.target, seen.base, made)
            said = _known(reading.decode(ask.body), made) if ask.method in {"POST", "PATCH"} else None
            return operations.perform(seen, ask.method, path, parse_qsl(query, keep_blank_values=True), said)
    except MalhaError as error:
        return problem(error)
    except (psycopg.DataError, UnicodeEncodeError):
        return problem(BadRequest(msg("O pedido tem um valor que não existe: um carácter nulo ou incompleto, ou um número demasiado grande.")))


def _where(target: str, base: str, made: dict[str, str]) -> tuple[str, str]:
    """(path within the service, query) of an address, absolute or relative. Raises BadRequest for one of another service."""
    if match := _NAMED.match(target.lstrip("/")):
        if match[1] not in made:
            raise BadRequest(msg("“{name}” não é nada que este conjunto tenha feito antes."), name=match[0][:60])
        target = made[match[1]] + target.lstrip("/")[match.end() :]
    for start in (f"{base}/", f"{urlsplit(base).path}/"):
        if target.startswith(start):
            target = target.removeprefix(start)
            break
    else:
        if target.startswith("/") or "://" in target.partition("?")[0]:
            raise BadRequest(msg("“{target}” é o endereço de outro serviço."), target=target[:80])
    path, _, query = target.partition("?")
    return unquote(path), query


def _known(said: Any, made: dict[str, str]) -> Any:
    """A body with the names of what was made before in the place of its ids."""
    if isinstance(said, list):
        return [_known(each, made) for each in said]
    if not isinstance(said, dict):
        return said
    out = {name: _known(value, made) for name, value in said.items()}
    key = out.get("@iot.id")
    if isinstance(key, str) and key.startswith("$") and key[1:] in made:
        out["@iot.id"] = made[key[1:]].rpartition("(")[2].rstrip(")").strip("'")
    return out


def _part(response: Response, name: str) -> bytes:
    """One answer as a part: `application/http`."""
    phrase = HTTPStatus(response.status_code).phrase
    shown = {"Content-Type": response.headers.get("content-type", ""), "Location": response.headers.get("location", "")}
    lines = [f"HTTP/1.1 {response.status_code} {phrase}", *(f"{key}: {value}" for key, value in shown.items() if value)]
    head = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n" + (f"Content-ID: {name}\r\n" if name else "")
    return (head + "\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode() + bytes(response.body)


def _joined(parts: list[bytes], boundary: str) -> bytes:
    mark = f"--{boundary}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
