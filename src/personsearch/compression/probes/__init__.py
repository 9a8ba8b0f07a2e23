"""What probing a model takes: its towers in parts, one walk over the data for many probes, and the report."""
