"""What holds for mail, without a database."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from malha.foundation.settings.contracts import Settings

LINK = re.compile(r"(https?://[^\s<>\"]+)")


def beyond_loopback(conf: Settings) -> bool:
    """Whether somebody at another computer can reach this installation, by where it listens or by its public address."""
    hosts = {conf.host, urlsplit(conf.public_url).hostname or "localhost"} if conf.public_url else {conf.host}
    return not all(host in {"localhost", "::1"} or host.startswith("127.") or host.endswith(".localhost") for host in hosts)


def is_here(address: str) -> bool:
    """Whether a request came from this computer."""
    try:
        return ip_address(address.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return False


def with_links(text: str) -> list[tuple[bool, str]]:
    """`text` in pieces, each with whether it is an address that can be followed."""
    return [(bool(LINK.fullmatch(piece)), piece) for piece in LINK.split(text) if piece]
