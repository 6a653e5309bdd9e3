"""Pair interactions in a trap: one file each, found by their `kind`."""
