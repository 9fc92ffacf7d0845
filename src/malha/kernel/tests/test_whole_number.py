"""Whole numbers of addresses and forms."""

import pytest

from malha.kernel.text import whole_number


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("0", 0), ("", 3), ("²", 3), ("٣", 3), ("-1", 3), ("1.5", 3), ("9" * 20, 3), ("999999999", 999999999)])
def test_it_works(text, number):
    assert whole_number(text, 3) == number
