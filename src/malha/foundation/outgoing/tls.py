"""TLS to an address that was checked: the certificate is still held against the name that was written."""

from __future__ import annotations

import ssl
from typing import Any


class NamedContext(ssl.SSLContext):
    """A client's context that checks the certificate for `name`, though the connection goes to an address."""

    name: str = ""

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*arguments, **{**named, "server_hostname": self.name})


def context_for(name: str) -> NamedContext:
    """A context with the system's authorities and all checks on."""
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    context.load_default_certs()
    return context
