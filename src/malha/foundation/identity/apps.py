"""Django's name for this room."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """People and how they prove who they are."""

    name = "malha.foundation.identity"
    label = "identity"

    def ready(self) -> None:
        """Listen to what allauth tells, and check the operator's settings."""
        from malha.foundation.identity import checks, receivers, script  # noqa: PLC0415 -- models are ready only now

        receivers.connect()
        checks.register()
        script.install()
