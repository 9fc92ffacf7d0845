"""Which addresses that strangers gave may be connected to: the public ones, and internal ones that the operator listed.

Ask `addresses` again at every connection and connect to what it returns, never to the name: a name can change between
a check and its use. Django-free.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache

from malha.foundation.outgoing.contracts import NoAnswer, RefusedAddress
from malha.foundation.settings import service as settings
from malha.kernel.text import msg

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def addresses(host: str, port: int, tenant: str = "") -> list[str]:
    """The addresses of `host` that may be reached for `tenant` (its slug). Looks the name up; may take seconds.

    Raises RefusedAddress when one of them is internal and not listed in MALHA_INTERNAL_HOSTS for the tenant (all are
    checked, so that a name with a public and a private address gets nowhere); NoAnswer without an address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as reason:
        raise NoAnswer(msg("Não há nenhum computador com o nome {host}."), host=host[:253]) from reason
    known = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in known:
        check(host, address, tenant)
    return known


def check(host: str, address: str, tenant: str = "") -> None:
    """Raise RefusedAddress unless `address`, found for `host`, may be reached for `tenant`."""
    ip = _plain(address)
    if (ip.is_global and not ip.is_multicast) or settings.current().fetch_private:
        return
    names, networks = listed(settings.current().internal_hosts, tenant)
    if host.lower().rstrip(".") in names or any(ip in network for network in networks):
        return
    raise RefusedAddress(
        msg("{host} fica numa rede interna ({address}). Quem opera o serviço pode permiti-lo em MALHA_INTERNAL_HOSTS."), host=host[:253], address=address
    )


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that is really meant: one of IPv4 written as IPv6 is one of IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return ip.ipv4_mapped
        if ip.sixtofour:
            return ip.sixtofour if not ip.sixtofour.is_global else ip
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


@lru_cache(maxsize=512)
def listed(entries: tuple[str, ...], tenant: str) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Host names and networks that are allowed for a tenant: entries are `slug=host` or `slug=network`, `*` for all tenants."""
    names: set[str] = set()
    networks: list[Network] = []
    for entry in entries:
        slug, _, place = entry.rpartition("=")
        if slug not in {"*", tenant}:
            continue
        try:
            networks.append(ipaddress.ip_network(place, strict=False))
        except ValueError:
            names.add(place.lower().rstrip("."))
    return frozenset(names), tuple(networks)
