"""Instants out of texts."""

from datetime import UTC, datetime

import pytest

from malha.kernel.time import parse_instant


def test_it_works():
    assert parse_instant("2026-07-01T12:00:00") == datetime(2026, 7, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "ontem", "2025-01-2T10:00", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_instant_is_said_in_one_way(text):
    with pytest.raises(ValueError, match=r"Invalid isoformat|^\d{4}-|^$"):
        parse_instant(text)
