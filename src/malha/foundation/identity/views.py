"""Pages of signing in and of the person."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import get_script_prefix


@login_required
def entered(_request: HttpRequest) -> HttpResponse:
    """After signing in without another place to go: the home of the tenant, or of the platform."""
    return HttpResponseRedirect(get_script_prefix())
