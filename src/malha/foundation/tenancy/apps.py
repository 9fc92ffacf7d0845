"""Django's name for this room."""

from django.apps import AppConfig

from malha.foundation.database import django as database
from malha.foundation.database import service


class TenancyConfig(AppConfig):
    """Organisations and tenants."""

    name = "malha.foundation.tenancy"
    label = "tenancy"

    def ready(self) -> None:
        service.provide_current(database.current)
