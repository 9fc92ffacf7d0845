"""Django's name for this room."""

from django.apps import AppConfig


class SensorThingsConfig(AppConfig):
    """Entities and their history as Things, Datastreams and Observations."""

    name = "malha.share.sensorthings"
    label = "sensorthings"
