"""Give: the open data portal and other doors."""
