"""What a signed-in person's request carries: their language, and the token that the plane reads."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from malha.foundation.access import service as access
from malha.foundation.identity import service
from malha.foundation.tokens.contracts import LIFETIME_SECONDS

COOKIE = "malha_plane"
#: a token with less than this left is replaced by the next page
RENEW_BELOW_SECONDS = 8 * 60


class PersonMiddleware:
    """Speak the language that the person chose."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = getattr(request.user, "language", "")
        if language and language != translation.get_language():
            translation.activate(language)
            request.LANGUAGE_CODE = language
        response = self.get_response(request)
        chosen = response.cookies.get(settings.LANGUAGE_COOKIE_NAME)
        if chosen is not None and request.user.is_authenticated:
            service.speak(request.user.pk, chosen.value)  # they have just changed it, in the footer or the preferences
        elif language and request.user.is_authenticated and request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME) != request.user.language:
            response.set_cookie(
                settings.LANGUAGE_COOKIE_NAME, request.user.language, max_age=365 * 24 * 3600, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE, path="/"
            )
        return response


class PlaneCookieMiddleware:
    """On a tenant's pages, give a signed-in person the short-lived token with which scripts read from the plane."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        tenant = getattr(request, "tenant", None)
        if tenant is None or response.status_code >= 500:
            return response
        path = request.META.get("SCRIPT_NAME", "") + "/"
        if not request.user.is_authenticated:
            if COOKIE in request.COOKIES:
                response.delete_cookie(COOKIE, path=path, samesite="Lax")
            return response
        if not _still_good(request.COOKIES.get(COOKIE, ""), request.user.pk, tenant.id):
            token = service.issue_token(access.principal(request))
            response.set_cookie(COOKIE, token, max_age=LIFETIME_SECONDS, path=path, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
        return response


def _still_good(token: str, person_id: int, tenant_id: int) -> bool:
    """Whether the browser's token is this person's, for this tenant, of this generation, and lasts a while.

    Its signature is the plane's business: a forged one is refused there.
    """
    try:
        payload = token.split(".")[1]
        said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        fresh = bool(said["exp"] - time.time() > RENEW_BELOW_SECONDS)
        ours = bool(said["sub"] == f"person:{person_id}" and said["tenants"] == [tenant_id])
        return fresh and ours and bool(said["gen"] == service.person_generation(person_id))
    except (IndexError, ValueError, KeyError, TypeError):
        return False
