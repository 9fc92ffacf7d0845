"""What the frame shows of rooms that stand beside `ui` and so cannot register themselves: tenants, people, connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.ui import navigation


def may(capability: Capability) -> Callable[[HttpRequest], bool]:
    """Visible to whoever has `capability` in the tenant of the request."""

    def visible(request: HttpRequest) -> bool:
        return access.principal(request).may(capability)

    return visible


def tenants(request: HttpRequest) -> Iterator[navigation.TenantLink]:
    """The municipalities that the person may move between; those that delegated say to whom."""
    here = getattr(request, "tenant", None)
    for door in access.tenants_of(int(request.user.pk or 0)):  # asked only for people who are signed in
        url = f"{request.scheme}://{door.hostname}/" if door.hostname else f"/{door.slug}/"
        if not door.hostname and here is not None and here.hostname:
            url = f"{settings.PUBLIC_URL}{url}"
        text = _("por delegação em %(name)s") % {"name": door.via} if door.via else ""
        yield navigation.TenantLink(door.name, url, current=here is not None and here.id == door.id, text=text)


def fictitious(request: HttpRequest) -> str | Promise | None:
    """The ribbon of the demo town."""
    tenant = getattr(request, "tenant", None)
    return _("Vila fictícia: pessoas, lugares e números inventados para experimentar a Malha.") if tenant and tenant.is_demo else None


def compose() -> None:
    """Register everything; safe to repeat."""
    navigation.register_tenants(tenants)
    if fictitious not in navigation.registry.ribbons:
        navigation.register_ribbon(fictitious)
    navigation.register(
        "gestao",
        gettext_lazy("Pessoas"),
        "identity:people",
        may(Capability.PEOPLE_MANAGE),
        text=gettext_lazy("Quem trabalha aqui, e o que cada um pode fazer."),
        order=10,
    )
    navigation.register(
        "dados",
        gettext_lazy("Ligações"),
        "identity:machines",
        may(Capability.CLIENTS_MANAGE),
        text=gettext_lazy("Programas e sensores que leem e escrevem dados."),
        order=90,
    )
