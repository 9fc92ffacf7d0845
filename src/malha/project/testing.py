"""`./malha test`: every test, on all cores, and a last line that says what was left out for want of samples."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project.checkout import ROOT

SUMMARY = "PYTEST_MALHA_SUMMARY"  # where the plug-in below leaves what it counted
NOTHING_COLLECTED = 5
MOST_WORKERS = 8


def run(arguments: Sequence[str], *, samples: bool = False, fast: bool = False) -> int:
    """Run pytest with `arguments`; the exit code of the command."""
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not fast and not Path(chromium).exists() and not shutil.which("chromium"):
        click.secho(say(msg("Falta o Chromium: os testes de navegador ficam de fora (apt-get install chromium).")), fg="yellow", err=True)
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        code = subprocess.run(_command(arguments, fast=fast), cwd=ROOT, env=os.environ | {SUMMARY: str(summary)}, check=False).returncode  # noqa: S603 -- our own arguments
        counted: dict[str, Any] = json.loads(summary.read_text()) if summary.exists() else {}
    missing = counted.get("samples", 0)
    text = msg("{passed} passaram, {failed} falharam, {skipped} ficaram de fora; por falta da pasta de exemplos (MALHA_SAMPLES): {samples}.")
    click.echo(say(text, passed=counted.get("passed", 0), failed=counted.get("failed", 0), skipped=counted.get("skipped", 0), samples=missing))
    if code == NOTHING_COLLECTED:
        return 0 if fast and not arguments else 1
    return code or (1 if samples and missing else 0)


def _command(arguments: Sequence[str], *, fast: bool) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "malha.project.testing_plugin"]
    if not any(word in {"-n", "-x", "--pdb"} or word.startswith(("-n", "--numprocesses", "--pdb")) for word in arguments):
        command += ["-n", str(min(MOST_WORKERS, max(2, os.cpu_count() or 2))), "--dist", "loadgroup", "--maxschedchunk", "4"]
    if fast:
        command += ["-m", "not browser and not slow"]
    return [*command, *arguments]
