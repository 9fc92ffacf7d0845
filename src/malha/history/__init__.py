"""What was true: the lake, rollups, temporal queries."""
