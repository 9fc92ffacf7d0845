"""Files that can be fetched on from where the connection broke (RFC 9110 §14, byte ranges)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

PIECE_BYTES = 256 * 1024
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


def respond(request: HttpRequest, place: Path, name: str, media_type: str) -> HttpResponseBase:
    """The whole file, or the part that `Range` asks for when `If-Range` still says the same file; 416 beyond its end."""
    facts = place.stat()
    tag = f'"{facts.st_size:x}-{facts.st_mtime_ns:x}"'
    wanted = _RANGE.match(request.headers.get("Range", ""))
    if not wanted or wanted[0] == "bytes=-" or request.headers.get("If-Range", tag) != tag:
        response: HttpResponseBase = FileResponse(place.open("rb"), as_attachment=True, filename=name, content_type=media_type)
    else:
        response = _part(place, wanted[1], wanted[2], facts.st_size, media_type)
        response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["ETag"], response["Accept-Ranges"] = tag, "bytes"
    return response


def _part(place: Path, first: str, last: str, size: int, media_type: str) -> HttpResponseBase:
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start >= size or start > end:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    response = StreamingHttpResponse(_bytes(place, start, end + 1 - start), status=206, content_type=media_type)
    response["Content-Range"], response["Content-Length"] = f"bytes {start}-{end}/{size}", str(end + 1 - start)
    return response


def _bytes(place: Path, start: int, count: int) -> Iterator[bytes]:
    with place.open("rb") as file:
        file.seek(start)
        while count and (piece := file.read(min(PIECE_BYTES, count))):
            count -= len(piece)
            yield piece
