"""Receivers of notifications in a process of their own: one that answers at once, and any number that never do.

`python receivers.py HANGING` prints the ports as JSON (the one that answers first) and takes lines on its input: `report` prints
what came since the last report, as `[arrival, notification id, first entity's id, its value]` by the clock that all processes of a
machine share, and how many connections were open at most to those that hang. The end of the input ends it.
"""

import asyncio
import json
import sys
import time

BACKLOG = 512
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Good(asyncio.Protocol):
    """Reads requests as they come on one connection and takes each."""

    def __init__(self, got):
        self.got, self.buffer, self.transport = got, b"", None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (head := self.buffer.find(b"\r\n\r\n")) >= 0:
            headers = self.buffer[:head].lower()
            length = int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(self.buffer) < head + 4 + length:
                return
            self.got.append((time.monotonic(), self.buffer[head + 4 : head + 4 + length]))
            self.buffer = self.buffer[head + 4 + length :]
            self.transport.write(ANSWER)


class Hanging(asyncio.Protocol):
    """Takes connections and requests, and never answers."""

    open = most = 0

    def connection_made(self, transport):
        Hanging.open += 1
        Hanging.most = max(Hanging.most, Hanging.open)

    def connection_lost(self, reason):
        Hanging.open -= 1


def told(got):
    for at, body in got:
        said = json.loads(body)
        entity = said["data"][0]
        value = next((one["value"] for one in entity.values() if isinstance(one, dict) and isinstance(one.get("value"), int | float)), None)
        yield [at, said["id"], entity["id"], value]


async def main(hanging):
    loop, got = asyncio.get_running_loop(), []
    servers = [await loop.create_server(lambda: Good(got), "127.0.0.1", 0, backlog=BACKLOG)]
    servers += [await loop.create_server(Hanging, "127.0.0.1", 0, backlog=BACKLOG) for _ in range(hanging)]
    sys.stdout.write(json.dumps([server.sockets[0].getsockname()[1] for server in servers]) + "\n")
    sys.stdout.flush()
    while (await asyncio.to_thread(sys.stdin.readline)).strip() == "report":
        taken, got[:] = list(got), []
        sys.stdout.write(json.dumps({"got": list(told(taken)), "most": Hanging.most}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
