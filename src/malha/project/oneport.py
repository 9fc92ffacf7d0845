"""Apps and plane on one port: what `./malha up` serves. The only module that holds both."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path

from a2wsgi import WSGIMiddleware
from django.conf import settings
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from malha.project import lifeline, plane
from malha.project.wsgi import application as apps

DIST = Path(__file__).resolve().parent.parent / "ui" / "assets" / "dist"
APP_THREADS = 16
#: the name of a built file has the hash of what is in it: it never changes
FOR_EVER = "public, max-age=31536000, immutable"


class BuiltFiles(StaticFiles):
    """The built assets, compressed when they were built where the browser takes that."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        accepted = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
        small = f"{path}.br"
        if b"br" in accepted and (DIST / small).is_file():
            response = await super().get_response(small, scope)
            response.headers["Content-Encoding"] = "br"
            response.headers["Content-Type"] = self._type_of(path)
        else:
            response = await super().get_response(path, scope)
        response.headers["Vary"] = "Accept-Encoding"
        if response.status_code in {200, 304}:
            response.headers["Cache-Control"] = FOR_EVER
        return response

    @staticmethod
    def _type_of(path: str) -> str:
        return {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}[Path(path).suffix]


class OnePort:
    """Send each request to the plane, to the built assets, or to the apps."""

    def __init__(self) -> None:
        self.plane = plane.application()
        self.apps: ASGIApp = WSGIMiddleware(apps, workers=APP_THREADS)  # type: ignore[assignment,arg-type]
        import_module(settings.ROOT_URLCONF)  # every page's code, now: the first person who comes does not wait for it
        self.static = BuiltFiles(directory=DIST, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await asyncio.to_thread(lifeline.wait_at_gate)
            await self.plane(scope, receive, send)
        elif scope["path"].startswith("/static/"):
            await self.static({**scope, "root_path": scope.get("root_path", "") + "/static"}, receive, send)
        elif plane.belongs_to_plane(scope["path"]):
            await self.plane(scope, receive, send)
        else:
            await self.apps(scope, receive, send)


lifeline.hold()
application = OnePort()
