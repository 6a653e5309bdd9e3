"""A trial state of spins that is nothing but a table of ln psi over all configurations: the independent check."""

from typing import NamedTuple

import exact_spins
import numba
import numpy as np

from parvmc import declarations, operations
from parvmc.dispatch import implements
from parvmc.values import Control


class RealTable(NamedTuple):
    """Pack of a positive psi; logarithms: float64[2, 2^sites], ln |psi| and arg psi in the order of exact_spins."""

    count: int
    logarithms: np.ndarray
    moves: np.ndarray


class ComplexTable(NamedTuple):
    """The same of a psi with a phase."""

    count: int
    logarithms: np.ndarray
    moves: np.ndarray


class Work(NamedTuple):
    """The number of each lane's configuration, where it is proposed to go, and from where amplitudes are asked."""

    present: np.ndarray
    proposed: np.ndarray
    begun: np.ndarray


def table(space, seed=1, spread=0.5, complex_valued=False):
    """Return the pack of a random psi: ln |psi| is normal with this spread, arg psi uniform."""
    generator = np.random.default_rng(seed)
    size = 2**space.units
    logarithms = np.stack([spread * generator.standard_normal(size), 2.0 * np.pi * generator.random(size)])
    return (ComplexTable if complex_valued else RealTable)(0, logarithms, space.moves)


def amplitudes(pack):
    """Return complex128[2^sites], psi of all configurations."""
    logarithms, phases = pack.logarithms
    return np.exp(logarithms + 1j * phases * isinstance(pack, ComplexTable))


@numba.njit
def _bit(sites, site):
    return 1 << (sites - 1 - site)


@implements(operations.is_complex, ComplexTable)
def _is_complex(state):
    return True


@implements(operations.workspace, RealTable, ComplexTable)
def _workspace(state, lanes):
    return Work(np.zeros(lanes, np.int64), np.zeros(lanes, np.int64), np.zeros(lanes, np.int64))


@implements(operations.rebuild, RealTable, ComplexTable)
def _rebuild(state, work, positions):
    sites, lanes = positions.shape
    work.begun[:] = -1
    for lane in range(lanes):
        work.present[lane] = 0
        for site in range(sites):
            if positions[site, lane] < 0.0:
                work.present[lane] += _bit(sites, site)


@implements(operations.flip_ratio, RealTable, ComplexTable)
def _flip_ratio(state, work, positions, move, ratios):
    sites, lanes = positions.shape
    i, k = state.moves[move]
    flipped = _bit(sites, i) + (_bit(sites, k) if k >= 0 else 0)
    for lane in range(lanes):
        work.proposed[lane] = work.present[lane] ^ flipped
        change = state.logarithms[0, work.proposed[lane]] - state.logarithms[0, work.present[lane]]
        # of an exchange of equal spins the ratio may be anything
        equal = k >= 0 and positions[i, lane] == positions[k, lane]
        ratios[lane] *= 1e300 if equal else np.exp(2.0 * change)


@implements(operations.mirror_ratio, RealTable, ComplexTable)
def _mirror_ratio(state, work, positions, ratios):
    for lane in range(ratios.size):
        work.proposed[lane] = state.logarithms.shape[1] - 1 - work.present[lane]
        change = state.logarithms[0, work.proposed[lane]] - state.logarithms[0, work.present[lane]]
        ratios[lane] *= np.exp(2.0 * change)


@implements(operations.accept, RealTable, ComplexTable)
def _accept(state, work, mask):
    for lane in range(mask.size):
        if mask[lane] == 1.0:
            work.present[lane] = work.proposed[lane]


@implements(operations.mirror, RealTable, ComplexTable)
def _mirror(state, work, mask):
    for lane in range(mask.size):
        if mask[lane] == 1.0:
            work.present[lane] = work.proposed[lane]


@implements(operations.begin_amplitudes, RealTable, ComplexTable)
def _begin_amplitudes(state, work, positions):
    for lane in range(work.begun.size):
        work.begun[lane] = work.present[lane]


@implements(operations.amplitude_ratio, RealTable, ComplexTable)
def _amplitude_ratio(state, work, positions, move, real, imaginary):
    sites, lanes = positions.shape
    i, k = state.moves[move]
    flipped = _bit(sites, i) + (_bit(sites, k) if k >= 0 else 0)
    for lane in range(lanes):
        here, there = work.begun[lane], work.begun[lane] ^ flipped
        size = np.exp(state.logarithms[0, there] - state.logarithms[0, here])
        if k >= 0 and positions[i, lane] == positions[k, lane]:
            size = 1e100
        if operations.is_complex(state):
            angle = state.logarithms[1, there] - state.logarithms[1, here]
            a, b = size * np.cos(angle), size * np.sin(angle)
            real[lane], imaginary[lane] = (
                real[lane] * a - imaginary[lane] * b,
                real[lane] * b + imaginary[lane] * a,
            )
        else:
            real[lane] *= size


@implements(operations.log_amplitude, RealTable, ComplexTable)
def _log_amplitude(state, work, positions, logarithms):
    for lane in range(logarithms.size):
        logarithms[lane] += state.logarithms[0, work.present[lane]]


@implements(operations.phase, ComplexTable)
def _phase(state, work, positions, phases):
    for lane in range(phases.size):
        phases[lane] += state.logarithms[1, work.present[lane]]


@numba.njit
def _local_energy(hamiltonian, state, positions, table):
    units, lanes = positions.shape
    work = operations.workspace(state, lanes)
    operations.rebuild(state, work, positions)
    operations.local_energy(hamiltonian, state, work, positions, np.full((units + 16, lanes), np.nan), table)


def local_energy(system, pack, complex_valued):
    """Return the table of `operations.local_energy` for all configurations, in the order of exact_spins."""
    hamiltonian = declarations.hamiltonian_pack(system, Control())
    sites = declarations.space(system).units
    positions = np.ascontiguousarray(exact_spins.configurations(sites).T)
    table = np.full((5 if complex_valued else 4, positions.shape[1]), np.nan)
    _local_energy(hamiltonian, pack, positions, table)
    return table
