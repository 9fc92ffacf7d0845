"""Bytes become facts: runs, mapping, quality, lineage."""
