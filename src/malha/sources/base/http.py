"""The only way out: an HTTP client that refuses private networks, follows few redirects and stops at limits."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

from malha.foundation.settings import service as settings
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.sources.base.contracts import NotReady, RefusedAddress, SourceChanged

USER_AGENT = "Malha/0.1 (+https://territoriosinteligentes.gov.pt)"
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 600.0
JSON_BYTES = 64 * 2**20
FILE_BYTES = 4 * 2**30
REDIRECTS = 5


def check_url(url: str) -> None:
    """Raise RefusedAddress unless `url` is http(s) without credentials."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise RefusedAddress(msg("O endereço {url} tem de começar por http:// ou https://."), url=url)
    if parts.username or parts.password:
        raise RefusedAddress(msg("O endereço traz um nome ou uma senha; escreva-os nos campos próprios."))


def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of `host` that may be reached. Raises RefusedAddress when one of them lies in a private network.

    All are checked, so that a name with a public and a private address gets nowhere.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as reason:
        raise NotReady(msg("Não há nenhum computador com o nome {host}."), host=host) from reason
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
def client() -> Iterator[httpx.Client]:
    """An HTTP client that only reaches what `public_addresses` allows. Proxies of the environment are honoured."""
    transport = httpx.HTTPTransport(retries=0)
    transport._pool._network_backend = _GuardedNetwork()  # noqa: SLF001 -- httpx has no public door to it
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    with httpx.Client(transport=transport, timeout=timeout, follow_redirects=False, headers={"User-Agent": USER_AGENT}) as made:
        yield made


def _stream(made: httpx.Client, url: str, limit_bytes: int) -> Iterator[bytes]:
    deadline = time.monotonic() + TOTAL_SECONDS
    for _ in range(REDIRECTS + 1):
        check_url(url)
        try:
            with made.stream("GET", url) as answer:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers["location"])
                    continue
                _check_status(answer, url)
                seen = 0
                for piece in answer.iter_bytes():
                    seen += len(piece)
                    if seen > limit_bytes:
                        raise RefusedAddress(msg("{url} dá mais de {limit} MB; descarregue-o e carregue o ficheiro."), url=url, limit=limit_bytes // 2**20)
                    if time.monotonic() > deadline:
                        raise NotReady(msg("{url} demorou demais."), url=url)
                    yield piece
                return
        except httpx.TransportError as reason:
            raise NotReady(msg("{url} não responde ({reason})."), url=url, reason=type(reason).__name__) from reason
    raise RefusedAddress(msg("{url} manda de endereço em endereço sem parar."), url=url)


def _check_status(answer: httpx.Response, url: str) -> None:
    if answer.status_code in {429, 500, 502, 503, 504}:
        raise NotReady(
            msg("{url} respondeu {status}; tenta-se mais tarde."), url=url, status=answer.status_code, retry_after_seconds=retry_after(answer.headers)
        )
    if answer.status_code >= 400:
        raise SourceChanged(msg("{url} respondeu {status}: o endereço mudou ou pede autorização."), url=url, status=answer.status_code)


def retry_after(headers: httpx.Headers) -> float | None:
    """The seconds that `Retry-After` asks for (a number or a date), None without it."""
    text = headers.get("retry-after", "")
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now()).total_seconds())
    except (ValueError, TypeError):
        return None


class HttpFetcher:
    """The fetcher of real runs."""

    def get_json(self, url: str) -> object:
        """The JSON at `url`. An answer that is no JSON (an error page with status 200) raises SourceChanged."""
        with client() as made:
            body = b"".join(_stream(made, url, JSON_BYTES))
        try:
            return json.loads(body)
        except ValueError as reason:
            raise SourceChanged(msg("{url} não respondeu JSON."), url=url) from reason


def download(url: str, target: Path, limit_bytes: int = FILE_BYTES) -> str:
    """Write what is at `url` to `target`; the SHA-256 of it. A half-done file is removed."""
    digest = hashlib.sha256()
    try:
        with client() as made, target.open("wb") as out:
            for piece in _stream(made, url, limit_bytes):
                digest.update(piece)
                out.write(piece)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return digest.hexdigest()
