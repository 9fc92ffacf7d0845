"""What a new member is offered first, for whichever page welcomes it."""

from __future__ import annotations

from django import template
from django.template import Context

from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Organisation, Tenant

register = template.Library()


@register.simple_tag(takes_context=True)
def offered_delegate(context: Context) -> Organisation | None:
    """The tenant's community, while it could run the service and nobody was asked to: `{% offered_delegate as offered %}`."""
    tenant = getattr(context.get("request"), "tenant", None)
    if not isinstance(tenant, Tenant) or tenancy.delegations(tenant.id):
        return None
    return tenancy.offered_delegate(tenant.id)
