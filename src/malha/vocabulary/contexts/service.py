"""Which IRI a name stands for, and back: a restricted JSON-LD that reads names and costs microseconds.

The internal name of a type or attribute is short when its IRI lies in the default vocabulary, the core or the vocabulary
of a known data model; else it is the IRI itself. Values are never touched. Source: GS CIM 009 §5.5.7, JSON-LD 1.1 §5.2.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import psycopg

from malha.foundation.database import service as database
from malha.kernel.text import msg
from malha.vocabulary.contexts import core, fetching, shelf
from malha.vocabulary.contexts.contracts import ContextError, ContextToFetch, KeptContext, Kind, UnusableContext

CORE_URL = core.CORE_URL
DEFAULT_VOCABULARY = core.DEFAULT_VOCABULARY
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_TERMS_LIMIT = 5000
_ADDRESS_LIMIT = 2048
_WORDS_LIMIT = 5000
#: how the core says a name of the default vocabulary that a sender's own term hides
_PREFIXED = "ngsi-ld:" + DEFAULT_VOCABULARY.removeprefix(core.NGSI_LD)
#: how long a composed context is used before its parts are looked up again
COMPOSED_SECONDS = 30.0
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
            known = internal(self._iri(term))
            if len(self._words) < _WORDS_LIMIT:  # senders may make names up for ever
                self._words[term] = known
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
            return name if name not in self._terms else _PREFIXED + name
        for prefix, base in self._terms.items():
            if base[-1:] in "/#:?[]@" and len(base) < len(name) and name.startswith(base) and f"{prefix}:{name[len(base) :]}" not in self._terms:
                return f"{prefix}:{name[len(base) :]}"
        return name


#: the core context alone: what holds when a sender names none
CORE = Context(None, {})


type Finder = Callable[[str], Any]
"""The @context kept under an address, None when it is not at hand."""

_composed: dict[tuple[int, bytes], tuple[float, Context]] = {}


def read(source: Any, find: Finder | None = None, *, shelf_id: int = 0) -> Context:
    """The context that a sender gave: an address, an object of terms, or a list of both.

    Addresses beyond the known ones are looked up by `find` on the shelf `shelf_id` (a tenant's). Raises ContextToFetch
    for one that is not there, UnusableContext for what NGSI-LD does not allow.
    """
    if source in (None, [], CORE_URL):
        return CORE
    try:
        key = (shelf_id, msgspec.json.encode(source))
    except (TypeError, RecursionError) as reason:
        raise UnusableContext(msg("O @context não é um endereço, um objeto de termos, nem uma lista deles.")) from reason
    until, context = _composed.get(key, (0.0, None))
    if context is None or time.monotonic() >= until:
        terms: dict[str, str] = {}
        _collect(source, terms, (), find)
        context = Context(source, terms)
        if len(_composed) > 1_000:
            _composed.clear()
        if len(key[1]) <= 64 * 1024:
            _composed[key] = (time.monotonic() + COMPOSED_SECONDS, context)
    return context


def at_hand(conn: psycopg.Connection[Any], tenant_id: int, source: Any, counted: set[str] | None = None) -> Context:
    """The context that a sender of a tenant gave, with what is on that tenant's shelf. Raises as `read`.

    Counts a use of each address, but of none in `counted`: a request that looks twice uses a context once.
    """
    if source in (None, [], CORE_URL):
        return CORE
    context = read(source, lambda address: shelf.find(conn, tenant_id, address), shelf_id=tenant_id)
    for named in fetching.addresses(source):
        if counted is None or named not in counted:
            shelf.count(conn, tenant_id, named)
        if counted is not None:
            counted.add(named)
    return context


def of_tenant(tenant_id: int, source: Any) -> Context:
    """As `at_hand`, for who has no connection in hand (notifications): looks and fetches by itself.

    Where a context cannot be had any more, its words are written as IRIs. Waits for the database, and for the network.
    """
    if (known := remembered(tenant_id, source)) is not None:
        return known
    for _ in range(_DEPTH):
        try:
            with database.connect(autocommit=True) as conn:
                return at_hand(conn, tenant_id, source)
        except ContextToFetch as missing:
            try:
                bring(lambda: database.connect(autocommit=True), tenant_id, missing.address)
            except ContextError:
                break
        except ContextError:
            break
    return Context(source, {})


def remembered(tenant_id: int, source: Any) -> Context | None:
    """The context that a sender of a tenant gave, as far as that needs neither database nor network; else None."""
    if source in (None, [], CORE_URL):
        return CORE
    until, known = _composed.get((tenant_id, msgspec.json.encode(source)), (0.0, None))
    return known if time.monotonic() < until else None


def bring(connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]], tenant_id: int, address: str) -> None:
    """Fetch a context, and those that it names, onto a tenant's shelf; no connection is held while the network answers.

    Raises ContextNotAvailable, UnusableContext.
    """

    def keep(url: str, body: dict[str, object]) -> None:
        with connect() as conn:
            shelf.keep(conn, tenant_id, url, body, Kind.CACHED)

    def have(url: str) -> bool:
        with connect() as conn:
            return shelf.find(conn, tenant_id, url) is not None

    fetching.gather(address, keep, have)


def reload(connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]], tenant_id: int, address: str) -> None:
    """Fetch a context that is on the shelf again; the old one stays unless that succeeds. Raises as `bring`."""
    found = fetching.fetch(address, patient=False)
    with connect() as conn:
        shelf.keep(conn, tenant_id, address, found, Kind.CACHED)
    forget(tenant_id)


def keep(conn: psycopg.Connection[Any], tenant_id: int, url: str, body: dict[str, object], kind: Kind) -> str:
    """Put a context on a tenant's shelf and return its id; `{id}` in `url` becomes it."""
    return shelf.keep(conn, tenant_id, url, body, kind)


def implicit(conn: psycopg.Connection[Any], tenant_id: int, url: str, source: Any) -> str:
    """The address of the context made from an inline one (§5.5.5), the same for the same; `{id}` in `url` becomes its id."""
    body: dict[str, object] = {"@context": source}
    found = shelf.same_body(conn, tenant_id, body)
    return found.url if found else url.replace("{id}", shelf.keep(conn, tenant_id, url, body, Kind.IMPLICIT))


def kept(conn: psycopg.Connection[Any], tenant_id: int, kind: Kind | None = None) -> list[KeptContext]:
    """Every context on a tenant's shelf, oldest first."""
    return shelf.all_of(conn, tenant_id, kind)


def get(conn: psycopg.Connection[Any], tenant_id: int, name: str) -> KeptContext:
    """The context with that id or address. Raises UnknownContext."""
    return shelf.get(conn, tenant_id, name)


def find_kept(conn: psycopg.Connection[Any], tenant_id: int, name: str) -> KeptContext | None:
    """The context with that id or address, None where there is none."""
    return shelf.look_up(conn, tenant_id, name)


def remove(conn: psycopg.Connection[Any], tenant_id: int, name: str) -> None:
    """Take a context off a tenant's shelf. Raises UnknownContext."""
    shelf.remove(conn, tenant_id, name)
    forget(tenant_id)


def is_core(address: str) -> bool:
    """Whether `address` is that of a core context of NGSI-LD."""
    return bool(core.CORE_ADDRESS.fullmatch(address))


def forget(shelf_id: int) -> None:
    """Forget what was composed from a shelf: it changed."""
    for key in [key for key in _composed if key[0] == shelf_id]:
        _composed.pop(key, None)


def check(body: Any, find: Finder | None = None) -> None:
    """Raise UnusableContext unless `body` is a context document as NGSI-LD allows; addresses in it are not looked up."""
    if not isinstance(body, dict) or not isinstance(body.get("@context"), str | dict | list):
        raise UnusableContext(msg("O documento não tem um membro @context que seja um endereço, um objeto ou uma lista."))
    _collect(body["@context"], {}, (), find or (lambda _: {}))


def _too_much() -> UnusableContext:
    return UnusableContext(msg("O @context tem termos ou níveis a mais."))


def _collect(source: Any, terms: dict[str, str], above: tuple[str, ...], find: Finder | None) -> None:
    if len(above) > _DEPTH or len(terms) > _TERMS_LIMIT:
        raise _too_much()
    if isinstance(source, str):
        if not fetching.known(source):
            _collect(_found(source, above, find), terms, (*above, source), find)
    elif isinstance(source, list):
        for part in source:
            _collect(part, terms, (*above, ""), find)
    elif isinstance(source, dict):
        inner = source["@context"] if set(source) == {"@context"} else source
        _collect_terms(inner, terms) if isinstance(inner, dict) else _collect(inner, terms, (*above, ""), find)
    elif source is not None:
        raise UnusableContext(msg("O @context não é um endereço, um objeto de termos, nem uma lista deles."))


def _found(address: str, above: tuple[str, ...], find: Finder | None) -> Any:
    if address in above:
        raise UnusableContext(msg("O @context “{address}” remete para si mesmo."), address=address[:200])
    found = find(address) if find is not None and len(address) <= _ADDRESS_LIMIT else None
    if found is None:
        raise ContextToFetch(msg("O @context “{address}” não é conhecido e não se conseguiu ir buscar."), address=address)
    return found


def _collect_terms(source: Mapping[str, Any], terms: dict[str, str]) -> None:
    if len(source) > _TERMS_LIMIT:
        raise _too_much()
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
