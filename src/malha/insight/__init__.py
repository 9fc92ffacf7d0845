"""Understand: metrics, Hoje, maps, alerts, exports."""
