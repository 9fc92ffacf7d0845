"""Which database session counts attempts."""

from __future__ import annotations

from typing import Any

from malha.foundation.identity.configuration import CACHE_ALIAS


class CacheRouter:
    """Sends Django's cache to a session of its own, so that a request that is undone still counts as an attempt."""

    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        return CACHE_ALIAS if model._meta.app_label == "django_cache" else None  # noqa: SLF001 -- Django's own way to ask

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self.db_for_read(model, **hints)
