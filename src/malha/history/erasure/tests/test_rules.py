"""Who is meant, from what people type and from keyed digests: pure."""

from __future__ import annotations

import pytest

from malha.history.erasure import rules
from malha.history.erasure.contracts import TooVague

KEY = b"chave de ensaio"


@pytest.mark.parametrize(
    "text",
    [
        "lido por JOAQUINA ENSAIO PERDIGOTO 0",
        '{"name": {"type": "Property", "value": "Joaquina Ensaio Perdigoto"}}',
        "12\nurn:x\nJoaquina  Ensaio Perdigoto\n4",
        "Joaquina Ensaio Perdigoto;299912345",
        "assina Joaquina Ensaio Perdigoto.",
    ],
)
def test_a_name_is_known_again_by_its_digest(text: str) -> None:
    """A restore knows only digests: a name of many words is found inside other texts, in any case."""
    found = rules.recovered(KEY, [rules.digest(KEY, "Joaquina Ensaio Perdigoto")], [text])
    assert {term.casefold() for term in found} == {"joaquina ensaio perdigoto"}


@pytest.mark.parametrize(("term", "text"), [("299912345", "urn:ensaio:Pessoa:299912345"), ("ana@exemplo.pt", "para <ana@exemplo.pt>, hoje")])
def test_words_and_parts_of_addresses(term: str, text: str) -> None:
    assert rules.recovered(KEY, [rules.digest(KEY, term)], [text]) == {term}
    assert rules.recovered(b"outra", [rules.digest(KEY, term)], [text]) == set()


def test_what_may_be_typed() -> None:
    assert rules.usable([" Ana   Perdigoto ", "Ana Perdigoto", ""]) == ["Ana Perdigoto"]
    for given in (["Ana"], [], ["  "]):
        with pytest.raises(TooVague):
            rules.usable(given)
