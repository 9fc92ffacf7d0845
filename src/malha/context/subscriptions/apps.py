"""Django's name for this room."""

from django.apps import AppConfig


class SubscriptionsConfig(AppConfig):
    """Subscriptions and notifications."""

    name = "malha.context.subscriptions"
    label = "context_subscriptions"
