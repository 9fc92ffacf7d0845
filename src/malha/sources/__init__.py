"""Connectors: bytes in."""
