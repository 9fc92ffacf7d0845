"""The read-only SQL login of a tenant: whether it can be had here, and its making (see `sql/hub.sql`)."""

from __future__ import annotations

from malha.foundation.settings import service as settings
from malha.kernel.text import msg


def why_not() -> str:
    """Why there is no SQL login here; empty where there can be one."""
    conf = settings.current()
    if not conf.database_url:
        return msg(
            "Esta instalação usa a base de dados embutida, que só escuta neste computador, sem rede nem TLS. Com um servidor PostgreSQL próprio (MALHA_DATABASE_URL) o acesso por SQL pode ser ligado."
        )
    return ""
