"""Django's name for this room."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """Rules, alarms, notices."""

    name = "malha.insight.alerts"
    label = "alerts"
