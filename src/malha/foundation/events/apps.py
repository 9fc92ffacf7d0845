"""Django's name for this room."""

from django.apps import AppConfig


class EventsConfig(AppConfig):
    """What happened, told to other rooms after it was committed."""

    name = "malha.foundation.events"
    label = "events"
