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


def requires(*capabilities: Capability, limited: bool = False) -> Callable[[View], View]:
    """Let only people with all these capabilities in the request's tenant reach the view.

    Somebody who has not signed in is sent to do so and comes back; somebody without the right is told whom to
    ask (403). A tenant's page does not exist on the platform's own address (404). A role that is
    limited to a part of the tenant opens only views that say `limited`: they read through the store and the history
    alone, which keep to the person's reach, and remember nothing from one person to the next.
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
            if principal.reach is not None and not limited:
                return refuse(request, limited=True)
            with reach.limited(principal.reach):
                return view(request, *args, **kwargs)

        guarded.capabilities = frozenset(capabilities)  # type: ignore[attr-defined]  # read by the test that walks every address
        return guarded

    return decorate


def refuse(request: HttpRequest, *, limited: bool = False) -> HttpResponse:
    """The page that says what is missing and whom to ask; to somebody who may see a part, where that part is."""
    context = {"tenant": getattr(request, "tenant", None), "limited": limited}
    return HttpResponse(render_to_string("access/not_allowed.html", context, request), status=403)
