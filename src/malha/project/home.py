"""The address `/`: *Hoje* in a tenant, who we are on the platform's own address."""

from __future__ import annotations

from importlib.util import find_spec

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.module_loading import import_string

from malha.foundation.identity import platform_views

TODAY = "malha.insight.today.views"


def home(request: HttpRequest) -> HttpResponseBase:
    """*Hoje*, or the landing page."""
    if getattr(request, "tenant", None) is None:
        return platform_views.landing(request)
    if find_spec(TODAY) is None:
        return HttpResponseRedirect(reverse("identity:account"))
    view = import_string(f"{TODAY}.home")
    answer: HttpResponseBase = view(request)
    return answer
