import dataclasses

import pytest

from malha.foundation.outgoing import internal
from malha.foundation.outgoing.contracts import NoAnswer, RefusedAddress
from malha.foundation.settings import service as settings


def listing(monkeypatch, *entries):
    conf = dataclasses.replace(settings.current(), internal_hosts=entries)
    monkeypatch.setattr(settings, "current", lambda: conf)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "169.254.169.254",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
    ],
)
def test_internal_addresses_are_refused(address):
    with pytest.raises(RefusedAddress, match="MALHA_INTERNAL_HOSTS"):
        internal.check("example.org", address)


@pytest.mark.parametrize("address", ["193.137.0.1", "2001:690::1"])
def test_public_addresses_pass(address):
    internal.check("example.org", address)


def test_the_operator_lists_hosts_and_networks_by_tenant(monkeypatch):
    listing(monkeypatch, "vila=10.1.0.0/16", "vila=broker.local", "*=127.0.0.1")
    internal.check("x", "10.1.2.3", "vila")
    internal.check("Broker.local.", "192.168.0.9", "vila")
    internal.check("x", "127.0.0.1", "outra")
    for host, address in (("x", "10.1.2.3"), ("broker.local", "192.168.0.9")):
        with pytest.raises(RefusedAddress):
            internal.check(host, address, "outra")


def test_a_name_with_one_internal_address_gets_nowhere(monkeypatch):
    found = [(2, 1, 6, "", ("193.137.0.1", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(internal.socket, "getaddrinfo", lambda *_a, **_k: found)
    with pytest.raises(RefusedAddress):
        internal.addresses("rebind.example", 80)


def test_a_name_that_nobody_has():
    with pytest.raises(NoAnswer):
        internal.addresses("nao-existe.invalid", 80)
