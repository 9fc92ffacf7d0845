"""Words: searching and ordering Portuguese text without a locale of the machine."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable

#: stands between a kept sentence and its parameters
_APART = "\x1e"
#: stands between two kept sentences that are said one after the other
_THEN = "\x1d"
_SPACES = re.compile(r"\s+")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
#: abbreviations in names of places that people type both ways
_ABBREVIATIONS = {
    "s.": "sao",
    "sta.": "santa",
    "sto.": "santo",
    "n.": "nossa",
    "sra.": "senhora",
    "av.": "avenida",
    "r.": "rua",
    "pc.": "praca",
    "lg.": "largo",
}


def whole_number(text: str, otherwise: int) -> int:
    """The whole number, 0 to 999,999,999, that an address or a form gives; `otherwise` for anything else (`²` is a digit to Python, and no number)."""
    return int(text) if len(text) < 10 and text.isascii() and text.isdigit() else otherwise


def msg(message: str) -> str:
    """Mark a Portuguese sentence for the English catalogue where no translation happens yet."""
    return message


def sentence(message: str, **params: object) -> str:
    """A Portuguese sentence and its parameters as one text that can be kept, to be worded in the reader's language when it is shown."""
    return message + _APART + json.dumps(params, ensure_ascii=False, default=str) if params else message


def sentences(*kept: str) -> str:
    """Sentences that can be kept, as one text that can be kept: they are said one after the other."""
    return _THEN.join(one for one in kept if one)


def parts_of(kept: str) -> tuple[str, dict[str, object]]:
    """What `sentence` put together; any other text is a sentence without parameters."""
    message, apart, params = kept.partition(_APART)
    return message, json.loads(params) if apart else {}


def worded(kept: str, translate: Callable[[str], str]) -> str:
    """What `sentence` and `sentences` put together, each sentence through `translate`; so is a parameter called `reason`."""
    return " ".join(_worded(one, translate) for one in kept.split(_THEN)) if kept else ""


def _worded(kept: str, translate: Callable[[str], str]) -> str:
    message, params = parts_of(kept)
    if isinstance(params.get("reason"), str):
        params["reason"] = worded(str(params["reason"]), translate)
    said = translate(message) if message else ""
    return said.format(**params) if params else said


def unaccent(text: str) -> str:
    """`text` without diacritics: "Évora" becomes "Evora"."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def normalise(text: str) -> str:
    """The stored form that searches compare: lower case, no accents, single spaces, common abbreviations opened."""
    words = _SPACES.sub(" ", unaccent(text).lower()).strip().split(" ")
    return " ".join(_ABBREVIATIONS.get(word, word) for word in words)


def sort_key(text: str) -> str:
    """A key whose byte order is the Portuguese order of `text`: letters first, accents as a tie-break."""
    return f"{_SPACES.sub(' ', unaccent(text).casefold()).strip()}\x01{text.casefold()}"


def slug(text: str) -> str:
    """A piece of an address made from a name: "Vila Nova de Gaia" becomes "vila-nova-de-gaia"."""
    return _NOT_SLUG.sub("-", unaccent(text).lower()).strip("-")


#: what a header cannot say, as it can
_IN_HEADER = str.maketrans({"“": "'", "”": "'", "–": "-", "…": "...", "·": "-", "›": ">", '"': "'", "\\": "/"})


def in_header(text: str, limit: int) -> str:
    """A text as the quoted part of a header: printable ASCII, accents left out, `?` for what has no such form (RFC 9110 §5.5, §5.6.4)."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.translate(_IN_HEADER)) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in plain[:limit])
