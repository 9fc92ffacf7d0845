"""Counts, for the last line of `./malha test`, what passed, failed and was left out, and why. A pytest plug-in."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_counted: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One phase of one test, from whichever worker ran it."""
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _counted["skipped"] += 1
        _counted["samples"] += "MALHA_SAMPLES" in reason
    elif report.failed:
        _counted["failed"] += 1
    elif report.when == "call":
        _counted["passed"] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave the counts where the command looks."""
    place = os.environ.get("PYTEST_MALHA_SUMMARY")
    if place and not hasattr(session.config, "workerinput"):
        Path(place).write_text(json.dumps(dict(_counted)))
