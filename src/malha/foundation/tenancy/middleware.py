"""Find the tenant of a request, by host name or by the first step of the path, and open its scope."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import set_script_prefix

from malha.foundation.tenancy import service


class TenantMiddleware:
    """Sets `request.tenant` (None on the platform's own pages) and runs the request in the tenant's scope.

    By path, `/<slug>/…` is stripped into the script name, so that `reverse()` writes addresses of the same
    tenant; by host name there is nothing to strip. A path address of a tenant that has a host name of its
    own is redirected there, and the other way round, so permalinks survive the move.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        host = request.get_host().partition(":")[0]
        slug, _, rest = request.path_info.removeprefix("/").partition("/")
        tenant = service.by_address(host, slug)
        if tenant is not None and tenant.hostname == host:
            set_script_prefix("/")
            if slug == tenant.slug:
                return HttpResponseRedirect(_with_query(request, f"/{rest}"))
        else:
            if tenant is not None and tenant.hostname:
                return HttpResponseRedirect(_with_query(request, f"{request.scheme}://{tenant.hostname}/{rest}"))
            if tenant is not None:
                request.path_info = f"/{rest}"
                request.META["SCRIPT_NAME"] = f"/{slug}"
                set_script_prefix(f"/{slug}/")
            else:
                set_script_prefix("/")
        request.tenant = tenant  # type: ignore[attr-defined]
        try:
            if tenant is None:
                return self.get_response(request)
            with service.scope(tenant.id):
                response = self.get_response(request)
                if response.status_code >= 500:  # the error was turned into a page: keep nothing half-done
                    transaction.set_rollback(True)
                return response
        finally:
            set_script_prefix("/")


def _with_query(request: HttpRequest, target: str) -> str:
    query = request.META.get("QUERY_STRING", "")
    return f"{target}?{query}" if query else target
