"""The spin Jastrow factor of nearest neighbours."""

from typing import Literal

import numpy as np

from parvmc.dispatch import settings
from parvmc.states.spin_pairs import Couplings


@settings
class Settings(Couplings):
    """psi = prod_<ik> e^(J s_i s_k) over the bonds of nearest neighbours, one J for all; trained."""

    kind: Literal["neighbor_jastrow"] = "neighbor_jastrow"

    def pairs(self, lattice):
        """Return the bonds, all of one class."""
        bonds = lattice.nearest
        return bonds, np.zeros(len(bonds), np.int64)
