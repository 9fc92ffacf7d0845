"""Apps and plane on one port: what `./malha up` serves. The only module that holds both."""

from __future__ import annotations

from pathlib import Path

from a2wsgi import WSGIMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from malha.project import lifeline, plane
from malha.project.wsgi import application as apps

DIST = Path(__file__).resolve().parent.parent / "ui" / "assets" / "dist"
APP_THREADS = 16


class OnePort:
    """Send each request to the plane, to the built assets, or to the apps."""

    def __init__(self) -> None:
        self.plane = plane.application()
        self.apps: ASGIApp = WSGIMiddleware(apps, workers=APP_THREADS)  # type: ignore[assignment,arg-type]
        self.static = StaticFiles(directory=DIST, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.plane(scope, receive, send)
        elif scope["path"].startswith("/static/"):
            await self.static({**scope, "root_path": scope.get("root_path", "") + "/static"}, receive, send)
        elif plane.belongs_to_plane(scope["path"]):
            await self.plane(scope, receive, send)
        else:
            await self.apps(scope, receive, send)


lifeline.hold()
application = OnePort()
