"""Shared meaning: data models, contexts, code lists, territory."""
