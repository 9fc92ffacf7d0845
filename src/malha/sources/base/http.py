"""What connectors fetch: JSON and files, through the guarded way out, with few redirects and limits."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin

import httpx

from malha.foundation.outgoing import contracts as outgoing
from malha.foundation.outgoing.service import check_url, client
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.sources.base.contracts import NotReady, RefusedAddress, SourceChanged

TOTAL_SECONDS = 600.0
JSON_BYTES = 64 * 2**20
FILE_BYTES = 4 * 2**30
REDIRECTS = 5


def _stream(made: httpx.Client, url: str, limit_bytes: int) -> Iterator[bytes]:
    deadline = time.monotonic() + TOTAL_SECONDS
    for _ in range(REDIRECTS + 1):
        try:
            check_url(url)
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
        except outgoing.RefusedAddress as reason:
            raise RefusedAddress(reason.message, **reason.params) from reason
        except outgoing.NoAnswer as reason:
            raise NotReady(reason.message, retry_after_seconds=None, **reason.params) from reason
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
