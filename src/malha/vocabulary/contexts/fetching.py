"""Fetch a remote context, and those that it names, onto a tenant's shelf: guarded, small, in time, without loops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from malha.foundation.outgoing import service as outgoing
from malha.foundation.outgoing.contracts import NoAnswer, RefusedAddress
from malha.kernel.text import msg
from malha.vocabulary.contexts import core
from malha.vocabulary.contexts.contracts import ContextNotAvailable, UnusableContext

LIMIT_BYTES = 1024 * 1024
SECONDS = 8.0
#: how long an address that failed is not asked again: ten times as long as it kept us waiting, within these bounds
SHORTEST_PATIENCE_SECONDS, PATIENCE_SECONDS = 0.25, 20.0
_ACCEPT = {"Accept": "application/ld+json, application/json;q=0.9, */*;q=0.1"}
_failed: dict[str, tuple[float, ContextNotAvailable | UnusableContext]] = {}
_lock = threading.Lock()


def fetch(address: str, *, patient: bool = True) -> dict[str, object]:
    """The document at `address`, its member @context checked for its form.

    Raises ContextNotAvailable where nobody answers or the address is refused, UnusableContext for what is no context.
    With `patient`, an address that failed a moment ago fails again without being asked.
    """
    now = time.monotonic()
    until, reason = _failed.get(address, (0.0, None))
    if patient and reason is not None and now < until:
        raise reason
    try:
        found = document(_bytes(address))
    except (ContextNotAvailable, UnusableContext) as failure:
        with _lock:
            if len(_failed) > 1_000:
                _failed.clear()
            _failed[address] = (time.monotonic() + _patience(time.monotonic() - now), failure)
        raise
    _failed.pop(address, None)
    return found


def _patience(waited_seconds: float) -> float:
    """How long an address that failed is left alone: one that says no at once may be mended by its people in the next moment."""
    return min(PATIENCE_SECONDS, max(SHORTEST_PATIENCE_SECONDS, 10 * waited_seconds))


def _bytes(address: str) -> bytes:
    try:
        return outgoing.fetch(address, limit_bytes=LIMIT_BYTES, total_seconds=SECONDS, headers=_ACCEPT)
    except (NoAnswer, RefusedAddress) as reason:
        why = reason.message.format(**reason.params)
        raise ContextNotAvailable(msg("O @context “{address}” não se consegue obter: {reason}"), address=address[:200], reason=why) from reason


def document(body: bytes) -> dict[str, object]:
    """A context document from its bytes. Raises UnusableContext."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
        raise UnusableContext(msg("O que está no endereço do @context não é JSON.")) from reason
    if not isinstance(found, dict) or not isinstance(found.get("@context"), str | dict | list):
        raise UnusableContext(msg("O documento não tem um membro @context que seja um endereço, um objeto ou uma lista."))
    return found


def addresses(source: Any) -> list[str]:
    """The addresses that a context names and that are not known by heart."""
    listed = source if isinstance(source, list) else [source]
    return [each for each in listed if isinstance(each, str) and not known(each)]


def known(address: str) -> bool:
    """Whether the context at `address` needs no table and no network."""
    return bool(core.CORE_ADDRESS.fullmatch(address) or core.MODEL_CONTEXT.fullmatch(address))


def gather(address: str, keep: Callable[[str, dict[str, object]], object], have: Callable[[str], bool]) -> None:
    """Fetch `address` and every context below it that is not there yet, and hand each to `keep` (url, document).

    Nothing is kept unless all of them could be fetched. Raises as `fetch`, and UnusableContext for more than 16.
    """
    found: dict[str, dict[str, object]] = {}
    waiting = [address]
    while waiting:
        one = waiting.pop()
        if one in found or (one != address and have(one)):
            continue
        if len(found) >= 16:
            raise UnusableContext(msg("O @context nomeia contextos a mais."))
        found[one] = fetch(one)
        waiting += addresses(found[one]["@context"])
    for url, body in found.items():
        keep(url, body)
