"""What Hamiltonians of spins have in common: the lattice in the deck, and the local energy.

H = sum of diagonal bonds c s_i s_k and of off-diagonal terms, each of which flips one spin or exchanges two unequal
ones:

    H psi / psi (s) = sum_bonds c s_i s_k + sum_terms element psi(s') / psi(s).
"""

import functools
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, doc

from parvmc.declarations import components, energy_unit, spaces
from parvmc.dispatch import implements, row_function, settings
from parvmc.lattice import Lattice
from parvmc.operations import amplitude_ratio, begin_amplitudes, is_complex, local_energy
from parvmc.spaces import Spins

MOST_SITES = 10_000
UNIT = "J, the unit of the couplings (Pauli matrices)"


@settings
class OnLattice:
    """The fields that the settings of every Hamiltonian of spins have."""

    lattice: Annotated[
        tuple[Annotated[int, Ge(2)], ...], doc("sites along each axis, [80] for a chain, [10, 10] for a square")
    ]
    periodic: Annotated[bool, doc("whether every side closes to a ring")] = True

    @functools.cached_property
    def geometry(self):
        """The `Lattice`."""
        return Lattice(self.lattice, self.periodic)


@implements(components, OnLattice)
def _components(system):
    return ("diagonal", "off_diagonal")


@implements(spaces, OnLattice)
def _spaces(system):
    return (Spins,)


@implements(energy_unit, OnLattice)
def _energy_unit(system):
    return UNIT


@settings
class Exchanging(OnLattice):
    """The fields of a Hamiltonian that exchanges spins and so keeps the magnetisation."""

    magnetisation: Annotated[
        Literal["any"] | int, doc('sum of all spins, each 1 or -1, kept at this; "any": it may change')
    ] = 0
    marshall: Annotated[
        Literal["auto"] | bool,
        doc(
            "turn the spins of one sublattice by pi about z, which makes exchanges between sublattices negative; "
            '"auto": where neighbours are coupled antiferromagnetically and lie on different sublattices'
        ),
    ] = "auto"

    def turned(self, coupling):
        """Return whether one sublattice is turned (W. Marshall, Proc. R. Soc. A 232, 48 (1955)); coupling: of nearest
        neighbours."""
        return coupling > 0.0 and self.geometry.bipartite if self.marshall == "auto" else self.marshall


def lattice_problems(system, next_nearest=False):
    """Return the reasons why there is no such lattice, as `problems`; next_nearest: whether such bonds are used."""
    lattice, axes = system.geometry, len(system.lattice)
    found = []
    if axes not in (1, 2):
        found.append(("lattice", f"has {axes} axes; give one for a chain or two for a rectangle"))
    if lattice.sites > MOST_SITES:
        found.append(("lattice", f"has {lattice.sites} sites, and {MOST_SITES} are the most"))
    if system.periodic and min(system.lattice, default=3) < 3:
        reason = "has a periodic side of 2, whose sites would be neighbours twice"
        found.append(("lattice", f"{reason}; give at least 3, or periodic = false"))
    elif system.periodic and next_nearest and axes == 1 and lattice.sites < 5:
        reason = f"has {lattice.sites} sites on a ring, too few for next-nearest neighbours of their own on either side"
        found.append(("lattice", f"{reason}; give at least 5, or periodic = false"))
    return found


def exchange_problems(system):
    """Return the reasons why the magnetisation or the Marshall rotation cannot be, as `problems`."""
    lattice, kept, found = system.geometry, system.magnetisation, []
    if kept != "any" and abs(kept) > lattice.sites:
        found.append(("magnetisation", f"is {kept}, and {lattice.sites} spins give {lattice.sites} at the most"))
    elif kept != "any" and (kept - lattice.sites) % 2:
        parity = "an even" if lattice.sites % 2 == 0 else "an odd"
        reason = f"is {kept}, and {lattice.sites} spins of 1 or -1 add up to {parity} number"
        found.append(("magnetisation", f'{reason}; give such a one or "any"'))
    if system.marshall is True and not lattice.bipartite:
        reason = "cannot be true on a periodic side of odd length, which has no two sublattices"
        found.append(("marshall", f'{reason}; give "auto" or false'))
    return found


@functools.cache
def _exchanges(lattice, next_nearest):
    bonds = np.concatenate([lattice.nearest, lattice.next_nearest]) if next_nearest else lattice.nearest
    return tuple(map(tuple, bonds.tolist()))


def exchange_space(system, next_nearest=False):
    """Return the space of a Hamiltonian that exchanges the spins of bonds; of no bonds where there is no such
    lattice."""
    kept = None if system.magnetisation == "any" else system.magnetisation
    broken = lattice_problems(system, next_nearest)
    return Spins(system.geometry, kept, () if broken else _exchanges(system.geometry, next_nearest))


class SpinHamiltonian(NamedTuple):
    """Pack of a Hamiltonian of spins.

    bonds: int64[bonds, 2], sites of the diagonal bonds; couplings: float64[bonds], their c; moves: int64[moves, 2],
    those of the space; rows: int64[terms], the move of each off-diagonal term; elements: float64[terms].
    """

    bonds: np.ndarray
    couplings: np.ndarray
    moves: np.ndarray
    rows: np.ndarray
    elements: np.ndarray


def exchange_pack(space, groups):
    """Return the pack of sum_groups J sum_bonds (sx sx + sy sy + D sz sz); all bonds are those of space.exchanges.

    groups: (bonds int64[bonds, 2], J, D, whether the Marshall rotation turns one spin of each bond). (sx sx + sy sy)
    exchanges two unequal spins with the element 2, -2 where one of them is turned, and takes equal ones to zero.
    """
    couplings, elements = [], []
    for bonds, coupling, anisotropy, turned in groups:
        couplings.append(np.full(len(bonds), coupling * anisotropy))
        elements.append(np.full(len(bonds), -2.0 * coupling if turned else 2.0 * coupling))
    bonds = np.concatenate([group[0] for group in groups])
    rows = space.units + np.arange(len(bonds))
    return SpinHamiltonian(bonds, np.concatenate(couplings), space.moves, rows, np.concatenate(elements))


@row_function
def _add_bond(coupling, first, second, energy):
    for lane in range(energy.size):
        energy[lane] += coupling * first[lane] * second[lane]


@row_function
def _add_flip(element, amplitude, energy):
    for lane in range(energy.size):
        energy[lane] += element * amplitude[lane]


@row_function
def _add_exchange(element, first, second, amplitude, energy):
    """Nothing is added where the spins are equal: there the amplitude means nothing and may have overflowed."""
    for lane in range(energy.size):
        added = element * amplitude[lane]
        energy[lane] += added if first[lane] != second[lane] else 0.0


@row_function
def _add_up(diagonal, off_diagonal, total, estimator):
    for lane in range(total.size):
        total[lane] = diagonal[lane] + off_diagonal[lane]
        estimator[lane] = total[lane]


@implements(local_energy, SpinHamiltonian)
def _local_energy(hamiltonian, state, work, positions, scratch, table):
    real, imaginary = scratch[0], scratch[1]
    diagonal, off_diagonal, last = table[2], table[3], table[table.shape[0] - 1]
    table[:] = 0.0
    for bond in range(hamiltonian.couplings.size):
        i, k = hamiltonian.bonds[bond, 0], hamiltonian.bonds[bond, 1]
        _add_bond(hamiltonian.couplings[bond], positions[i], positions[k], diagonal)
    begin_amplitudes(state, work, positions)
    for term in range(hamiltonian.elements.size):
        move, element = hamiltonian.rows[term], hamiltonian.elements[term]
        i, k = hamiltonian.moves[move, 0], hamiltonian.moves[move, 1]
        real[:] = 1.0
        imaginary[:] = 0.0
        amplitude_ratio(state, work, positions, move, real, imaginary)
        if k < 0:
            _add_flip(element, real, off_diagonal)
            if is_complex(state):
                _add_flip(element, imaginary, last)
        else:
            _add_exchange(element, positions[i], positions[k], real, off_diagonal)
            if is_complex(state):
                _add_exchange(element, positions[i], positions[k], imaginary, last)
    _add_up(diagonal, off_diagonal, table[1], table[0])
