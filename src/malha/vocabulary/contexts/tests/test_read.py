import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyld import jsonld

from malha.foundation.outgoing.contracts import NoAnswer
from malha.kernel.text import msg
from malha.vocabulary.contexts import core, fetching, service
from malha.vocabulary.contexts.contracts import ContextNotAvailable, UnusableContext

EX = "https://example.org/ns#"


def pyld_core(url, _options):
    """The core context as PyLD wants it, made of our table: terms and the default vocabulary."""
    assert url == core.CORE_URL, url
    document = {"@context": {**core.PREFIXES, "id": "@id", "type": "@type", **core.TERMS, "@vocab": core.DEFAULT_VOCABULARY}}
    return {"contentType": "application/ld+json", "contextUrl": None, "documentUrl": url, "document": document}


def pyld_names(context, names):
    """The IRIs that PyLD expands `names` to, with the core context last (so that it wins)."""
    document = {"@context": [context, core.CORE_URL], **dict.fromkeys(names, "x")}
    expanded = jsonld.expand(document, {"documentLoader": pyld_core})
    return set(expanded[0]) if expanded else set()


def test_it_works():
    context = service.read([{"ex": EX, "level": "ex:level"}, core.CORE_URL])
    assert context.expand("level") == EX + "level"
    assert context.expand("ex:other") == EX + "other"
    assert context.expand("temperature") == "temperature"
    assert context.compact(EX + "level") == "level"
    assert context.compact(EX + "other") == "ex:other"
    assert service.iri_of("temperature") == core.DEFAULT_VOCABULARY + "temperature"
    assert service.iri_of("location") == "https://uri.etsi.org/ngsi-ld/location"


def test_words_of_data_models_are_short_with_and_without_their_context():
    address = "https://raw.githubusercontent.com/smart-data-models/dataModel.Weather/master/context.jsonld"
    assert service.read(address).expand("temperature") == "temperature"
    assert service.CORE.expand("https://smartdatamodels.org/dataModel.Weather/temperature") == "temperature"
    assert service.read({"t": "https://smartdatamodels.org/dataModel.Weather/temperature"}).compact("temperature") == "t"


def test_core_wins():
    context = service.read({"location": EX + "place", "observedAt": EX + "when"})
    assert context.expand("location") == "location"
    assert context.compact("location") == "location"


def test_a_name_taken_for_something_else_is_written_as_iri():
    context = service.read({"level": EX + "level"})
    assert context.compact("level") == "ngsi-ld:default-context/level"
    assert context.expand(context.compact("level")) == "level"


@pytest.mark.parametrize("source", [42, [True], {"a": {"@id": "ex:a", "@context": {}}}, {"a": 3}, {"a": "b", "b": "a"}])
def test_refuses(source):
    with pytest.raises(UnusableContext):
        service.read(source)


@pytest.mark.parametrize("source", ["https://example.org/unknown.jsonld", ["http://169.254.169.254/latest"], "file:///etc/passwd"])
def test_fetches_nothing(source):
    with pytest.raises(ContextNotAvailable):
        service.read(source)


word = st.from_regex(r"[a-z][A-Za-z0-9]{2,8}", fullmatch=True).filter(lambda w: w not in core.TERMS and w not in {"type", "ngsi", "geojson"})
iri = st.builds(lambda host, path: f"https://{host}.example/{path}", word, word) | st.builds(lambda w: core.DEFAULT_VOCABULARY + w, word)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(word, iri, max_size=6), st.lists(word, min_size=1, max_size=6, unique=True))
def test_expands_as_pyld_does(terms, names):
    context = service.read(terms)
    ours = {service.iri_of(context.expand(name)) for name in names}
    assert ours == pyld_names(terms, names)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(word, iri, max_size=6), st.lists(word | iri, min_size=1, max_size=6))
def test_what_is_written_reads_back(terms, names):
    context = service.read(terms)
    for name in map(service.internal, names):
        assert context.expand(context.compact(name)) == name


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(word, word.map(lambda w: f"https://{w}.example/ns#"), min_size=1, max_size=3), word)
def test_opens_prefixes_as_pyld_does(prefixes, rest):
    prefix = next(iter(prefixes))
    context = service.read(prefixes)
    assert {service.iri_of(context.expand(f"{prefix}:{rest}"))} == pyld_names(prefixes, [f"{prefix}:{rest}"])
    assert context.expand(context.compact(prefixes[prefix] + rest)) == prefixes[prefix] + rest


def test_an_address_that_says_no_at_once_is_soon_asked_again(monkeypatch):
    asked = []

    def refuse(address, **_):
        asked.append(address)
        raise NoAnswer(msg("não responde"))

    monkeypatch.setattr(fetching.outgoing, "fetch", refuse)
    monkeypatch.setattr(fetching, "SHORTEST_PATIENCE_SECONDS", 0.05)
    for _ in range(2):
        with pytest.raises(ContextNotAvailable):
            fetching.fetch("https://exemplo.pt/uma.jsonld")
    assert len(asked) == 1
    deadline = time.monotonic() + 10
    while len(asked) == 1 and time.monotonic() < deadline:
        with pytest.raises(ContextNotAvailable):
            fetching.fetch("https://exemplo.pt/uma.jsonld")
    assert len(asked) == 2
