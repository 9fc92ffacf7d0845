"""`./malha check`: everything that can be said of the code without running its tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from malha.foundation.language import completeness
from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project import docs, docs_coverage
from malha.project.checkout import ROOT
from malha.sources.base import quality

BIN = Path(sys.executable).parent
SHOWN_LINES = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found."""

    name: str
    passed: bool
    seconds: float
    output: str

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def _tool(*command: str, **environment: str) -> str:
    """Run a tool; what it complained about, empty when nothing."""
    program = BIN / command[0]
    if not program.exists():
        return say(msg("Falta a ferramenta {name}. Corra `./malha check` pelo guião, que a instala."), name=command[0])
    done = subprocess.run([program, *command[1:]], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)  # noqa: S603 -- our own tools
    return (done.stdout + done.stderr).strip() or "?" if done.returncode else ""


def _language() -> str:
    return "\n".join(str(gap) for gap in completeness.gaps(extra=docs.sentences()))


def _documents() -> str:
    return "\n".join(docs_coverage.problems(ROOT))


def _connectors() -> str:
    """The quality scale of each connector: an open rule is a failure."""
    unsound = [mark for name in quality.connectors() for mark in quality.marks(name) if not mark.sound]
    return "\n".join(f"{mark.connector}: {mark.rule}: {mark.status} {mark.why}" for mark in unsound)


def _pages() -> str:
    """TypeScript against its types."""
    return str(docs.build_hook().check_types())


def _scripts() -> str:
    found = []
    for shell, script in (("/bin/sh", "malha"), ("/bin/bash", ".ci/run")):
        done = subprocess.run([shell, "-n", script], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 -- our own scripts
        found.append(done.stderr if done.returncode else "")
    return "".join(found)


#: name, and what it does; each returns its complaints
CHECKS: dict[str, Callable[[], str]] = {
    "format": lambda: _tool("ruff", "format", "--check", "--quiet"),
    "lint": lambda: _tool("ruff", "check", "--quiet"),
    "scripts": _scripts,
    "pages": _pages,
    "layers": lambda: _tool("lint-imports", "--no-cache"),
    "language": _language,
    "docs": _documents,
    "connectors": _connectors,
    # the settings of Django are read, never the server that they name
    "types": lambda: _tool("mypy", "--no-error-summary", MALHA_DATABASE_URL="postgresql://malha:malha@localhost/malha"),
}


def run(only: Sequence[str] = (), *, quiet: bool = False) -> list[Outcome]:
    """Run the checks named, or all; say each as it ends."""
    unknown = set(only) - set(CHECKS)
    if unknown:
        raise click.BadParameter(say(msg("Não há a verificação {name}. Há: {known}."), name=", ".join(sorted(unknown)), known=", ".join(CHECKS)))
    outcomes = []
    for name, look in CHECKS.items():
        if only and name not in only:
            continue
        started = time.monotonic()
        output = look()
        outcomes.append(Outcome(name, not output, round(time.monotonic() - started, 1), output))
        if not quiet:
            _say(outcomes[-1])
    return outcomes


def _say(outcome: Outcome) -> None:
    mark = click.style("✓", fg="green") if outcome.passed else click.style("✗", fg="red")
    click.echo(f"{mark} {outcome.name:<12} {outcome.seconds:>6.1f} s")
    lines: Iterable[str] = outcome.output.splitlines()
    shown = list(lines)
    for line in shown[:SHOWN_LINES]:
        click.echo(f"    {line}")
    if len(shown) > SHOWN_LINES:
        click.echo(f"    … {len(shown) - SHOWN_LINES}")
