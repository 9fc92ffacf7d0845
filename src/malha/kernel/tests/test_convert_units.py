import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.kernel import units


def test_it_works():
    assert units.convert(36, "KMH", "MTS") == pytest.approx(10)
    assert units.convert(20, "CEL", "KEL") == pytest.approx(293.15)
    assert units.convert(212, "FAH", "CEL") == pytest.approx(100)
    assert units.convert(70, "P1", "") == pytest.approx(0.7)


def test_what_people_write_is_understood():
    assert [units.suggest(text).code for text in ("kWH", "µg/m³", "metros", "%", "°C")] == ["KWH", "GQ", "MTR", "P1", "CEL"]
    assert units.suggest("furlong") is None


def test_units_of_different_quantities_are_refused():
    with pytest.raises(units.IncompatibleUnits):
        units.convert(1, "CEL", "MTR")


@given(st.sampled_from(list(units.REGISTRY)), st.floats(-1e6, 1e6))
def test_there_and_back_gives_the_same(code, value):
    base = next(unit.code for unit in units.REGISTRY.values() if unit.quantity == units.REGISTRY[code].quantity)
    assert units.convert(units.convert(value, code, base), base, code) == pytest.approx(value, rel=1e-9, abs=1e-6)
