"""Which IRI a name stands for, and back: a restricted JSON-LD that reads names, needs no network and costs microseconds.

The internal name of a type or attribute is short when its IRI lies in the default vocabulary, the core or the vocabulary
of a known data model; else it is the IRI itself. Values are never touched. Source: GS CIM 009 §5.5.7, JSON-LD 1.1 §5.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from malha.kernel.text import msg
from malha.vocabulary.contexts import core
from malha.vocabulary.contexts.contracts import ContextNotAvailable, UnusableContext

CORE_URL = core.CORE_URL
DEFAULT_VOCABULARY = core.DEFAULT_VOCABULARY
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_TERMS_LIMIT = 5000
_DEPTH = 8


def iri_of(name: str) -> str:
    """The IRI that an internal name stands for."""
    return core.TERMS.get(name) or (name if ":" in name else DEFAULT_VOCABULARY + name)


def internal(iri: str) -> str:
    """The internal name of an IRI: short where the vocabulary is known."""
    short = core.SHORT.get(iri)
    if short is not None:
        return short
    if iri.startswith(DEFAULT_VOCABULARY):
        word = iri[len(DEFAULT_VOCABULARY) :]
        return word if word and ":" not in word and word not in core.TERMS else iri
    known = core.MODEL_WORD.fullmatch(iri)
    return known[1] if known and known[1] not in core.TERMS else iri


class Context:
    """One `@context` as sent: expands names to internal ones and writes them as its sender would."""

    __slots__ = ("_names", "_terms", "_words", "source")

    def __init__(self, source: Any, terms: Mapping[str, str]) -> None:
        self.source = source  # what to write into answers; None when there was no context but the core
        self._terms = terms
        self._names = {internal(iri): term for term, iri in terms.items() if ":" not in term}
        self._words: dict[str, str] = {}

    def expand(self, term: str) -> str:
        """The internal name of a term, compact IRI or IRI."""
        known = self._words.get(term)
        if known is None:
            known = self._words[term] = internal(self._iri(term))
        return known

    def _iri(self, term: str) -> str:
        if term in core.TERMS:  # the core cannot be overridden
            return core.TERMS[term]
        if term in self._terms:
            return self._terms[term]
        prefix, colon, rest = term.partition(":")
        if colon:
            base = core.PREFIXES.get(prefix) or self._terms.get(prefix)
            return base + rest if base and not rest.startswith("//") else term
        return DEFAULT_VOCABULARY + term

    def compact(self, name: str) -> str:
        """The shortest way to say an internal name in this context."""
        if name in core.TERMS:
            return name
        term = self._names.get(name)
        if term is not None:
            return term
        if ":" not in name:
            return name if name not in self._terms else iri_of(name)
        for prefix, base in self._terms.items():
            if base[-1:] in "/#:?[]@" and len(base) < len(name) and name.startswith(base) and f"{prefix}:{name[len(base) :]}" not in self._terms:
                return f"{prefix}:{name[len(base) :]}"
        return name


#: the core context alone: what holds when a sender names none
CORE = Context(None, {})


def read(source: Any) -> Context:
    """The context that a sender gave: an address, an object of terms, or a list of both.

    Raises ContextNotAvailable for an address that is not known (nothing is fetched), UnusableContext for what
    NGSI-LD does not allow.
    """
    if source in (None, [], CORE_URL):
        return CORE
    try:
        return _read(msgspec.json.encode(source))
    except (TypeError, RecursionError) as reason:
        raise UnusableContext(msg("O @context não é um endereço, um objeto de termos, nem uma lista deles.")) from reason


@lru_cache(maxsize=512)
def _read(text: bytes) -> Context:
    source = msgspec.json.decode(text)
    terms: dict[str, str] = {}
    _collect(source, terms, 0)
    return Context(source, terms)


def _collect(source: Any, terms: dict[str, str], depth: int) -> None:
    if depth > _DEPTH or len(terms) > _TERMS_LIMIT:
        raise UnusableContext(msg("O @context tem termos ou níveis a mais."))
    if isinstance(source, str):
        if not (core.CORE_ADDRESS.fullmatch(source) or core.MODEL_CONTEXT.fullmatch(source)):
            raise ContextNotAvailable(msg("O @context “{address}” não é conhecido, e esta versão não o vai buscar à rede."), address=source[:200])
    elif isinstance(source, list):
        for part in source:
            _collect(part, terms, depth + 1)
    elif isinstance(source, dict):
        _collect_terms(source["@context"] if set(source) == {"@context"} else source, terms)
    elif source is not None:
        raise UnusableContext(msg("O @context não é um endereço, um objeto de termos, nem uma lista deles."))


def _collect_terms(source: Any, terms: dict[str, str]) -> None:
    if not isinstance(source, dict):
        _collect(source, terms, 1)
        return
    found = {term: iri for term, said in source.items() if not term.startswith("@") and (iri := _definition(term, said)) is not None}
    known = {**terms, **found}
    for term in found:
        iri = _resolve(known[term], known, 0)
        if iri is None:
            raise UnusableContext(msg("O termo “{term}” do @context não leva a nenhum IRI."), term=term[:80])
        terms[term] = iri


def _definition(term: str, said: Any) -> str | None:
    if said is None:
        return None
    if isinstance(said, dict):
        if "@context" in said:
            raise UnusableContext(msg("O termo “{term}” traz um contexto dentro; a NGSI-LD não o permite."), term=term[:80])
        said = said.get("@id", term if ":" in term else DEFAULT_VOCABULARY + term)
    if not isinstance(said, str):
        raise UnusableContext(msg("O termo “{term}” do @context não leva a nenhum IRI."), term=term[:80])
    return None if said.startswith("@") else said


def _resolve(said: str, known: dict[str, str], depth: int) -> str | None:
    """A compact IRI opened by prefixes of the same context, a term by its IRI."""
    if depth > _DEPTH:
        return None
    prefix, colon, rest = said.partition(":")
    if not colon:
        if said in core.TERMS:
            return core.TERMS[said]
        return _resolve(known[said], known, depth + 1) if said in known and known[said] != said else DEFAULT_VOCABULARY + said
    base = core.PREFIXES.get(prefix) or known.get(prefix)
    if base and base != said and not rest.startswith("//"):
        opened = _resolve(base, known, depth + 1)
        return opened + rest if opened else None
    return said if _SCHEME.match(said) else None
