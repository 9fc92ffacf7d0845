"""What went wrong with a receiver or a source, in words for people. Django's half of the room."""

from __future__ import annotations

import re

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.foundation.language import service as language

_UNREACHED = ("ConnectError", "ConnectTimeout", "OSError", "ConnectionRefusedError", "gaierror", "MQTT: [Errno", "MQTT: Disconnected before")
_BROKEN = (
    "RemoteProtocolError",
    "ReadError",
    "WriteError",
    "LocalProtocolError",
    "ConnectionResetError",
    "ConnectionAbortedError",
    "BrokenPipeError",
    "IncompleteReadError",
)
_UNTRUSTED = ("SSLCertVerificationError", "SSLError", "CertificateError")
_STATUS = re.compile(r"HTTP (\d{3})")


def of_source(error: str) -> str:
    """Why a source that is asked gives nothing, in words that say what to do."""
    status = _STATUS.fullmatch(error)
    if status and status[1] in {"401", "403"}:
        return _("já não aceita o nosso acesso: terminou a ligação do lado dela, ou o acesso acabou. Termine-a aqui, ou peça outro convite")
    if status:
        return _("respondeu com o erro {status}").format(status=status[1])
    if error.startswith(_UNREACHED):
        return _("não se lhe consegue ligar: está desligada, ou o endereço já não serve")
    if error.startswith(_BROKEN):
        return _("fechou a ligação a meio")
    return language.word(error, get_language() or "pt-pt")


def words(error: str) -> str:
    """A failure in words that say what happened."""
    status = _STATUS.fullmatch(error)
    if status:
        return _("o recetor respondeu com o erro {status}").format(status=status[1])
    if error.startswith(_UNREACHED):
        return _("não se consegue ligar ao recetor: está desligado, ou o endereço já não serve")
    if error.startswith(_BROKEN):
        return _("o recetor fechou a ligação a meio")
    if error.startswith(_UNTRUSTED):
        return _("o certificado do recetor não serve para este endereço, ou acabou")
    if error.startswith("MQTT: "):
        return _("o broker MQTT não aceitou: {reason}").format(reason=error.removeprefix("MQTT: "))
    return language.word(error, get_language() or "pt-pt")
