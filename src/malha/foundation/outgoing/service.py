"""An HTTP client that refuses private networks, and a small fetch that follows few redirects and stops at limits."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

from malha.foundation.outgoing.contracts import NoAnswer, RefusedAddress
from malha.foundation.settings import service as settings
from malha.kernel.text import msg

USER_AGENT = "Malha/0.1 (+https://territoriosinteligentes.gov.pt)"
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
REDIRECTS = 5


def check_url(url: str) -> None:
    """Raise RefusedAddress unless `url` is http(s) without credentials."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise RefusedAddress(msg("O endereço {url} tem de começar por http:// ou https://."), url=url)
    if parts.username or parts.password:
        raise RefusedAddress(msg("O endereço traz um nome ou uma senha; escreva-os nos campos próprios."))


def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of `host` that may be reached. Raises RefusedAddress when one of them lies in a private network.

    All are checked, so that a name with a public and a private address gets nowhere.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as reason:
        raise NoAnswer(msg("Não há nenhum computador com o nome {host}."), host=host) from reason
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    if not settings.current().fetch_private:
        for address in addresses:
            if not _is_public(address):
                raise RefusedAddress(msg("{host} fica numa rede privada; só se vai buscar à Internet."), host=host)
    return addresses


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast


class _GuardedNetwork(httpcore.SyncBackend):
    """Connect to the very address that was checked, so that a name cannot change in between."""

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):  # type: ignore[no-untyped-def]
        failure: Exception | None = None
        for address in public_addresses(host, port):
            try:
                return super().connect_tcp(address, port, timeout=timeout, local_address=local_address, socket_options=socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as reason:
                failure = reason
        raise failure or httpcore.ConnectError("no address")


@contextmanager
def client(*, connect_seconds: float = CONNECT_SECONDS, read_seconds: float = READ_SECONDS) -> Iterator[httpx.Client]:
    """An HTTP client that only reaches what `public_addresses` allows. Proxies of the environment are honoured."""
    transport = httpx.HTTPTransport(retries=0)
    transport._pool._network_backend = _GuardedNetwork()  # noqa: SLF001 -- httpx has no public door to it
    timeout = httpx.Timeout(read_seconds, connect=connect_seconds)
    with httpx.Client(transport=transport, timeout=timeout, follow_redirects=False, headers={"User-Agent": USER_AGENT}) as made:
        yield made


def fetch(url: str, *, limit_bytes: int, total_seconds: float, headers: Mapping[str, str] | None = None) -> bytes:
    """The body at `url`, after at most five redirects. Raises RefusedAddress, or NoAnswer for silence, errors and excess."""
    deadline = time.monotonic() + total_seconds
    with client(connect_seconds=min(CONNECT_SECONDS, total_seconds), read_seconds=total_seconds) as made:
        for _ in range(REDIRECTS + 1):
            check_url(url)
            try:
                with made.stream("GET", url, headers=dict(headers or {})) as answer:
                    if not answer.is_redirect:
                        return _body(answer, url, limit_bytes, deadline)
                    url = urljoin(url, answer.headers.get("location", ""))
            except (httpx.HTTPError, httpx.InvalidURL) as reason:
                raise NoAnswer(msg("{url} não responde ({reason})."), url=url, reason=type(reason).__name__) from reason
    raise RefusedAddress(msg("{url} manda de endereço em endereço sem parar."), url=url)


def _body(answer: httpx.Response, url: str, limit_bytes: int, deadline: float) -> bytes:
    if answer.status_code != 200:
        raise NoAnswer(msg("{url} não responde ({reason})."), url=url, reason=answer.status_code)
    parts: list[bytes] = []
    seen = 0
    for piece in answer.iter_bytes():
        seen += len(piece)
        if seen > limit_bytes:
            raise RefusedAddress(msg("{url} dá mais de {limit} kB."), url=url, limit=limit_bytes // 1024)
        if time.monotonic() > deadline:
            raise NoAnswer(msg("{url} não responde ({reason})."), url=url, reason="timeout")
        parts.append(piece)
    return b"".join(parts)
