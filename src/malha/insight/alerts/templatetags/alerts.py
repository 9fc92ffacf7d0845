"""Tags of alarms: `{% load alerts %}`."""

from __future__ import annotations

from django import template
from django.utils.translation import get_language

from malha.foundation.tenancy.contracts import Tenant
from malha.insight.alerts import notices
from malha.insight.alerts.contracts import Alarm
from malha.kernel import time

register = template.Library()


@register.simple_tag
def describe(alarm: Alarm, tenant: Tenant) -> dict[str, str]:
    """The figures of an alarm and since when, as text."""
    language = get_language() or "pt-pt"
    return {"figures": notices.comparison(alarm, language), "since": notices.since(alarm, tenant.zone, time.now(), language)}


@register.filter
def unlocalized(value: float) -> str:
    """A coordinate for an address: with a point, whatever the language."""
    return repr(value)
