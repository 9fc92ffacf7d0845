"""The guard of pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string

from malha.foundation.access import reach, service
from malha.foundation.access.contracts import Capability

PLATFORM = frozenset({Capability.PLATFORM_OPERATE, Capability.TENANT_CREATE})


type View = Callable[..., HttpResponseBase]


def requires(*capabilities: Capability) -> Callable[[View], View]:
    """Let only people with all these capabilities in the request's tenant reach the view.

    Somebody who has not signed in is sent to do so and comes back; somebody without the right is told whom to
    ask (403). A tenant's page does not exist on the platform's own address (404). What the view reads stays within
    the person's reach.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            if getattr(request, "tenant", None) is None and not PLATFORM.issuperset(capabilities):
                raise Http404
            principal = service.principal(request)
            if principal.person_id is None:
                return redirect_to_login(request.get_full_path())
            if not principal.capabilities.issuperset(capabilities):
                return refuse(request)
            with reach.limited(principal.reach):
                return view(request, *args, **kwargs)

        guarded.capabilities = frozenset(capabilities)  # type: ignore[attr-defined]  # read by the test that walks every address
        return guarded

    return decorate


def refuse(request: HttpRequest) -> HttpResponse:
    """The page that says what is missing and whom to ask."""
    return HttpResponse(render_to_string("access/not_allowed.html", {"tenant": getattr(request, "tenant", None)}, request), status=403)
