"""One exchange after the other on a connection that stays; answers of every shape, and requests that cannot be two."""

import asyncio

import pytest

from malha.context.subscriptions import http, wire
from malha.context.subscriptions.contracts import Message


class Gate:
    async def addresses(self, _host, _port, _tenant):
        return ["127.0.0.1"]


async def serve(answers):
    """A server that gives the n-th request of each connection the n-th of `answers`, None ends the connection. (port, what came)"""
    got = []

    async def take(reader, writer):
        for answer in answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            got.append((writer.get_extra_info("peername"), head, await reader.readexactly(length)))
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], got


def exchange(answers, times=1, **headers):
    async def run():
        server, port, got = await serve(answers)
        sender = http.Http(Gate())
        message = Message(f"http://127.0.0.1:{port}/a/ç?x=1", b'{"a":1}', {"Content-Type": "application/json", **headers}, "application/json", 2.0)
        try:
            return [await sender.send(message, "t") for _ in range(times)], got, sender.open
        finally:
            await sender.close()
            server.close()

    return asyncio.run(run())


OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def test_it_works_again_and_again_on_one_connection():
    sent, got, connections = exchange([OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", OK], 3)
    assert [(one.ok, one.status) for one in sent] == [(True, 204), (True, 200), (True, 204)]
    assert len({peer for peer, _, _ in got}) == 1
    assert got[0][1].startswith(b"POST /a/%C3%A7?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert got[0][2] == b'{"a":1}'
    assert connections == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000, 200),
    ],
)
def test_answers_of_every_shape(answer, status):
    sent, _, _ = exchange([answer])
    assert sent[0].status == status
    assert sent[0].ok is (status < 300)


def test_what_is_no_answer_is_said():
    sent, _, connections = exchange([b"hello\r\n\r\n"])
    assert not sent[0].ok
    assert not sent[0].permanent
    assert connections == 0


def test_a_connection_closed_while_idle_is_made_anew():
    sent, got, _ = exchange([OK, None], 2)  # the second request finds the connection closed, or closing
    assert [one.ok for one in sent] == [True, True]
    assert len({peer for peer, _, _ in got}) == 2


def test_one_that_closes_without_an_answer_fails():
    sent, got, _ = exchange([None])
    assert not sent[0].ok
    assert len(got) == 1


def test_a_header_with_a_line_break_is_refused_for_good():
    sent, got, _ = exchange([OK], **{"X-A": "1\r\nX-B: 2"})
    assert not sent[0].ok
    assert sent[0].permanent
    assert not got


def test_a_header_without_a_name_cannot_be_sent():
    with pytest.raises(wire.Unsendable):
        wire.request("/", [("a b", "c")], b"")
