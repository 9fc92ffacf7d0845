"""Connections to other sources, against a server that says byte by byte what it is told to."""

import asyncio
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from malha.context.federation.asking import connections
from malha.context.federation.asking.connections import Broken, Connections, TooLarge, Unheard, request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
MOST = 1_000


@pytest.fixture(autouse=True, params=["asyncio", "uvloop"])
def every_loop(request, monkeypatch):
    """Each as the plane runs, and as a worker's thread does."""
    if request.param == "uvloop":
        loop = pytest.importorskip("uvloop").new_event_loop
        monkeypatch.setattr(asyncio, "run", partial(asyncio.run, loop_factory=loop))


class Server:
    """Answers each request of each connection with the next of `said`; None ends the connection instead, and so does what closes."""

    def __init__(self, *said, closes=False):
        self.said, self.closes, self.heard, self.opened = list(said), closes, [], 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.connections = Connections(ssl.create_default_context(), MOST)
        return self

    async def __aexit__(self, *_):
        self.connections.close()
        self.server.close()

    async def _serve(self, reader, writer):
        self.opened += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard.append(head)
                said = self.said.pop(0)
                for piece in [said] if isinstance(said, bytes) else said or ():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                if said is None or self.closes:
                    return
        except (asyncio.IncompleteReadError, IndexError, ConnectionError):
            return
        finally:
            writer.close()

    async def ask(self, method="GET"):
        sent = request(method, "/x", [(b"Host", b"here")], b"")
        return await asyncio.wait_for(self.connections.ask(("http", "127.0.0.1", self.port), ["127.0.0.1"], sent, again=method == "GET"), 5)


def asked(server, times=1, method="GET"):
    async def all_of_them():
        async with server:
            return [await server.ask(method) for _ in range(times)]

    return asyncio.run(all_of_them())


def test_it_works():
    server = Server(OK, OK, OK)
    replies = asked(server, 3)
    assert [(one.status, one.body, one.headers) for one in replies] == [(200, b"[]", {"content-length": "2"})] * 3
    assert server.opened == 1
    assert server.heard[0] == b"GET /x HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\nLate: x\r\n\r\n",
        [b"HTTP/1.1 20", b"0 OK\r\ncontent-le", b"ngth: 2\r\n\r\n[", b"]"],
        b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK,
    ],
)
def test_an_answer_in_every_form(said):
    server = Server(said, OK)
    first, second = asked(server, 2)
    assert (first.status, first.body, second.body) == (200, b"[]", b"[]")
    assert {"late", "a"}.isdisjoint(first.headers)
    assert server.opened == 1


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 200 OK\r\n\r\n[]", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]"],
)
def test_an_answer_that_ends_its_connection(said):
    server = Server(said, said, closes=True)
    assert [one.body for one in asked(server, 2)] == [b"[]", b"[]"]
    assert server.opened == 2


def test_an_answer_without_a_body():
    assert [(one.status, one.body) for one in asked(Server(b"HTTP/1.1 204 No Content\r\n\r\n", OK), 2)] == [(204, b""), (200, b"[]")]


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * (connections.HEAD_BYTES + 1),
    ],
)
def test_what_is_no_answer(said):
    with pytest.raises(Broken) as told:
        asked(Server(said, closes=True))
    assert not isinstance(told.value, Unheard)


def test_an_answer_that_is_too_large():
    head = b"HTTP/1.1 200 OK\r\nX: y\r\n"
    for said in (head + b"Content-Length: 2000\r\n\r\n" + b" " * 2000, [head + b"\r\n", *[b" " * 100] * 11]):
        with pytest.raises(TooLarge) as told:
            asked(Server(said))
        assert told.value.headers["x"] == "y"


def test_a_kept_connection_that_just_ended_is_not_noticed_by_whoever_reads():
    server = Server(OK, None, OK)
    assert [one.body for one in asked(server, 2)] == [b"[]", b"[]"]
    assert (server.opened, len(server.heard)) == (2, 3)


def test_nothing_is_written_twice():
    server = Server(OK, None, OK)
    with pytest.raises(Unheard):
        asked(server, 2, "POST")
    assert len(server.heard) == 2


def test_a_new_connection_that_ends_unheard_is_not_tried_again():
    server = Server(None, OK)
    with pytest.raises(Unheard):
        asked(server)


@pytest.mark.parametrize("late", [False, True])
def test_what_was_said_unasked_is_no_answer_to_the_next(late):
    server = Server([OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"] if late else OK + OK.replace(b"[]", b"{}"), OK)

    async def twice():
        async with server:
            first = await server.ask()
            await asyncio.sleep(0.1)
            return first, await server.ask()

    assert [one.body for one in asyncio.run(twice())] == [b"[]", b"[]"]
    assert server.opened == 2


def test_whoever_gives_up_leaves_no_connection_behind():
    server = Server([b"HTTP/1.1 200 OK\r\n"], OK)

    async def give_up():
        async with server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await server.ask()
            assert (await server.ask()).body == b"[]"
            return len(server.connections.idle)

    assert asyncio.run(give_up()) == 1
    assert server.opened == 2


def test_idle_connections_are_bounded(monkeypatch):
    monkeypatch.setattr(connections, "IDLE", 2)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    server = Server(*[OK] * 5)

    async def many():
        async with server:
            await asyncio.gather(*(server.ask() for _ in range(5)))
            kept = len(server.connections.idle)
            await asyncio.sleep(0.4)
            return kept, len(server.connections.idle), len(server.connections.by_place)

    assert asyncio.run(many()) == (2, 0, 0)


def test_nobody_listens():
    server = Server()

    async def after():
        async with server:
            server.server.close()
            await server.server.wait_closed()
            await server.ask()

    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        asyncio.run(after())


@pytest.mark.parametrize(
    ("target", "header"),
    [
        ("/x y", (b"A", b"b")),
        ("/x\r\nA: b", (b"A", b"b")),
        ("/x", (b"A\r\nB", b"b")),
        ("/x", (b"A", b"b\r\nB: c")),
        ("/x", (b"A", b"b\nB: c")),
        ("/ç", (b"A", b"b")),
    ],
)
def test_nothing_ends_a_line(target, header):
    with pytest.raises(Broken):
        request("GET", target, [header], b"")


def _certified(folder, name):
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    moment = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(1)
        .not_valid_before(moment - timedelta(days=1)).not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "cert.pem"
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + plain)
    return file


def test_tls_is_with_whom_it_was_meant(tmp_path):
    file = _certified(tmp_path, "fonte.exemplo.pt")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(file)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        writer.close()

    async def ask(host):
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=theirs)
        ours = Connections(ssl.create_default_context(cafile=str(file)), MOST)
        try:
            port = server.sockets[0].getsockname()[1]
            return await ours.ask(("https", host, port), ["127.0.0.1"], request("GET", "/", [], b""), again=False)
        finally:
            ours.close()
            server.close()

    assert asyncio.run(ask("fonte.exemplo.pt")).body == b"[]"
    for other in ("outra.exemplo.pt", "127.0.0.1"):
        with pytest.raises(ssl.SSLCertVerificationError):
            asyncio.run(ask(other))
