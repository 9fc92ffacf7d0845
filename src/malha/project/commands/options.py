"""Options that many commands have, and the bar that long ones show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from malha.foundation.database.copies import Told
from malha.kernel.text import msg

JSON = click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))


@contextmanager
def bytes_bar() -> Iterator[Told]:
    """A bar of bytes on the terminal; nothing where nobody looks."""
    console = Console(stderr=True)
    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what[-40:], completed=done, total=total or None)


def tell(facts: object) -> None:
    """One JSON document on the output of the command."""
    click.echo(json.dumps(facts, ensure_ascii=False, default=str))
