"""Walk the road, step by step, and report."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from malha.foundation.language.service import explain, of_terminal, say
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.project import supervisor
from malha.project.verification import deciding, inputs, loading, sharing
from malha.project.verification.contracts import Step
from malha.project.verification.road import Road, throw_away_folder

type Walk = Callable[[Road, Step], None]

STEPS: tuple[tuple[str, str, Walk], ...] = (
    ("start", msg("Arrancar numa pasta vazia"), loading.start),
    ("tenant", msg("Criar um município"), loading.tenant),
    ("models", msg("Importar modelos de dados"), loading.models),
    ("files", msg("Carregar ficheiros"), loading.files),
    ("programs", msg("Ler por NGSI-LD noutro processo"), loading.programs),
    ("history", msg("Ler a história e as somas"), loading.history),
    ("source", msg("Ligar uma fonte"), deciding.source),
    ("card", msg("Comparar um cartão com as contas feitas à mão"), deciding.card),
    ("alarm", msg("Receber um alarme num webhook"), deciding.alarm),
    ("export", msg("Exportar e comparar linha a linha"), sharing.export),
    ("catalogue", msg("Publicar no catálogo aberto"), sharing.catalogue),
    ("walls", msg("Confirmar que outro município não vê nada"), sharing.walls),
)


def run(named: Path | None, *, told: Callable[[Step], None] = lambda _: None) -> tuple[list[Step], str]:
    """Walk every step on a throw-away platform; a step that fails ends the walk. Returns the steps and the input's name."""
    folder = throw_away_folder()
    try:
        chosen = inputs.choose(inputs.find(named), folder / "inputs", asked=named is not None)
    except MalhaError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    road = Road(folder / "data", chosen)
    road.data.mkdir()
    steps: list[Step] = []
    platform: AbstractContextManager[None] = nullcontext()
    try:
        for name, title, walk in STEPS:
            step = Step(name, say(title))
            steps.append(step)
            began = time.monotonic()
            try:
                walk(road, step)
                if name == "start":
                    platform = _attach()
                    platform.__enter__()
            except (MalhaError, OSError, AssertionError, LookupError, ValueError) as error:
                step.error = f"{type(error).__name__}: {explain(error, of_terminal()) if isinstance(error, MalhaError) else error}"
            step.seconds = round(time.monotonic() - began, 2)
            told(step)
            if not step.holds:
                break
        return steps, road.inputs.origin
    finally:
        platform.__exit__(None, None, None)
        road.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _attach() -> AbstractContextManager[None]:
    """This process beside the one that runs: the same data folder, read anew."""
    from malha.foundation.database import service as database
    from malha.foundation.settings import service as settings

    settings.current.cache_clear()
    database.endpoint.cache_clear()
    return supervisor.platform()


def as_json(steps: list[Step], origin: str) -> dict[str, object]:
    """The report that scripts read."""
    return {
        "holds": len(steps) == len(STEPS) and all(step.holds for step in steps),
        "seconds": round(sum(step.seconds for step in steps), 2),
        "inputs": origin,
        "steps": [{**dataclasses.asdict(step), "holds": step.holds} for step in steps],
        "not_reached": [name for name, _, _ in STEPS[len(steps) :]],
    }
