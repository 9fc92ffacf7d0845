"""Where Vite put each entry of `web/src/entries` (`./malha assets` builds them)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from malha.kernel.errors import Misconfigured
from malha.kernel.text import msg

DIST = Path(__file__).resolve().parent / "dist"


@cache
def _read(_changed_ns: int) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((DIST / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def files(entry: str) -> tuple[list[str], list[str]]:
    """The style sheets and the scripts of `entry`, as paths below /static/. Raises Misconfigured when not built."""
    try:
        manifest = _read((DIST / "manifest.json").stat().st_mtime_ns)
    except OSError as reason:
        raise Misconfigured(msg("Faltam os ficheiros das páginas. Construa-os com `./malha assets`.")) from reason
    chunk = manifest.get(f"src/entries/{entry}.ts")
    if chunk is None:
        raise Misconfigured(msg("Não há nenhuma entrada “{entry}” em web/src/entries. Corra `./malha assets`."), entry=entry)
    styles: list[str] = []
    _collect_styles(manifest, f"src/entries/{entry}.ts", styles, set())
    return styles, [chunk["file"]]


def _collect_styles(manifest: dict[str, Any], key: str, into: list[str], seen: set[str]) -> None:
    if key in seen:
        return
    seen.add(key)
    chunk = manifest[key]
    for imported in chunk.get("imports", ()):
        _collect_styles(manifest, imported, into, seen)
    into.extend(style for style in chunk.get("css", ()) if style not in into)
