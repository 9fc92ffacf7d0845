"""The commands of `./malha`. Each is imported when it runs, so that `--help` is instant."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from malha.foundation.language import service as language
from malha.foundation.language.contracts import ENGLISH
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.project import terminal_words

#: command → (module that holds `command`, one line for `./malha --help`), in the order people meet them
COMMANDS = {
    "up": ("malha.project.commands.up", "Arranca tudo e fica a correr até Ctrl-C"),
    "verify": ("malha.project.commands.verify", "Percorre o caminho inteiro, do ficheiro ao dado aberto"),
    "check": ("malha.project.commands.check", "Verifica o código: forma, tipos, camadas, tradução, documentação, ligações"),
    "test": ("malha.project.commands.test", "Corre todos os testes"),
    "ingest": ("malha.project.commands.ingest", "Carrega um ficheiro para um município, ou desfaz uma carga"),
    "bench": ("malha.project.commands.bench", "Mede a velocidade"),
    "docs": ("malha.project.commands.docs", "Mostra a documentação"),
    "assets": ("malha.project.commands.assets", "Constrói os guiões e estilos das páginas"),
    "version": ("malha.project.commands.version", "Mostra a versão da Malha e daquilo em que assenta"),
    "export": ("malha.project.commands.export", "Escreve as entidades de um tipo num ficheiro"),
    "models": ("malha.project.commands.models", "Modelos de dados: importar, mostrar, validar"),
    "tenant": ("malha.project.commands.tenant", "Municípios e comunidades: criar, listar, mostrar, apagar"),
    "user": ("malha.project.commands.user", "Pessoas: criar, listar, dar funções"),
    "audit": ("malha.project.commands.audit", "O registo de atos: verificar que ninguém o mudou"),
    "territory": ("malha.project.commands.territory", "Território: limites por edição, ruas e portas"),
    "demo": ("malha.project.commands.demo", "A vila de demonstração: fazer, mostrar, tirar"),
    "backup": ("malha.project.commands.backup", "Cópias de segurança: fazer, listar, ensaiar"),
    "restore": ("malha.project.commands.restore", "Repõe uma cópia de segurança, ao lado do que existe"),
    "database": ("malha.project.commands.database", "Cópias da base de dados"),
    "federate": ("malha.project.commands.federate", "Junta esta instalação com outra: ver o que sai e o que vem, juntar, terminar"),
    "hub": ("malha.project.commands.hub", "Dados para as ferramentas: dar e tirar o acesso por SQL de um município"),
}
#: commands of the checkout itself, or with a folder of their own
WITHOUT_FOLDER = {"verify", "check", "test", "bench", "docs", "assets", "version"}


def _use_folder(_context: click.Context, _option: click.Parameter, folder: Path | None) -> None:
    if folder is not None:
        os.environ["MALHA_DATA"] = str(folder)


def with_folder(command: click.Command) -> None:
    """Let a command, and each of its own, name the data folder of the platform that it speaks to, as `up` does."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_folder(inner)
    elif not any(option.name == "data" for option in command.params):
        kind = click.Path(path_type=Path, file_okay=False)
        command.params.append(click.Option(["--data"], type=kind, expose_value=False, is_eager=True, callback=_use_folder, help=msg("Pasta de dados.")))


def translate(command: click.Command) -> None:
    """Put the help of a command, and of its own commands, into the language of the terminal."""
    if language.of_terminal() != ENGLISH:
        return
    command.help = language.say(command.help or "")
    for option in command.params:
        if isinstance(option, click.Option) and option.help:
            option.help = language.say(option.help)
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        translate(inner)


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
        if cmd_name not in WITHOUT_FOLDER:
            with_folder(command)
        translate(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section(language.say(msg("Comandos"))):
            formatter.write_dl([(name, language.say(line)) for name, (_, line) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Malha: a plataforma de dados urbanos."""


def main() -> None:
    """Run a command; a known error is one sentence and exit code 1, never a traceback."""
    if language.of_terminal() != ENGLISH:
        terminal_words.speak_portuguese()
    try:
        cli(standalone_mode=True, prog_name="./malha")
    except MalhaError as error:
        click.secho(language.explain(error, language.of_terminal()), fg="red", err=True)
        sys.exit(1)
