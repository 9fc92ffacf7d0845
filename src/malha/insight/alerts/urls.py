"""Addresses of alarms."""

from django.urls import path

from malha.insight.alerts import rule_views, views

app_name = "alerts"
urlpatterns = [
    path("agir/alarmes/", views.listing, name="list"),
    path("agir/alarmes/<int:alarm_id>/", views.alarm, name="alarm"),
    path("agir/alarmes/<int:alarm_id>/fazer/", views.act, name="act"),
    path("agir/alarmes/regras/", rule_views.rules, name="rules"),
    path("agir/alarmes/regras/nova/", rule_views.new, name="rule_new"),
    path("agir/alarmes/regras/<int:rule_id>/", rule_views.edit, name="rule"),
    path("agir/alarmes/regras/<int:rule_id>/fazer/", rule_views.switch, name="rule_switch"),
    path("agir/alarmes/avisos/", rule_views.channels, name="channels"),
    path("agir/sino/", views.bell, name="bell"),
]
