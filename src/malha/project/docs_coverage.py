"""What the documentation must hold: every setting, command, room and decision, and links that lead somewhere."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from malha.foundation.settings.contracts import FIELDS
from malha.project import docs

README_LINES = 30
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*)$", re.MULTILINE)
GLOSSARY_COLUMNS = ["pt", "en", "code", "source"]


def problems(root: Path) -> list[str]:
    """Everything that is missing or leads nowhere, one sentence each."""
    return [*_settings(root), *_commands(root), *_rooms(root), *_decisions(root), *glossary(root), *links(root)]


def _settings(root: Path) -> Iterator[str]:
    page = root / "docs" / "settings.md"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    for name in FIELDS:
        if f"## MALHA_{name.upper()}\n" not in text:
            yield f"docs/settings.md: MALHA_{name.upper()} is missing (./malha docs --write)"


def _commands(root: Path) -> Iterator[str]:
    page = root / "docs" / "commands.md"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    for name, _command in docs.commands():
        if f"## {name}\n" not in text:
            yield f"docs/commands.md: {name} is missing (./malha docs --write)"


def rooms(root: Path) -> list[Path]:
    """The folders of the second level that hold code, and `ui`."""
    package = root / "src" / "malha"
    found = [folder for stage in sorted(package.iterdir()) if stage.is_dir() for folder in sorted(stage.iterdir()) if folder.is_dir()]
    named = [
        folder for folder in found if folder.parent.name not in {"ui", "project", "kernel"} and any(path.name != "__init__.py" for path in folder.glob("*.py"))
    ]
    return [*named, package / "ui"]


def _rooms(root: Path) -> Iterator[str]:
    for room in rooms(root):
        readme = room / "README.md"
        place = readme.relative_to(root)
        if not readme.exists():
            yield f"{place}: is missing"
        elif len(readme.read_text(encoding="utf-8").splitlines()) > README_LINES:
            yield f"{place}: has more than {README_LINES} lines"


def _decisions(root: Path) -> Iterator[str]:
    folder = root / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8") if (folder / "README.md").exists() else ""
    for path in sorted(folder.glob("[0-9]*.md")):
        if f"({path.name})" not in index:
            yield f"docs/adr/README.md: {path.name} is not in the index"


def glossary(root: Path) -> list[str]:
    """What is wrong with docs/glossary.csv: its columns, an empty cell, a term twice."""
    path = root / "docs" / "glossary.csv"
    if not path.exists():
        return ["docs/glossary.csv: is missing"]
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        rows = list(reader)
    found = [] if reader.fieldnames == GLOSSARY_COLUMNS else [f"docs/glossary.csv: its columns are not {', '.join(GLOSSARY_COLUMNS)}"]
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        found += [f"docs/glossary.csv:{number}: {column} is empty" for column in GLOSSARY_COLUMNS if not (row.get(column) or "").strip()]
        term = row.get("pt") or ""
        if term in seen:
            found.append(f"docs/glossary.csv:{number}: {term} stands twice")
        seen.add(term)
    return found


def pages(root: Path) -> list[Path]:
    """The Markdown pages of the project."""
    return [
        *sorted(root.glob("*.md")),
        *sorted((root / "docs").rglob("*.md")),
        *sorted((root / "src").rglob("README.md")),
        *sorted((root / "deploy").rglob("*.md")),
    ]


def _anchor(heading: str) -> str:
    text = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def links(root: Path) -> list[str]:
    """Local links that lead to no file, or to no heading of it."""
    found = []
    for page in pages(root):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for match in _LINK.finditer(text):
            target, _, anchor = (match[1] or match[2]).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            place = (page.parent / target).resolve() if target else page
            if not place.exists():
                found.append(f"{page.relative_to(root)}: {match[1] or match[2]} leads nowhere")
            elif anchor and place.suffix == ".md" and anchor not in {_anchor(heading) for heading in _HEADING.findall(place.read_text(encoding="utf-8"))}:
                found.append(f"{page.relative_to(root)}: {match[1] or match[2]} names no heading")
    return found
