"""Sign what leaves and comes back: where a walk over pages stands, and links to files that expire."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache
from typing import Any

import msgspec

from malha.foundation.settings import service as settings
from malha.kernel.text import msg
from malha.share.datahub.contracts import LinkRefused
from malha.share.questions.contracts import BadFilter

_SIGNATURE = 16


@cache
def _key(secret: str, purpose: str) -> bytes:
    return hashlib.sha256(f"malha.datahub\n{purpose}\n{secret}".encode()).digest()


def seal(purpose: str, value: dict[str, Any]) -> str:
    """`value` as text for an address, with our signature."""
    body = msgspec.json.encode(value)
    signature = hmac.digest(_key(settings.secret_key(), purpose), body, "sha256")[:_SIGNATURE]
    return base64.urlsafe_b64encode(signature + body).rstrip(b"=").decode()


def unseal(purpose: str, text: str) -> dict[str, Any]:
    """What `seal` was given. Raises LinkRefused (files) or BadFilter (pages) for anything that we did not sign."""
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
        signed = (hmac.digest(_key(secret, purpose), body, "sha256")[:_SIGNATURE] for secret in (settings.secret_key(), *settings.older_secrets()))
        if any(hmac.compare_digest(signature, one) for one in signed):
            return dict(msgspec.json.decode(body))
    except (ValueError, msgspec.DecodeError):
        pass
    if purpose == "page":
        raise BadFilter(msg("O `$skiptoken` não foi dado por esta Malha, ou o pedido mudou entretanto. Comece pela primeira página."))
    raise LinkRefused(msg("Esta ligação não foi dada por esta Malha, ou foi alterada."))
