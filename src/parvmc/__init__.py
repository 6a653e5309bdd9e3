"""Variational Monte Carlo with restricted-Boltzmann-machine trial states, on many MPI ranks."""

__version__ = "0.1.0"
