"""Sentences are said in the reader's language."""

from pathlib import Path

import pytest

from malha.foundation.language import catalogue, completeness, service
from malha.foundation.language.contracts import GapKind
from malha.kernel.errors import NotFound
from malha.kernel.text import sentence

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    room = tmp_path / "malha" / "stage" / "room"
    (room / "locale").mkdir(parents=True)
    (room / "templates").mkdir()
    (room / "views.py").write_text('x = _("Olá")\ny = ngettext("{n} linha", "{n} linhas", 2)\nz = msg("Falta {name}.")\n')
    (room / "templates" / "page.html").write_text(
        '{% load i18n %}{% translate "Mapa" %}{% blocktranslate count n=n %}{{ n }} alarme{% plural %}{{ n }} alarmes{% endblocktranslate %}'
    )
    return tmp_path / "malha"


def write(package: Path, entries: str) -> None:
    (package / "stage" / "room" / "locale" / "en.po").write_text(HEADER + entries)


WHOLE = """msgid "Olá"
msgstr "Hello"

msgid "{n} linha"
msgid_plural "{n} linhas"
msgstr[0] "{n} row"
msgstr[1] "{n} rows"

msgid "Falta {name}."
msgstr "{name} is missing."

msgid "Mapa"
msgstr "Map"

msgid "%(n)s alarme"
msgid_plural "%(n)s alarmes"
msgstr[0] "%(n)s alarm"
msgstr[1] "%(n)s alarms"
"""


def test_it_works(package: Path) -> None:
    write(package, WHOLE)
    assert completeness.gaps(package) == []
    assert catalogue.compile_catalogue(package).stat().st_size > 100


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("Hello", ""), GapKind.MISSING),
        (('msgid "Mapa"', '#, fuzzy\nmsgid "Mapa"'), GapKind.FUZZY),
        (('msgid "Olá"', 'msgid "Adeus"'), GapKind.UNUSED),
        (("{name} is", "{nome} is"), GapKind.PARAMETERS),
    ],
)
def test_a_gap_is_named(package: Path, change: tuple[str, str], kind: GapKind) -> None:
    write(package, WHOLE.replace(*change))
    assert kind in {gap.kind for gap in completeness.gaps(package)}


def test_a_newer_catalogue_is_compiled_again(package: Path) -> None:
    write(package, WHOLE)
    catalogue.ensure_compiled(package)
    before = (package / catalogue.TARGET).stat().st_mtime_ns
    catalogue.ensure_compiled(package)
    assert (package / catalogue.TARGET).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("header", "cookie", "language"),
    [
        ("", "", "pt-pt"),
        ("en-GB,en;q=0.9", "", "en"),
        ("pt-PT,pt;q=0.9,en;q=0.8", "", "pt-pt"),
        ("fr,en;q=0.5,pt;q=0.4", "", "en"),
        ("fr", "", "pt-pt"),
        ("en;q=x", "", "pt-pt"),
        ("en", "pt-pt", "pt-pt"),
    ],
)
def test_the_language_of_a_request(header: str, cookie: str, language: str) -> None:
    assert service.of_request({"accept-language": header}, {"malha_language": cookie}) == language


def test_an_unknown_sentence_stays_portuguese() -> None:
    error = NotFound("Frase que ninguém traduziu: {name}.", name="Évora")
    assert service.explain(error, "en") == "Frase que ninguém traduziu: Évora."


def test_what_was_stored_is_worded_for_each_reader() -> None:
    kept = sentence("Não há nenhuma carga com o número {id}.", id=7)
    assert service.word(kept, "pt-pt") == "Não há nenhuma carga com o número 7."
    assert service.word(kept, "en") == "There is no load with the number 7."
    assert NotFound("Falta {name}.", name="x{y}").kept() == sentence("Falta {name}.", name="x{y}")
    assert service.word("uma {chaveta} de antes", "en") == "uma {chaveta} de antes"
