"""Regular expressions that strangers give: RE2, whose time grows with the text and never explodes."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from malha.context.subscriptions.contracts import Unusable
from malha.kernel.text import msg

LENGTH = 512


def check(pattern: str) -> str:
    """The pattern itself. Raises Unusable unless it is one."""
    if len(pattern) > LENGTH:
        raise Unusable(msg("O padrão “{pattern}…” é demasiado longo."), pattern=pattern[:40])
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowInvalid, pa.ArrowException) as reason:
        raise Unusable(msg("O padrão “{pattern}” não é uma expressão regular que se possa usar aqui."), pattern=pattern[:80]) from reason
    return pattern


@lru_cache(maxsize=8192)
def found(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text."""
    try:
        return bool(pc.match_substring_regex(pa.array([text]), pattern)[0].as_py())
    except pa.ArrowInvalid:
        return False
