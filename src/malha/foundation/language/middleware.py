"""Turn our errors into pages, or into RFC 9457 problems where a program asks, in the reader's language."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.foundation.language import service
from malha.foundation.language.contracts import DEFAULT
from malha.kernel.errors import MalhaError


class ErrorsMiddleware:
    """A `MalhaError` that a view lets through is said to the reader, never a traceback."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", "") or "\0" in request.path_info:  # no text of the database can hold it
            text = _("O endereço tem um carácter que nenhum texto pode ter.")
            return render(request, "ui/error.html", {"status": 400, "title": _title(400), "text": text}, status=400)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The page or problem for one of our errors; anything else goes on to Django."""
        if not isinstance(error, MalhaError) or (settings.DEBUG and error.status >= 500):
            return None
        text = service.explain(error, get_language() or DEFAULT)
        if _wants_problem(request):
            return HttpResponse(json.dumps(problem(error, text), ensure_ascii=False), status=error.status, content_type="application/problem+json")
        return render(request, "ui/error.html", {"status": error.status, "title": _title(error.status), "text": text}, status=error.status)


def _wants_problem(request: HttpRequest) -> bool:
    preferred = request.get_preferred_type(["text/html", "application/problem+json", "application/json"])
    return preferred is not None and preferred != "text/html"


def problem(error: MalhaError, text: str) -> dict[str, object]:
    """The members of an RFC 9457 problem; its type is stable across releases."""
    return {"type": f"urn:malha:problem:{error.slug}", "title": text, "status": error.status}


def _title(status: int) -> str:
    titles = {
        400: _("Não percebemos o pedido"),
        403: _("Não tem acesso a esta página"),
        404: _("Esta página não existe"),
        409: _("Alguém mudou isto entretanto"),
        410: _("Isto já não está aqui"),
        503: _("Uma parte de que precisamos não responde agora"),
    }
    return titles.get(status, _("Algo falhou do nosso lado"))
