"""Call a webhook: signed, and never into our own network.

The signature is `Malha-Signature: t=<seconds>,v1=<hex>`, HMAC-SHA256 of `<seconds>.<body>` with the channel's
secret; receivers refuse what is older than five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import socket
from urllib.parse import urlsplit

import httpx

from malha.foundation.settings import service as settings
from malha.insight.alerts.contracts import UnusableTarget
from malha.kernel.text import msg

TIMEOUT_SECONDS = 5.0
HEADER = "Malha-Signature"


def sign(secret: str, moment_seconds: int, body: bytes) -> str:
    """The value of the signature's header."""
    digest = hmac.new(secret.encode(), f"{moment_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment_seconds},v1={digest}"


def verify(secret: str, header: str, body: bytes, *, now_seconds: int, tolerance_seconds: int = 300) -> bool:
    """Whether a receiver should believe a call."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    if not parts.get("t", "").isdigit() or abs(now_seconds - int(parts["t"])) > tolerance_seconds:
        return False
    return hmac.compare_digest(sign(secret, int(parts["t"]), body), header)


def address_of(url: str) -> str:
    """The IP address that may be called for `url`. Raises UnusableTarget for anything but the public web.

    Every address of the name must be public: else a name with two of them would slip through. With the setting
    `fetch_private` (trials), private ones are allowed.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username:
        raise UnusableTarget(msg("O endereço {url} não serve: tem de começar por https://."), url=url)
    private = settings.current().fetch_private
    if parts.scheme == "http" and not private:
        raise UnusableTarget(msg("O endereço {url} não serve: tem de começar por https://."), url=url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), proto=socket.IPPROTO_TCP)
    except OSError as reason:
        raise UnusableTarget(msg("O nome {host} não existe ou não responde."), host=parts.hostname) from reason
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if not private and (not ip.is_global or ip.is_multicast):
            raise UnusableTarget(msg("O endereço {url} fica dentro de uma rede privada e não pode ser chamado."), url=url)
    return addresses[0]


def call(url: str, secret: str, payload: dict[str, object], *, moment_seconds: int) -> None:
    """POST `payload` once. Raises UnusableTarget, or httpx.HTTPError when it did not arrive.

    The connection goes to the very address that was checked (no second look-up), and no redirect is followed.
    """
    address = address_of(url)
    parts = urlsplit(url)
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    host = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()
    headers = {"Host": parts.netloc, "Content-Type": "application/cloudevents+json", "User-Agent": "Malha", HEADER: sign(secret, moment_seconds, body)}
    extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False) as client:
        client.post(target, content=body, headers=headers, extensions=extensions).raise_for_status()
