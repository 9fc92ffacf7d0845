"""The address `/`: *Hoje* in a tenant, who we are on the platform's own address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from malha.foundation.identity import platform_views
from malha.insight.today import views as today


def home(request: HttpRequest) -> HttpResponseBase:
    """*Hoje*, or the landing page."""
    return platform_views.landing(request) if getattr(request, "tenant", None) is None else today.home(request)
