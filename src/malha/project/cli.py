"""The commands of `./malha`. Each is imported when it runs, so that `--help` is instant."""

from __future__ import annotations

import importlib
import sys

import click

from malha.kernel.errors import MalhaError

#: command → (module that holds `command`, one line for `./malha --help`), in the order people meet them
COMMANDS = {
    "up": ("malha.project.commands.up", "Arranca tudo e fica a correr até Ctrl-C"),
    "database": ("malha.project.commands.database", "Cópias da base de dados"),
}


class Commands(click.Group):
    """A group that knows its commands by name and imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Comandos"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Malha: a plataforma de dados urbanos."""


def main() -> None:
    """Run a command; a known error is one sentence and exit code 1, never a traceback."""
    try:
        cli(standalone_mode=True)
    except MalhaError as error:
        click.secho(str(error), fg="red", err=True)
        sys.exit(1)
