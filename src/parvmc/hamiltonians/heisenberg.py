"""The Heisenberg model with anisotropy, XXZ."""

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
    """H = J sum_<ij> (sx_i sx_j + sy_i sy_j + D sz_i sz_j), Pauli matrices."""

    kind: Literal["heisenberg"] = "heisenberg"
    coupling: Annotated[float, Unit("energy"), doc("J of nearest neighbours, above zero: antiferromagnetic")] = 1.0
    anisotropy: Annotated[float, doc("D, what sz sz is multiplied with")] = 1.0


@implements(space, Settings)
def _space(system):
    return exchange_space(system)


@implements(problems, Settings)
def _problems(system, space):
    return lattice_problems(system) or exchange_problems(system)


@implements(reference_energy, Settings)
def _reference_energy(system):
    if system.anisotropy != 1.0:
        return None
    return heisenberg_energy(system.geometry, system.coupling, 0.0, space(system).magnetisation)


@implements(hamiltonian_pack, Settings)
def _pack(system, control):
    turned = system.turned(system.coupling)
    return exchange_pack(space(system), [(system.geometry.nearest, system.coupling, system.anisotropy, turned)])
