"""Use cases as declarations."""
