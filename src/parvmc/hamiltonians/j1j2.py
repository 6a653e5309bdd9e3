"""The Heisenberg model with nearest and next-nearest neighbours."""

from typing import Annotated, Literal

from annotated_types import Unit, doc

from parvmc.declarations import hamiltonian_pack, problems, reference_energy, space
from parvmc.dispatch import implements, settings
from parvmc.hamiltonians.spins import (
    Exchanging,
    exchange_pack,
    exchange_problems,
    exchange_space,
    lattice_problems,
)
from parvmc.spin_references import heisenberg_energy


@settings
class Settings(Exchanging):
    """H = J1 sum_<ij> sigma_i . sigma_j + J2 sum_<<ij>> sigma_i . sigma_j, Pauli matrices.

    <<ij>>: next-nearest neighbours, two apart in a chain, on a diagonal in a rectangle. They lie on one sublattice, and
    the Marshall rotation leaves their exchange as it is.
    """

    kind: Literal["j1j2"] = "j1j2"
    j1: Annotated[float, Unit("energy"), doc("coupling of nearest neighbours, above zero: antiferromagnetic")] = 1.0
    j2: Annotated[float, Unit("energy"), doc("coupling of next-nearest neighbours")] = 0.5


@implements(space, Settings)
def _space(system):
    return exchange_space(system, next_nearest=True)


@implements(problems, Settings)
def _problems(system, space):
    return lattice_problems(system, next_nearest=True) or exchange_problems(system)


@implements(reference_energy, Settings)
def _reference_energy(system):
    return heisenberg_energy(system.geometry, system.j1, system.j2, space(system).magnetisation)


@implements(hamiltonian_pack, Settings)
def _pack(system, control):
    lattice, turned = system.geometry, system.turned(system.j1)
    groups = [(lattice.nearest, system.j1, 1.0, turned), (lattice.next_nearest, system.j2, 1.0, False)]
    return exchange_pack(space(system), groups)
