"""Say a sentence in the reader's language, without Django: for the plane, the worker and the commands."""

from __future__ import annotations

import gettext
import locale
import os
from collections.abc import Mapping
from functools import cache

from malha.foundation.language import catalogue
from malha.foundation.language.contracts import DEFAULT, ENGLISH, PORTUGUESE
from malha.kernel.errors import MalhaError
from malha.kernel.text import worded


@cache
def _english() -> gettext.NullTranslations:
    catalogue.ensure_compiled()
    path = catalogue.PACKAGE / catalogue.TARGET
    if not path.exists():
        return gettext.NullTranslations()
    with path.open("rb") as handle:
        return gettext.GNUTranslations(handle)


def translate(message: str, language: str, **params: object) -> str:
    """`message` (the Portuguese sentence) in `language`, with its parameters put in; one called `reason` is a sentence too."""
    if isinstance(params.get("reason"), str):
        params["reason"] = word(str(params["reason"]), language)
    text = _english().gettext(message) if language.startswith(ENGLISH) and message else message
    return text.format(**params) if params else text


def say(message: str, **params: object) -> str:
    """`message` in the language of this terminal: for commands."""
    return translate(message, of_terminal(), **params)


def word(kept: str, language: str) -> str:
    """A sentence that was stored (`kernel.text.sentence`), in `language`."""
    return worded(kept, lambda message: translate(message, language))


def explain(error: MalhaError, language: str) -> str:
    """What an error says, in `language`."""
    return translate(error.message, language, **error.params)


def of_request(headers: Mapping[str, str], cookies: Mapping[str, str] | None = None) -> str:
    """The language that a reader asked for: its cookie first, then `Accept-Language`, else Portuguese (RFC 9110 §12.5.4)."""
    chosen = (cookies or {}).get("malha_language", "")
    if chosen:
        return ENGLISH if chosen.startswith(ENGLISH) else PORTUGUESE
    best, best_weight = DEFAULT, 0.0
    for part in headers.get("accept-language", "").split(","):
        tag, _, rest = part.strip().partition(";")
        try:
            weight = float(rest.partition("=")[2]) if rest else 1.0
        except ValueError:
            weight = 0.0
        code = tag.lower().partition("-")[0]
        if code in {"pt", "en"} and weight > best_weight:
            best, best_weight = (ENGLISH if code == "en" else PORTUGUESE), weight
    return best


def of_terminal() -> str:
    """The language of this terminal: Portuguese unless the locale says another; then English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return PORTUGUESE if value.lower().startswith(("pt", "c.", "posix")) or value == "C" else ENGLISH
    found = locale.getlocale()[0] or ""
    return ENGLISH if found.lower().startswith("en") else DEFAULT
