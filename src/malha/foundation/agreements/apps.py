"""Django's name for this room."""

from django.apps import AppConfig


class AgreementsConfig(AppConfig):
    """Who else may read a tenant's data."""

    name = "malha.foundation.agreements"
    label = "agreements"
