"""The pages of the project do not rot: links, names, commands and steps still hold."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from malha.project import docs, docs_coverage

ROOT = Path(__file__).resolve().parents[1]
STEP = re.compile(r"^\| \d+ \|.*\| \[`(\w+)`\]\(([^)]+)\) \|$", re.MULTILINE)


def test_it_works() -> None:
    assert len(docs_coverage.pages(ROOT)) > 20
    assert docs_coverage.links(ROOT) == []


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# A\n[x](docs/nothing.md) [y](#b) [z](#a)\n")
    assert docs_coverage.links(tmp_path) == ["README.md: docs/nothing.md leads nowhere", "README.md: #b names no heading"]


def test_the_walk_of_one_record_still_stands() -> None:
    steps = STEP.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert len(steps) == 12
    for name, path in steps:
        defined = {node.name for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}
        assert name in defined, (name, path)


def test_the_walk_follows_the_road() -> None:
    contract = next(c for c in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    known = {stage for layer in contract["layers"] for stage in layer.replace(" ", "").split("|")}
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(table) == known


def test_the_glossary_holds() -> None:
    assert docs_coverage.glossary(ROOT) == []


def test_pages_born_from_the_code_are_fresh() -> None:
    assert docs.SETTINGS_PAGE.read_text(encoding="utf-8") == docs.settings_page().rstrip() + "\n"
    assert docs.COMMANDS_PAGE.read_text(encoding="utf-8") == docs.commands_page().rstrip() + "\n"


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in docs_coverage.pages(ROOT)))
def test_commands_in_pages_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    known = {name for name, _command in docs.commands()} | {"--help", "COMANDO"}
    for command in re.findall(r"\./malha ([a-z]+|--help)", text):
        assert command in known, f"{page}: ./malha {command}"


def test_modules_in_units_exist() -> None:
    for unit in [*(ROOT / "deploy").glob("*.service"), ROOT / "deploy" / "compose.yaml", ROOT / "deploy" / "Containerfile"]:
        text = unit.read_text(encoding="utf-8")
        for module in re.findall(r"malha\.project\.(\w+)", text):
            assert (ROOT / "src" / "malha" / "project" / f"{module}.py").exists(), f"{unit.name}: {module}"


def test_the_public_code_file_says_what_the_package_says() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "publiccode.yml").read_text(encoding="utf-8")
    assert f"license: {package['license']}" in text
    assert f'softwareVersion: "{package["version"]}"' in text
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("EUROPEAN UNION PUBLIC LICENCE v. 1.2")


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/dash"])
def test_the_entry_is_posix(shell: str) -> None:
    if not Path(shell).exists():
        pytest.skip(f"falta {shell}")
    assert subprocess.run([shell, "-n", ROOT / "malha"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("programs", [("sh", "dirname", "ls", "sed", "cksum", "cat", "find", "sort", "printf"), ()], ids=["no-python", "nothing"])
def test_the_entry_without_python_says_how_to_get_it(tmp_path: Path, programs: tuple[str, ...]) -> None:
    for name in ("malha", "uv.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in programs:
        place = next(Path(folder) / tool for folder in ("/usr/bin", "/bin") if (Path(folder) / tool).exists())
        (tools / tool).symlink_to(place)
    for locale, word in (("pt_PT.UTF-8", "Falta o Python"), ("en_GB.UTF-8", "is missing")):
        environment = {"PATH": str(tools) if programs else "", "HOME": str(tmp_path), "LANG": locale, "PYENV_ROOT": str(tmp_path)}
        done = subprocess.run(["/bin/sh", tmp_path / "malha", "up"], capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 0 or "uv" in done.stderr:
            pytest.skip("há um Python em /usr/local/bin ou /opt/homebrew")
        assert done.returncode == 1
        assert word in done.stderr
        assert len(done.stderr.strip().splitlines()) == 2
