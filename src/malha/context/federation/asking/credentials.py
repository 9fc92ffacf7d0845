"""Tokens that a source wants and that end soon: fetched with client credentials (RFC 6749 §4.4) and kept until shortly before their end.

A registration has them as three pairs of contextSourceInfo: `oauth:url`, `oauth:id`, `oauth:secret`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from malha.context.federation.asking import wire
from malha.context.federation.contracts import Answer

PREFIX = "oauth:"
TIMEOUT_SECONDS = 10.0
EARLY_SECONDS = 30.0
_tokens: dict[tuple[str, str, str], tuple[float, str]] = {}


async def bearer(pairs: Mapping[str, str], tenant: str, *, fresh: bool = False) -> dict[str, str]:
    """The header that carries the token; none where the source wants none, or none can be had (the source then says 401)."""
    header = await ask(pairs, tenant, fresh=fresh)
    return {} if isinstance(header, Answer) else header


async def ask(pairs: Mapping[str, str], tenant: str, *, fresh: bool = False) -> dict[str, str] | Answer:
    """The header that carries the token, {} where the source wants none; what the place that gives tokens said where none can be had."""
    if "oauth:url" not in pairs:
        return {}
    key = (pairs["oauth:url"], pairs.get("oauth:id", ""), pairs.get("oauth:secret", ""))
    until, known = _tokens.get(key, (0.0, ""))
    if fresh or time.monotonic() >= until:
        body = urlencode({"grant_type": "client_credentials", "client_id": key[1], "client_secret": key[2], "scope": "malha"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = await wire.current().once("POST", key[0], headers, body, tenant, TIMEOUT_SECONDS)
        try:
            said = msgspec.json.decode(answer.body) if answer.ok else {}
        except msgspec.DecodeError:
            said = {}
        if not isinstance(said, dict) or not isinstance(said.get("access_token"), str):
            return answer
        known = said["access_token"]
        if len(_tokens) > 5_000:
            _tokens.clear()
        _tokens[key] = (time.monotonic() + float(said.get("expires_in", 300)) - EARLY_SECONDS, known)
    return {"Authorization": f"Bearer {known}"}
