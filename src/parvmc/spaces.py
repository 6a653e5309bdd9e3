"""Where walkers live, and all that trial states, samplers and observables must know of it: a trap, or a lattice.

A `Space` of particles has lengths, energies and coordinates in the units hbar = m = e = 1; `Spins` have none.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from parvmc.lattice import Lattice


@dataclass(frozen=True)
class Space:
    """What a trial state, a sampler and the walkers must know of the system: its size and its length scales.

    particles, dimensions: counts; omega: the trap's frequency along each axis (energy); pole: strength of 1/r in the
    interaction at r = 0 (energy times length); core: distance below which the interaction is infinite (length).
    """

    particles: int
    dimensions: int
    omega: tuple[float, ...]
    pole: float = 0.0
    core: float = 0.0

    @property
    def units(self):
        """Number of coordinates, particles * dimensions."""
        return self.particles * self.dimensions

    @property
    def inverse_length(self):
        """The root of the largest trap frequency (inverse length)."""
        return math.sqrt(max(self.omega))


@dataclass(frozen=True)
class Spins:
    """What a trial state, a sampler and the walkers must know of a lattice of spins, sigma_i = 1 or -1.

    magnetisation: sum of all sigma_i in every configuration, None where it is not kept; exchanges: the pairs of sites
    (i, k) whose unequal spins the Hamiltonian exchanges, empty where it flips single spins.
    """

    lattice: Lattice
    magnetisation: int | None = None
    exchanges: tuple[tuple[int, int], ...] = ()

    @property
    def units(self):
        """Number of sites."""
        return self.lattice.sites

    particles = units  # a sweep proposes as many moves
    dimensions = 1  # numbers of a site
    inverse_length = 1.0
    pole = core = 0.0

    @functools.cached_property
    def moves(self):
        """int64[sites + exchanges, 2]: the sites that a move flips; first all single flips, whose second site is -1."""
        flips = [(site, -1) for site in range(self.units)]
        return np.array([*flips, *self.exchanges], np.int64)
