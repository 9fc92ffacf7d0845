"""What the import linter cannot say: a room's tables are its own, rooms have no drawers, and look alike inside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "malha"
DRAWERS = {"utils", "helpers", "common", "misc", "manager"}


def modules():
    return [path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    return ".".join(("malha", *parts[:2]))


def test_the_tables_of_a_room_are_its_own():
    taken = {
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        if "tests" not in path.parts
        for name in imports(path)
        if name.startswith("malha.") and name.count(".") == 3 and name.endswith(".models") and not name.startswith(room_of(path) + ".")
    }
    assert not taken


def test_there_are_no_drawers():
    assert not {str(path) for path in PACKAGE.rglob("*") if path.stem in DRAWERS}


def test_every_room_says_what_it_is_in_thirty_lines():
    rooms = {path.parent for path in PACKAGE.glob("*/*/__init__.py")} - {PACKAGE / "project" / "commands"}
    rooms = {room for room in rooms if room.parent.name not in {"ui", "project"} and any(p.stem != "__init__" for p in room.glob("*.py"))}
    missing = sorted(str(room.relative_to(PACKAGE)) for room in rooms if not (room / "README.md").exists())
    assert not missing
    long = sorted(str(room.relative_to(PACKAGE)) for room in rooms if len((room / "README.md").read_text(encoding="utf-8").splitlines()) > 30)
    assert not long


def test_the_running_plane_holds_no_django():
    code = "import sys; from malha.project import plane; plane.application(); print(sorted(m for m in sys.modules if m.split('.')[0] in {'django', 'ninja', 'allauth'}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
