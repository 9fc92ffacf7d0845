"""Django's name for this room."""

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    """Indicators declared once."""

    name = "malha.insight.metrics"
    label = "metrics"
