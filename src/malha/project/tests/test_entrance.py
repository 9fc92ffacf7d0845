"""The server's connections, under a flood of them."""

import asyncio
import resource
from collections import Counter

import pytest
import uvicorn

from malha.project import entrance, nodes

FLOOD = 2_000


async def _asked(port, sent, seconds=30):
    """The status that somebody is told, or how it ended."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), seconds)
    except (OSError, TimeoutError) as reason:
        return type(reason).__name__
    try:
        writer.write(sent)
        head = await asyncio.wait_for(reader.read(4_000), seconds)
        return head.split(b" ")[1].decode() if head else "closed"
    except (OSError, TimeoutError) as reason:
        return "closed" if isinstance(reason, ConnectionError) else type(reason).__name__
    finally:
        writer.close()


@pytest.fixture
def descriptors():
    """Room in this process for the other ends of a flood."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * FLOOD
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"o sistema só deixa abrir {hard} ficheiros")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("few", [False, True])
def test_a_plane_outlives_a_flood(tmp_path, descriptors, few):
    with nodes.nodes(tmp_path, ("um",)) as (one,):
        port, path = int(one.url.rpartition(":")[2]), one.api.removeprefix(one.url)
        if few:
            resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (1_024, 1_024))
        sent = f"GET {path}/entities?type=X HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.token}\r\n\r\n".encode()

        async def flood(said):
            return Counter(await asyncio.gather(*(_asked(port, said) for _ in range(FLOOD))))

        async def both():
            return await flood(sent), await flood(sent + b"POST / HT"), await _later()

        async def _later():
            await asyncio.sleep(entrance.LINGER_SECONDS + 1)
            return [await _asked(port, sent) for _ in range(3)]

        first, second, after = asyncio.run(both())
        assert after == ["200"] * 3
        for told in (first, second):
            assert told["200"] > 0, told
            assert set(told) <= ({"200", "429", "503", "closed"} if few else {"200", "429", "503"}), told
            if few:
                assert told["503"] > 0, told
        if not few:
            assert first["200"] + first["429"] + first["503"] == FLOOD


async def _served(work, monkeypatch, **changed):
    for name, value in changed.items():
        monkeypatch.setattr(entrance, name, value)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", http="malha.project.entrance:Connection"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        return await asyncio.wait_for(work(server.servers[0].sockets[0].getsockname()[1]), 20)
    finally:
        server.should_exit = True
        await serving


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_who_says_nothing_is_let_go(monkeypatch):
    async def work(port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        silent[0][1].write(b"GET / HTTP/1.1\r\nHost:")
        kept, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert b"200" in await kept.read(1_000)
        assert await _asked(port, GET) == "503"
        ended = []
        for reader, _ in silent:
            try:
                ended.append(await reader.read(1_000))
            except ConnectionError:
                ended.append(b"")
        assert ended == [b""] * 3
        writer.write(GET)  # whoever asked once may go on
        assert b"200" in await kept.read(1_000)
        assert await _asked(port, GET) == "200"
        for one in (writer, *(each for _, each in silent)):
            one.close()

    asyncio.run(_served(work, monkeypatch, MOST=4, HEAD_SECONDS=0.5))


def test_who_is_sent_away_hears_why(monkeypatch):
    async def work(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        await reader.read(1_000)
        other, sender = await asyncio.open_connection("127.0.0.1", port)
        sender.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)  # more than is ever read
        said = await other.read(2_000)
        assert said == entrance.FULL
        assert b"Retry-After: 1" in said
        writer.close()
        sender.close()
        await asyncio.sleep(0.6)
        assert entrance.SentAway.lingering == 0
        return await _asked(port, GET)

    assert asyncio.run(_served(work, monkeypatch, MOST=1, LINGER_SECONDS=0.3)) == "200"


def test_room_is_what_the_system_allows(monkeypatch):
    limits = {"now": (1_024, 5_000)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, said: limits.update(now=said))
    assert entrance.room() == 1_024 - entrance.OWN - entrance.LINGERING
    entrance.make_room()
    assert limits["now"] == (5_000, 5_000)
    limits["now"] = (1_024, resource.RLIM_INFINITY)
    entrance.make_room()
    assert entrance.room() == entrance.MOST
