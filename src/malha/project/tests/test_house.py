"""The verbs of whoever works on Malha: check, test, bench, docs, version."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from malha.project import bench, check, docs, docs_coverage, testing
from malha.project.cli import WITHOUT_FOLDER, cli


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(words))
    return result.exit_code, result.output


def test_it_works() -> None:
    code, output = run("version", "--json")
    assert code == 0
    assert {"malha", "python", "django", "duckdb"} <= json.loads(output).keys()


@pytest.mark.parametrize("name", [name for name, _command in docs.commands()])
def test_every_command_explains_itself(name: str) -> None:
    code, output = run(*name.split(), "--help")
    assert code == 0
    assert len(output.splitlines()) > 3
    assert ("--data" in output) == (name.split(maxsplit=1)[0] not in WITHOUT_FOLDER and "Comm" not in output), (
        "a command names the folder of the platform that it speaks to"
    )


def test_help_follows_the_locale() -> None:
    code = "import sys; from malha.project.cli import main; sys.argv = ['malha', 'version', '--help']; main()"
    for locale, word in (("pt_PT.UTF-8", "Mostra a versão"), ("en_GB.UTF-8", "Shows the version")):
        done = subprocess.run([sys.executable, "-c", code], env={"LANG": locale, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
        assert word in done.stdout, done.stderr


def test_misuse_is_said_in_the_language_of_the_terminal() -> None:
    code = "import sys; from malha.project.cli import main; sys.argv = ['malha', *sys.argv[1:]]; main()"
    for locale, words in (("pt_PT.UTF-8", ("Uso:", "Erro: O valor de '--role' não serve")), ("en_GB.UTF-8", ("Usage:", "Error: Invalid value for '--role'"))):
        asked = [sys.executable, "-c", code, "user", "grant", "ana", "--role", "rei"]
        done = subprocess.run(asked, env={"LANG": locale, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert all(word in done.stderr for word in words), done.stderr


def test_an_unknown_check_is_refused() -> None:
    code, output = run("check", "--only", "weather")
    assert code == 2
    assert "weather" in output


def test_a_check_that_complains_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CHECKS", {"good": lambda: "", "bad": lambda: "src/x.py: is wrong"})
    assert [(outcome.name, outcome.passed) for outcome in check.run(quiet=True)] == [("good", True), ("bad", False)]
    assert run("check", "--only", "good")[0] == 0
    code, output = run("check")
    assert code == 1
    assert "src/x.py: is wrong" in output


def test_the_last_line_counts_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_three.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('falta a pasta de exemplos (MALHA_SAMPLES)')\ndef test_c(): pytest.skip('other')\n"
    )
    monkeypatch.setattr(testing, "ROOT", tmp_path)
    arguments = ["-n0", "-p", "no:cacheprovider", "-p", "no:django", "test_three.py"]
    assert testing.run(arguments) == 0
    assert (
        capsys.readouterr()
        .out.strip()
        .splitlines()[-1]
        .endswith("1 passaram, 0 falharam, 2 ficaram de fora; por falta da pasta de exemplos (MALHA_SAMPLES): 1.")
    )
    assert testing.run(arguments, samples=True) == 1


def test_a_failure_and_nothing_collected_are_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "ROOT", tmp_path)
    (tmp_path / "test_one.py").write_text("def test_a(): assert 1 == 2\n")
    assert testing.run(["-n0", "test_one.py"]) == 1
    (tmp_path / "test_one.py").write_text("")
    assert testing.run(["-n0", "test_one.py"]) == 1


def test_a_benchmark_ends_with_one_json_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sum.py").write_text('"""Adds."""\ndef main(quick):\n    return {"correct": quick, "figures": {}}\n')
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    assert bench.run("sum", quick=True) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["bench"], line["correct"]) == ("sum", True)
    assert line["machine"]["cores"]
    assert bench.run("sum", quick=False) == 1


def test_a_long_readme_is_named(tmp_path: Path) -> None:
    room = tmp_path / "src" / "malha" / "stage" / "room"
    room.mkdir(parents=True)
    (tmp_path / "src" / "malha" / "ui").mkdir()
    (tmp_path / "src" / "malha" / "ui" / "README.md").write_text("# ui\n")
    (room / "service.py").write_text("")
    assert list(docs_coverage._rooms(tmp_path)) == ["src/malha/stage/room/README.md: is missing"]
    (room / "README.md").write_text("x\n" * 31)
    assert list(docs_coverage._rooms(tmp_path)) == ["src/malha/stage/room/README.md: has more than 30 lines"]


def test_a_wrong_type_in_a_script_of_the_pages_is_found(tmp_path: Path) -> None:
    (tmp_path / "tsconfig.json").write_text('{"compilerOptions": {"strict": true, "lib": ["ES2022"], "types": []}, "files": ["wrong.ts"]}')
    (tmp_path / "wrong.ts").write_text('const rooms: number = "três";\n')
    assert "wrong.ts(1,7): error TS2322" in docs.build_hook().check_types(tmp_path)
