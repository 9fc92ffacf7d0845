"""`./malha bench NAME`: runs `bench/NAME.py`, whose `main(quick)` prints one JSON object as its last line."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project.checkout import ROOT

FOLDER = ROOT / "bench"


def names() -> list[str]:
    """The benchmarks that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def run(name: str | None, *, quick: bool) -> int:
    """Run one benchmark; 0 when its answers were right."""
    if name is None:
        for known in names():
            click.echo(f"{known:<12} {(_load(known).__doc__ or '').strip().splitlines()[0]}")
        return 0
    if name not in names():
        raise click.ClickException(say(msg("Não há nenhuma medição “{name}”. Há: {known}."), name=name, known=", ".join(names())))
    result: dict[str, Any] = _load(name).main(quick)
    click.echo(json.dumps({"bench": name, **result, "machine": machine()}, ensure_ascii=False))
    return 0 if result.get("correct") else 1


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"malha_bench_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.system(),
        "processor": _processor(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
