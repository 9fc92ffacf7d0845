"""Teach allauth that a tenant's address has a step before its own paths."""

from __future__ import annotations

from allauth.account.internal.flows import reauthentication
from django.urls import ResolverMatch, get_script_prefix, resolve


def install() -> None:
    """Replace the look-up with which allauth takes up a request that waited for a second proof.

    Its own knows one prefix for the whole installation (`FORCE_SCRIPT_NAME`); ours differs by tenant, and
    without this what somebody was doing would end in "not found".
    """
    reauthentication.script_aware_resolve = _resolve


def _resolve(path: str) -> ResolverMatch:
    prefix = get_script_prefix()
    return resolve(f"/{path.removeprefix(prefix)}" if path.startswith(prefix) else path)
