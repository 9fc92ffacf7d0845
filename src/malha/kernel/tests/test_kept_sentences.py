"""Sentences that are kept with their parameters, and worded when somebody reads them."""

from malha.kernel.text import sentence, sentences, worded

ENGLISH = {"faltam {count} linhas": "{count} rows are missing", "a forma {reason}": "the form {reason}", "não fecha": "is open", "Veja.": "See."}


def english(message: str) -> str:
    return ENGLISH.get(message, message)


def test_it_works() -> None:
    kept = sentence("faltam {count} linhas", count=3)
    assert worded(kept, str) == "faltam 3 linhas"
    assert worded(kept, english) == "3 rows are missing"


def test_a_reason_is_a_sentence_itself() -> None:
    assert worded(sentence("a forma {reason}", reason="não fecha"), english) == "the form is open"
    assert worded(sentence("a forma {reason}", reason=sentence("faltam {count} linhas", count=1)), english) == "the form 1 rows are missing"


def test_several_are_said_one_after_the_other() -> None:
    assert worded(sentences(sentence("faltam {count} linhas", count=2), "", "Veja."), english) == "2 rows are missing See."


def test_what_people_wrote_is_never_read_as_a_form() -> None:
    assert worded(sentence("faltam {count} linhas", count="{x} \x1e \x1d"), str) == "faltam {x} \x1e \x1d linhas"
    assert worded("um texto {qualquer}", english) == "um texto {qualquer}"
    assert worded("", english) == ""
