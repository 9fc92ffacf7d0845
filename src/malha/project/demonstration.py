"""Make the fictitious town with a progress bar: for `./malha up` and `./malha demo`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from malha.foundation.language import service as language
from malha.kernel.text import msg


def make_apart() -> dict[str, object]:
    """As `make`, in a process that ends: the memory that a year of data takes goes back with it."""
    done = subprocess.run([sys.executable, "-m", "malha", "demo", "create", "--json"], check=True, stdout=subprocess.PIPE)
    facts: dict[str, object] = json.loads(done.stdout)
    return facts


def make(console: Console) -> dict[str, object]:
    """Make the town with a progress bar. Returns what was made."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from malha.kernel.time import format_instant
    from malha.packs.demo_town import service as town

    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(doing: str, done: int, total: int) -> None:
            bar.update(task, description=language.say(doing), completed=done, total=total)

        made = town.create(show)
    return {"slug": made.tenant.slug, "end": format_instant(made.end), "entities": made.entities, "observations": made.observations}


def make_recording(console: Console, samples: Path) -> None:
    """Make the tenant of real recordings, where the sample folder has them."""
    from malha.packs.demo_town import real

    with console.status(language.say(msg("Gravações reais"))):
        real.create(samples, lambda *_: None)
