"""Django's name for this room; only its migrations and models need Django."""

from django.apps import AppConfig


class TokensConfig(AppConfig):
    """Keys and generations."""

    name = "malha.foundation.tokens"
    label = "tokens"
