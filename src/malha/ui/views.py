"""The pages of the frame itself: search, help, preferences, the index of a room, errors, the gallery."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from malha.ui import gallery, icons, navigation, search

YEAR_SECONDS = 365 * 24 * 3600
THEMES = ("auto", "light", "dark")


@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """Everything that the search found, room by room."""
    text = request.GET.get("q", "").strip()[:200]
    groups = search.find(request, text) if len(text) > 1 else []
    count = sum(len(group.hits) for group in groups)
    template = "ui/search_results.html" if request.headers.get("HX-Request") else "ui/search.html"
    return render(request, template, {"search_text": text, "groups": groups, "count": count})


@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    """The keys, the words and where to ask."""
    return render(request, "ui/help.html")


@require_http_methods(["GET", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """Language, light or dark, single keys: kept in this browser."""
    if request.method == "POST":
        response = HttpResponseRedirect(reverse("ui:preferences"))
        _set_language(response, request.POST.get("language", ""))
        _keep(response, "malha_theme", request.POST.get("theme", ""), THEMES)
        _keep(response, "malha_keys", "on" if request.POST.get("keys") else "off", ("on", "off"))
        messages.success(request, _("Preferências guardadas neste navegador."))
        return response
    chosen = {"theme": request.COOKIES.get("malha_theme", "auto"), "keys": request.COOKIES.get("malha_keys", "on")}
    return render(request, "ui/preferences.html", {"chosen": chosen, "languages": settings.LANGUAGES})


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Change the language and come back to the same page."""
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        target = request.META.get("SCRIPT_NAME", "") + "/"
    response = HttpResponseRedirect(target)
    _set_language(response, request.POST.get("language", ""))
    return response


def _set_language(response: HttpResponse, code: str) -> None:
    _keep(response, settings.LANGUAGE_COOKIE_NAME, code, tuple(known for known, _name in settings.LANGUAGES))


def _keep(response: HttpResponse, name: str, value: str, known: tuple[str, ...]) -> None:
    if value in known:
        response.set_cookie(name, value, max_age=YEAR_SECONDS, path="/", samesite="Lax", secure=settings.SESSION_COOKIE_SECURE, httponly=True)


def room_index(room: str) -> Callable[[HttpRequest], HttpResponse]:
    """The view of a room's index: its pages, each with a sentence."""

    @require_GET
    def index(request: HttpRequest) -> HttpResponse:
        pages = navigation.entries(request, room) if getattr(request, "tenant", None) else []
        if not pages:
            raise Http404
        here = request.path
        return render(request, "ui/room.html", {"room": navigation.ROOMS[room], "pages": [page for page in pages if page.url() != here]})

    return index


@require_http_methods(["GET", "POST"])
def components(request: HttpRequest) -> HttpResponse:
    """Every component on one page, for the eye and for axe; only for developers and the operator."""
    if not (settings.DEBUG or getattr(request.user, "is_superuser", False) or request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"}):
        raise Http404
    return render(request, "ui/gallery.html", gallery.context(request.GET.get("theme", "")))


@require_GET
def favicon(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    """The mark of Malha: a street grid."""
    return HttpResponse(icons.MARK, content_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


def _error(request: HttpRequest, status: HTTPStatus, title: str, text: str) -> HttpResponse:
    context = {"status": status.value, "title": title, "text": text}
    return render(request, "ui/error.html", context, status=status.value)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    """400."""
    return _error(request, HTTPStatus.BAD_REQUEST, _("Não percebemos o pedido"), _("Volte atrás e tente outra vez; nada se perdeu."))


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403, with the reason when there is one of ours."""
    reason = (
        str(exception) if exception and str(exception) else _("A sua conta não tem permissão para esta página. Peça-a a quem gere o serviço no seu município.")
    )
    return _error(request, HTTPStatus.FORBIDDEN, _("Não tem acesso a esta página"), reason)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    """404."""
    return _error(
        request,
        HTTPStatus.NOT_FOUND,
        _("Esta página não existe"),
        _("O endereço pode ter mudado ou estar mal escrito. Procure o que quer ou comece pelo início."),
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """500: says that it was us, and that nothing half-done was kept. Asks nobody: what failed may be the database."""
    request.without_frame = True  # type: ignore[attr-defined]  # read by the tag `frame`
    return _error(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        _("Algo falhou do nosso lado"),
        _("O que estava guardado continua guardado e nada ficou a meio. Tente outra vez daqui a pouco; se continuar, avise quem gere o serviço."),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 -- Django's signature
    """403 for a form that was open for too long or came from elsewhere."""
    return _error(
        request,
        HTTPStatus.FORBIDDEN,
        _("O formulário perdeu a validade"),
        _("Esteve aberto demasiado tempo ou os cookies estão desligados. Volte atrás, recarregue a página e envie outra vez."),
    )
