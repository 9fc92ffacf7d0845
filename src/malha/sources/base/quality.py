"""The quality scale of connectors: fifteen rules, each done, not applicable with the reason, or open.

Each connector keeps its marks in `quality.toml` beside its code; a mark "done" names a file (or `file::test`) of
the connector that shows it, and this tool looks whether it is there. `python -m malha.sources.base.quality` prints the scale.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

SOURCES = Path(__file__).resolve().parent.parent

RULES = {
    "manifest": "diz quem publica, com que licença, de quanto em quanto tempo e que tipos saem",
    "recorded_answer": "prova-se com uma resposta da forma real, gravada ou escrita por nós",
    "not_ready": "quando a fonte não responde diz NotReady e não insiste",
    "back_off": "espera cada vez mais, e o que a fonte pedir",
    "incremental": "pede ou escreve só o que é novo",
    "idempotent": "a mesma resposta duas vezes não muda nada",
    "drift": "nota que a forma da resposta mudou e diz onde",
    "missing_values": "conhece os valores que querem dizer “sem valor”",
    "time_zone": "todos os instantes saem em UTC, e prova-se na mudança da hora",
    "place": "cada coisa tem lugar ou está dito que não tem",
    "units": "cada medida leva a unidade do modelo",
    "health": "vê-se quando falou pela última vez, e o silêncio é notado",
    "set_up": "tem página própria, e a página é provada",
    "personal_data": "diz se traz dados de pessoas e deixa-os de fora por omissão",
    "docs": "a página README diz o que é, de onde vem e os limites",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One rule of one connector. `status` is done, not_applicable or open; `why` the reason or the evidence."""

    connector: str
    rule: str
    status: str
    why: str
    sound: bool


def marks(connector: str) -> list[Mark]:
    """The marks of `connector`, one for each rule; a rule without a mark is open."""
    folder = SOURCES / connector
    given = tomllib.loads((folder / "quality.toml").read_text(encoding="utf-8")) if (folder / "quality.toml").exists() else {}
    found = []
    for rule in RULES:
        entry = given.get(rule, {})
        status, why = entry.get("status", "open"), entry.get("evidence", entry.get("reason", ""))
        sound = _shown(folder, why) if status == "done" else status == "not_applicable" and bool(why)
        found.append(Mark(connector, rule, status, why, sound))
    return found


def _shown(folder: Path, evidence: str) -> bool:
    name, _, test = evidence.partition("::")
    place = (folder / name).resolve()
    return bool(name) and place.exists() and (not test or f"def {test}(" in place.read_text(encoding="utf-8"))


def connectors() -> list[str]:
    """The folders beside this one that hold a connector."""
    return sorted(folder.name for folder in SOURCES.iterdir() if folder.name != "base" and (folder / "quality.toml").exists())


def report() -> int:
    """Print the scale of every connector; 0 only when every rule is done or not applicable."""
    table = Table("conector", "regra", "estado", "prova ou razão")
    faults = 0
    for name in connectors():
        for mark in marks(name):
            faults += not mark.sound
            colour = "green" if mark.sound else "red"
            table.add_row(name, f"{mark.rule}: {RULES[mark.rule]}", f"[{colour}]{mark.status}[/]", mark.why)
    Console().print(table)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(report())
