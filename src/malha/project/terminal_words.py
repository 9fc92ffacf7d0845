"""What the library of the commands says by itself (click), in Portuguese; in an English terminal it speaks as it was born."""

from __future__ import annotations

import click.core
import click.decorators
import click.exceptions
import click.formatting
import click.parser
import click.termui
import click.types

_MODULES = (click.core, click.decorators, click.exceptions, click.formatting, click.parser, click.termui, click.types)
_PORTUGUESE = {
    "Usage:": "Uso:",
    "Options": "Opções",
    "Commands": "Comandos",
    "Aborted!": "Interrompido.",
    "Error: {message}": "Erro: {message}",
    "Error: invalid input": "Erro: não se percebe a resposta",
    "Try '{command} {option}' for help.": "Veja “{command} {option}”.",
    "Show this message and exit.": "Mostra esta ajuda e acaba.",
    "Invalid value: {message}": "O valor não serve: {message}",
    "Invalid value for {param_hint}: {message}": "O valor de {param_hint} não serve: {message}",
    "Missing command.": "Falta dizer o comando.",
    "Missing argument": "Falta o argumento",
    "Missing option": "Falta a opção",
    "Missing parameter": "Falta o parâmetro",
    "Missing {param_type}": "Falta {param_type}",
    "No such option {name!r}.": "Não há a opção {name}.",
    "No such command {name!r}.": "Não há o comando {name}.",
    "Option {name!r} does not take a value.": "A opção {name} não leva valor.",
    "Could not open file {filename!r}: {message}": "Não se conseguiu abrir {filename}: {message}",
    "Choose from:\n\t{choices}": "Escolha um destes:\n\t{choices}",
    "{value!r} is not a valid {number_type}.": "{value} não é um número que sirva.",
    "{value} is not in the range {range}.": "{value} fica fora de {range}.",
    "{value!r} is not {choice}.": "{value} não é {choice}.",
    "{value!r} is not one of {choices}.": "{value} não é nenhum destes: {choices}.",
    "file": "ficheiro",
    "directory": "pasta",
    "path": "caminho",
    "{name} {filename!r} does not exist.": "{name} {filename} não existe.",
    "{name} {filename!r} is a file.": "{name} {filename} é um ficheiro.",
    "{name} {filename!r} is a directory.": "{name} {filename} é uma pasta.",
    "{name} {filename!r} is not readable.": "{name} {filename} não se pode ler.",
    "{name} {filename!r} is not writable.": "{name} {filename} não se pode escrever.",
}


def speak_portuguese() -> None:
    """Let click say its own sentences in Portuguese: each of its modules looks them up by this name."""

    def say(text: str) -> str:
        return _PORTUGUESE.get(text, text)

    def say_count(one: str, many: str, count: int) -> str:
        return say(one if count == 1 else many)

    for module in _MODULES:
        for name, words in (("_", say), ("ngettext", say_count)):
            if hasattr(module, name):
                setattr(module, name, words)
