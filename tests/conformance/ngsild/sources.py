"""Other brokers for tests, on loopback: they answer what a test says, and keep what they were asked."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

TYPE = "Contentor"
CSR = "csourceRegistrations"


def entity(number=1, **attributes):
    return {"id": f"urn:x:{TYPE}:{number}", "type": TYPE, **attributes}


def level(value, observed=None, **more):
    return {"type": "Property", "value": value, **({"observedAt": f"2026-01-01T{observed}:00Z"} if observed else {}), **more}


def only(attribute, number=1):
    return [{"entities": [{"type": TYPE, "id": f"urn:x:{TYPE}:{number}"}], "propertyNames": [attribute]}]


class Asked:
    def __init__(self, method, path, params, headers, body):
        self.method, self.path, self.params, self.headers, self.body = method, path, params, headers, body


class Source:
    """A broker of its own: `answers[method, path]` is (status, body) or a function of what was asked; anything else is 404."""

    def __init__(self):
        self.asked, self.answers, self.delay = [], {}, 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length) if length else b""
                asked = Asked(
                    self.command,
                    parts.path.removeprefix("/ngsi-ld/v1"),
                    dict(parse_qsl(parts.query)),
                    dict(self.headers.items()),
                    json.loads(raw) if raw[:1] in b"{[" and raw else raw.decode() or None,
                )
                outer.asked.append(asked)
                if outer.delay:
                    time.sleep(outer.delay)
                found = outer.answers.get((self.command, asked.path), (404, None))
                status, body, *more = found(asked) if callable(found) else found
                data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # whoever asked may have given up
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        for verb in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            setattr(Handler, f"do_{verb}", Handler._answer)

        class Server(ThreadingHTTPServer):
            request_queue_size = 64
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, *entities):
        """Hold entities: queries and retrievals find them."""

        def query(asked):
            found = [one for one in entities if _holds(one, asked)]
            limit, offset = int(asked.params.get("limit", 100)), int(asked.params.get("offset", 0))
            return 200, found[offset : offset + limit], {"NGSILD-Results-Count": str(len(found))}

        self.answers["GET", "/entities"] = query
        for one in entities:
            self.answers["GET", f"/entities/{one['id']}"] = (200, one)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def _holds(one, asked):
    types, ids = asked.params.get("type", "").split(","), asked.params.get("id", "").split(",")
    name = one["type"].rsplit("/", 1)[-1]
    return (types == [""] or name in {each.rsplit("/", 1)[-1] for each in types}) and (ids == [""] or one["id"] in ids)
