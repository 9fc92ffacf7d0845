"""Django's name for this room."""

from django.apps import AppConfig


class TenancyConfig(AppConfig):
    """Organisations and tenants."""

    name = "malha.foundation.tenancy"
    label = "tenancy"
