"""Copies by commands alone, as a script makes them: made, rehearsed, put back, each told in JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha.project.tests.test_up import answer, command

pytestmark = [pytest.mark.rehearsal, pytest.mark.slow, pytest.mark.timeout(600)]


def test_it_works(tmp_path: Path) -> None:
    data, place = tmp_path / "data", str(tmp_path / "copies")
    assert command(data, "tenant", "create", "0105").returncode == 0
    made = answer(data, "backup", "--to", place)
    checked = answer(data, "backup", "check", "--to", place)
    assert (checked["id"], checked["ok"], checked["reason"]) == (made["id"], True, "")
    assert answer(data, "backup", "list", "--to", place)["copies"][0]["check"]["ok"] is True
    assert answer(data, "backup", "mend", "--to", place) == {"mended": [], "lost": [], "set_aside": False}

    copied = answer(data, "database", "copy", "--into", str(tmp_path / "dumps"))
    assert command(data, "tenant", "create", "1106").returncode == 0
    put_back = answer(data, "database", "restore", copied["folder"])
    assert {one.name for one in Path(put_back["before"]).iterdir()} == {"malha.dump", "lake.dump"}
    listed = command(data, "tenant", "list")
    assert "aveiro" in listed.stdout
    assert "lisboa" not in listed.stdout

    restored = answer(data, "restore", place, "--into", str(tmp_path / "again"))
    assert (restored["id"], restored["in_use"], restored["lost"]) == (made["id"], False, [])
    assert restored["counts"] == made["counts"]
    assert "aveiro" in command(tmp_path / "again", "tenant", "list").stdout
    taken = command(data, "restore", place, "--into", str(data), "--json")
    assert (taken.returncode, taken.stdout) == (1, "")
    assert "Traceback" not in taken.stderr
