"""Trial states: one file, one factor, found by its `kind`."""
