"""The composition root: the only place that may know everyone."""
