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


def files(entry: str) -> tuple[list[str], list[str], list[str]]:
    """The style sheets and the scripts of `entry`, and what these import, as paths below /static/. Raises Misconfigured when not built."""
    try:
        manifest = _read((DIST / "manifest.json").stat().st_mtime_ns)
    except OSError as reason:
        raise Misconfigured(msg("Faltam os ficheiros das páginas. Construa-os com `./malha assets`.")) from reason
    chunk = manifest.get(f"src/entries/{entry}.ts")
    if chunk is None:
        raise Misconfigured(msg("Não há nenhuma entrada “{entry}” em web/src/entries. Corra `./malha assets`."), entry=entry)
    styles: list[str] = []
    imports: list[str] = []
    _collect(manifest, f"src/entries/{entry}.ts", styles, imports, set())
    return styles, [chunk["file"]], imports[:-1]


def _collect(manifest: dict[str, Any], key: str, styles: list[str], imports: list[str], seen: set[str]) -> None:
    """Add the style sheets and the script of a chunk, after those of what it imports."""
    if key in seen:
        return
    seen.add(key)
    chunk = manifest[key]
    for imported in chunk.get("imports", ()):
        _collect(manifest, imported, styles, imports, seen)
    styles.extend(style for style in chunk.get("css", ()) if style not in styles)
    imports.append(chunk["file"])
