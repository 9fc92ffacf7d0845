"""What went wrong with a receiver or a source, in words for people. Django's half of the room."""

from __future__ import annotations

import re

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.foundation.language import service as language

_STATUS = re.compile(r"HTTP (\d{3})")


def words(error: str) -> str:
    """A failure in words that say what happened."""
    status = _STATUS.fullmatch(error)
    if status:
        return _("o recetor respondeu com o erro {status}").format(status=status[1])
    if error.startswith(("ConnectError", "ConnectTimeout", "OSError")):
        return _("não se consegue ligar ao recetor: está desligado, ou o endereço já não serve")
    if error.startswith(("RemoteProtocolError", "ReadError", "WriteError", "LocalProtocolError")):
        return _("o recetor fechou a ligação a meio")
    return language.word(error, get_language() or "pt-pt")
