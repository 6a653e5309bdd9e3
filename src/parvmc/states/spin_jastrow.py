"""The long-range spin Jastrow factor."""

from typing import Literal

import numpy as np

from parvmc.dispatch import settings
from parvmc.states.spin_pairs import Couplings


@settings
class Settings(Couplings):
    """psi = prod_{i<k} e^(J(r_k - r_i) s_i s_k), one J for each distance; trained.

    The distance is the shorter way round where the lattice is periodic. Pairs of one class have the same |r_k - r_i|^2,
    on a rectangle of unequal sides the same (|dx|, |dy|): a separation along the long side is not one along the short.
    Classes are numbered by rising |r_k - r_i|^2, or by rising |dx|, then |dy|.
    """

    kind: Literal["spin_jastrow"] = "spin_jastrow"

    def pairs(self, lattice):
        """Return all pairs i < k; the class of each is the number of its distance among all distances."""
        first, second = np.triu_indices(lattice.sites, 1)
        apart = np.abs(lattice.separations[first, second])
        if len(set(lattice.shape)) == 1:
            apart = np.square(apart).sum(axis=1, keepdims=True)
        classes = np.unique(apart, axis=0, return_inverse=True)[1]
        return np.stack([first, second], axis=1), classes.ravel()
