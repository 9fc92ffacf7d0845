"""What sources answered, read: entities under internal names, warnings where something was amiss (§6.3.17)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

from malha.context.broker import reading as broker
from malha.context.broker.attributes import INSTANT
from malha.context.federation.asking import wire
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import Answer
from malha.context.federation.registrations.matching import Share, Source
from malha.context.store.contracts import StoredEntity
from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import in_header, msg
from malha.kernel.time import parse_instant

_INVALID = msg("a resposta da fonte não é NGSI-LD")
_NEVER = datetime.min.replace(tzinfo=UTC)
WARNINGS_SHOWN = 50
#: warnings of one source's sources that are told
PASSED_ON = 5
_WARNING = re.compile(r'\b(\d{3}) \S+ "([^"\\]{0,300})"')


@dataclass(slots=True)
class Told:
    """What a source answered to its share of a question."""

    share: Share
    speech: Speech
    answer: Answer
    entities: list[dict[str, Any]] = field(default_factory=list)
    total: int | None = None
    more: bool = False

    @property
    def source(self) -> Source:
        """Who answered."""
        return self.share.source


@dataclass(frozen=True, slots=True)
class Warning_:  # noqa: N801 -- Warning is Python's own
    """Something amiss at a source."""

    code: int
    source: str
    reason: str


def warning_of(source: Source, answer: Answer) -> Warning_ | None:
    """What is amiss with an answer; a source that has nothing (404) is not (§6.3.17)."""
    if answer.ok or answer.status == 404:
        return None
    if answer.status:
        return Warning_(wire.REFUSED, source.registration.uri, f"HTTP {answer.status}")
    return Warning_(answer.warning, source.registration.uri, answer.reason)


def passed_on(source: Source, answer: Answer) -> list[Warning_]:
    """What a source says that was amiss at those that it asked itself (§6.3.17)."""
    said = _WARNING.findall(answer.headers.get("ngsild-warning", ""))[:PASSED_ON]
    return [Warning_(int(code), source.registration.uri, text) for code, text in said]


def invalid(source: Source) -> Warning_:
    """The answer could not be read and was left out."""
    return Warning_(wire.INVALID, source.registration.uri, _INVALID)


def warn(response: Response, warnings: Sequence[Warning_], alias: str, tongue: str) -> Response:
    """The response with a header for each warning."""
    for one in list(dict.fromkeys(warnings))[:WARNINGS_SHOWN]:
        plain = in_header(f"{one.source}: {language.word(one.reason, tongue)}", 300)
        response.headers.append("NGSILD-Warning", f'{one.code} {alias} "{plain}"')
    return response


def decoded(answer: Answer) -> Any:
    """The JSON of an answer. Raises ValueError."""
    return decoded_bytes(answer.body)


def decoded_bytes(body: bytes) -> Any:
    """The JSON of a body. Raises ValueError."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
        raise ValueError("not JSON") from reason


def objects(answer: Answer) -> list[dict[str, Any]]:
    """The JSON objects of an answer: a list of them, or the one. Raises ValueError."""
    found = decoded(answer)
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in listed):
        raise ValueError("not objects")
    return listed


def entity(raw: dict[str, Any], told_by: Speech, tenant_id: int) -> StoredEntity:
    """An entity as a source wrote it, under internal names. Raises MalhaError for what is none."""
    doc = broker.document(raw, told_by.context, stamps=True)
    created, modified = _instant(raw.get("createdAt")), _instant(raw.get("modifiedAt"))
    return StoredEntity(
        id=0, tenant_id=tenant_id, uri=doc.uri, types=doc.types, attributes=doc.attributes, location=None, created_at=created or modified or _NEVER,
        modified_at=modified or created or _NEVER, scopes=doc.scopes, expires_at=doc.expires_at,
    )  # fmt: skip


def _instant(text: object) -> datetime | None:
    return parse_instant(text) if isinstance(text, str) and INSTANT.fullmatch(text) else None


def readable(raws: Iterable[Any], told_by: Speech, tenant_id: int) -> tuple[list[StoredEntity], int]:
    """The entities that can be read, and how many cannot."""
    found: list[StoredEntity] = []
    bad = 0
    for raw in raws:
        try:
            found.append(entity(raw, told_by, tenant_id))
        except (MalhaError, AttributeError, TypeError):
            bad += 1
    return found, bad
