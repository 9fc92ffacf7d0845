"""Columns about people are guessed by what they hold and by what they are called."""

from __future__ import annotations

import pyarrow as pa
import pytest

from malha.ingest.mapping import personal
from malha.ingest.mapping.contracts import PersonalKind


@pytest.mark.parametrize(
    ("header", "values", "kind"),
    [
        ("coluna 3", ["123456789", "501442600", "123456789"], PersonalKind.NIF),
        ("NIF", ["sim"], PersonalKind.NIF),
        ("conta", ["PT50 0002 0123 1234 5678 9015 4"], PersonalKind.IBAN),
        ("x", ["ana@exemplo.pt", "rui@exemplo.pt"], PersonalKind.EMAIL),
        ("contacto", ["+351 213 011 282", "=+351 213 612 878", "912345678"], PersonalKind.PHONE),
        ("veiculo", ["AA-00-BB", "00-AA-00"], PersonalKind.PLATE),
        ("quem", ["Ana Maria Silva", "João Costa", "Rita Sousa"], PersonalKind.NAME),
        ("Requerente", ["x"], PersonalKind.NAME),
    ],
)
def test_it_works(header, values, kind):
    assert personal.guess(header, pa.array(values)) is kind


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("nome", ["Escola Básica de Frielas", "Museu da Marinha"]), ("name", ["Praça do Império"]), ("codigo", ["010101", "010102"]),
        ("valor", ["1,5", "2"]), ("telhado", ["sim"]), ("linha", ["4611", "4476"]), ("populacao", ["123456780", "999999998"]),
    ],
)  # fmt: skip
def test_things_are_not_people(header, values):
    assert personal.guess(header, pa.array(values)) is None


def test_check_digits():
    assert personal.nif_holds("123456789")
    assert not personal.nif_holds("123456780")
    assert personal.iban_holds("PT50000201231234567890154")
    assert not personal.iban_holds("PT50000201231234567890155")
    digits = "1234567890"
    check = 9 - sum(int(d) * w for d, w in zip(digits, (29, 23, 19, 17, 13, 11, 7, 5, 3, 2), strict=True)) % 10
    assert personal.niss_holds(f"{digits}{check}")
    assert not personal.niss_holds(f"{digits}{(check + 1) % 10}")
