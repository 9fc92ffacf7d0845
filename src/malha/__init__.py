"""Malha: the urban data platform."""
