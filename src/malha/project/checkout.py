"""The folder of sources that Malha runs from, where there is one."""

from __future__ import annotations

from pathlib import Path

from malha.kernel.errors import Unavailable
from malha.kernel.text import msg

#: an installed package has no such folder with a pyproject.toml: no tests to run, no pages to build
ROOT = Path(__file__).resolve().parents[3]


def need() -> Path:
    """The checkout. Raises Unavailable where Malha is installed without its sources."""
    if not (ROOT / "pyproject.toml").exists():
        raise Unavailable(msg("Este comando só funciona numa cópia do código-fonte da Malha."))
    return ROOT
