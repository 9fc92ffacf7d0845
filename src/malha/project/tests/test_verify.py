"""What `./malha verify` takes in, what counts as holding, and the whole of it as a rehearsal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from malha.foundation.language.service import say
from malha.kernel.errors import BadInput
from malha.project.cli import cli
from malha.project.verification import inputs
from malha.project.verification.contracts import OWN, Step


def test_it_works(tmp_path: Path) -> None:
    own = inputs.choose(None, tmp_path / "own")
    assert own.origin == say(OWN)
    folder = tmp_path / "amostras"
    (folder / "um" / "dois").mkdir(parents=True)
    own.table.rename(folder / "um" / "desempenho de julho.csv")
    own.weather.rename(folder / "um" / "dois" / "tempo.json")
    (folder / "outra.csv").write_text("a;b\n1;2\n")
    (folder / "outra.json").write_text("[]")
    chosen = inputs.choose(folder, tmp_path / "again", asked=True)
    assert chosen.table == folder / "um" / "desempenho de julho.csv"
    assert chosen.weather == folder / "um" / "dois" / "tempo.json"
    assert chosen.origin_of(chosen.table) == "amostras"
    assert chosen.origin_of(chosen.places) == chosen.origin_of(chosen.models) == say(OWN)
    assert chosen.origin == f"amostras, {say(OWN)}"


def test_the_usual_folder_is_taken_whole(samples: Path, tmp_path: Path) -> None:
    chosen = inputs.choose(samples, tmp_path)
    assert chosen.origin == samples.name
    assert (chosen.models.name, chosen.places.name, chosen.table.name, chosen.weather.name) == ("cnmd", "schools.csv", "sla.csv", "observations.json")


def test_a_folder_with_nothing_to_verify_with_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "amostras"
    folder.mkdir()
    (folder / "notas.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="não há nada com que verificar"):
        inputs.choose(folder, tmp_path / "own", asked=True)
    assert inputs.choose(folder, tmp_path / "other").origin == say(OWN), "what was only found beside the checkout may be anything"
    assert CliRunner().invoke(cli, ["verify", "--inputs", str(folder)]).exit_code == 1


def test_a_step_with_nothing_to_compare_fails() -> None:
    step = Step("empty", "Vazio")
    assert not step.holds
    step.equal("um", 1, 1)
    assert step.holds
    step.close("outro", 1.0, None)
    assert not step.holds


@pytest.mark.rehearsal
def test_the_whole_road_holds(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALHA_")} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "malha", "verify", "--json"], env=environment, capture_output=True, text=True, check=False, timeout=270)
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert report["holds"]
    assert len(report["steps"]) == 12
    assert all(step["comparisons"] and step["seconds"] >= 0 and step["input"] for step in report["steps"])
