"""The Ising model in a transverse field."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Unit, doc

from parvmc.declarations import hamiltonian_pack, problems, reference_energy, space
from parvmc.dispatch import implements, settings
from parvmc.hamiltonians.spins import OnLattice, SpinHamiltonian, lattice_problems
from parvmc.spaces import Spins
from parvmc.spin_references import ising_energy


@settings
class Settings(OnLattice):
    """H = -J sum_<ij> sz_i sz_j - h sum_i sx_i, Pauli matrices."""

    kind: Literal["ising"] = "ising"
    coupling: Annotated[float, Unit("energy"), doc("J of nearest neighbours, above zero: ferromagnetic")] = 1.0
    field: Annotated[float, Unit("energy"), doc("h along x")] = 1.0


@implements(space, Settings)
def _space(system):
    return Spins(system.geometry)


@implements(problems, Settings)
def _problems(system, space):
    return lattice_problems(system)


@implements(reference_energy, Settings)
def _reference_energy(system):
    return ising_energy(system.geometry, system.coupling, system.field)


@implements(hamiltonian_pack, Settings)
def _pack(system, control):
    region, bonds = space(system), system.geometry.nearest
    sites = np.arange(region.units)
    elements = np.full(region.units, -system.field)
    return SpinHamiltonian(bonds, np.full(len(bonds), -system.coupling), region.moves, sites, elements)
