"""Observables: one file each, found by their `kind`."""
