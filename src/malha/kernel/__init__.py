"""Words that every room shares: no Django, no I/O."""
