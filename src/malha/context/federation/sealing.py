"""What a source wants to be told with each request (tokens, mostly), encrypted where it is kept."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from malha.foundation.settings import service as settings


@cache
def _box(secret: str) -> Fernet:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"malha context sources").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def seal(headers: Mapping[str, str]) -> bytes | None:
    """The pairs encrypted with the installation's secret; None for none."""
    return _box(settings.secret_key()).encrypt(msgspec.json.encode(dict(headers))) if headers else None


def unseal(sealed: bytes | None) -> dict[str, str]:
    """The pairs; none where they were sealed with a secret that nobody names any more: the source then answers that it knows nobody."""
    if not sealed:
        return {}
    try:
        box = MultiFernet([_box(each) for each in (settings.secret_key(), *settings.older_secrets())])
        return msgspec.json.decode(box.decrypt(bytes(sealed)), type=dict[str, str])
    except InvalidToken:
        return {}
