"""Lattices of spins: bonds, translations, sublattices. Pure numpy.

Sites are numbered with the last axis fastest: site = x in a chain, site = x * side_y + y in a rectangle. What every
step of an optimisation asks for is computed once; nobody changes it.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lattice:
    """A chain or a rectangle of sites.

    shape: sites along each axis; periodic: whether every side closes to a ring.
    """

    shape: tuple[int, ...]
    periodic: bool = True

    def __reduce__(self):
        """Leave out, of a copy for another rank, what was computed."""
        return Lattice, (self.shape, self.periodic)

    @property
    def sites(self):
        """Number of sites."""
        return math.prod(self.shape)

    @property
    def coordinates(self):
        """int64[sites, axes], the place of each site."""
        return np.stack(np.unravel_index(np.arange(self.sites), self.shape), axis=1)

    def _bonds(self, steps):
        """Return int64[bonds, 2], every pair of sites that one of the steps takes to each other, once."""
        found = set()
        for step in steps:
            ends = self.coordinates + step
            inside = np.ones(self.sites, bool) if self.periodic else ((ends >= 0) & (ends < self.shape)).all(axis=1)
            ends = np.ravel_multi_index(ends.T, self.shape, mode="wrap")
            found |= {(min(pair), max(pair)) for pair in zip(np.flatnonzero(inside), ends[inside], strict=True)}
        return np.array(sorted(found), np.int64).reshape(-1, 2)

    @functools.cached_property
    def nearest(self):
        """int64[bonds, 2], pairs of sites a distance of 1 apart."""
        return self._bonds(np.eye(len(self.shape), dtype=int))

    @functools.cached_property
    def next_nearest(self):
        """int64[bonds, 2], pairs of sites the next distance apart: 2 in a chain, a diagonal in a rectangle."""
        return self._bonds([(2,)] if len(self.shape) == 1 else [(1, 1), (1, -1)])

    @property
    def translations(self):
        """int64[translations, sites], to which site each translation takes each site; the identity is the first.

        An open lattice has the identity alone.
        """
        shifts = itertools.product(*map(range, self.shape)) if self.periodic else [(0,) * len(self.shape)]
        places = self.coordinates
        return np.stack([np.ravel_multi_index((places + shift).T, self.shape, mode="wrap") for shift in shifts])

    @functools.cached_property
    def places(self):
        """int64[sites, translations], the same by sites."""
        return np.ascontiguousarray(self.translations.T)

    @functools.cached_property
    def inverses(self):
        """int64[translations], the number of the translation that takes all back."""
        return np.argmin(self.translations, axis=1)  # from where each comes to site 0, as whose number it has

    @property
    def sublattices(self):
        """int64[sites], 1 or -1 by turns along every axis."""
        return 1 - 2 * (self.coordinates.sum(axis=1) % 2)

    @property
    def bipartite(self):
        """Whether all nearest neighbours lie on different sublattices; periodic sides of odd length forbid it."""
        return not (self.periodic and any(side % 2 for side in self.shape))

    @property
    def separations(self):
        """int64[sites, sites, axes], from each site to each other, the shorter way round where the lattice closes."""
        places = self.coordinates
        found = places[np.newaxis] - places[:, np.newaxis]
        if self.periodic:
            sides = np.array(self.shape)
            found = (found + sides // 2 - (sides % 2 == 0)) % sides - sides // 2 + (sides % 2 == 0)
        return found

    @property
    def squared_distances(self):
        """int64[sites, sites], |r_k - r_i|^2 by the shorter way round."""
        return np.square(self.separations).sum(axis=2)
