"""Binary-binary machines for tests, and jitted calls of what their packs can do."""

from typing import NamedTuple

import numba
import numpy as np

from parvmc import declarations, operations, spaces
from parvmc.lattice import Lattice
from parvmc.states import spin_rbm
from parvmc.states.product import TrialState

LANES = 16


def space_of(shape, periodic=True):
    """Return the space of a lattice with flips, exchanges of neighbours and of the first and the last site."""
    lattice = Lattice(shape, periodic)
    bonds = [tuple(map(int, bond)) for bond in lattice.nearest]
    return spaces.Spins(lattice, None, tuple(dict.fromkeys([*bonds, (0, lattice.sites - 1)])))


def machine(shape, seed=1, spread=0.4, **more):
    """Return (TrialState, parameters) of a machine with random parameters; without `hidden`, of density 1."""
    space = space_of(shape)
    size = {} if "hidden" in more else {"density": 1.0}
    factor = declarations.filled(spin_rbm.Settings(**{"initial_spread": spread} | size | more), space)
    assert declarations.problems(factor, space) == []
    state = TrialState((factor,), space)
    return state, state.initial(np.random.default_rng(seed))


def walkers(space, lanes=LANES, seed=2):
    """Return random spins float64[sites, lanes]."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (space.units, lanes))


class Said(NamedTuple):
    """What a state says of walkers: rows of lanes, and of moves and lanes."""

    logarithm: np.ndarray
    phase: np.ndarray
    derivatives: np.ndarray
    ratios: np.ndarray
    real: np.ndarray
    imaginary: np.ndarray
    mirror: np.ndarray

    @property
    def amplitudes(self):
        """psi(s') / psi(s) of every move, complex128[moves, lanes]."""
        return self.real + 1j * self.imaginary


@numba.njit
def _ask(state, work, positions, said):
    operations.log_amplitude(state, work, positions, said.logarithm)
    operations.phase(state, work, positions, said.phase)
    operations.log_derivatives(state, work, positions, said.derivatives)
    operations.begin_amplitudes(state, work, positions)
    for move in range(said.ratios.shape[0]):
        operations.amplitude_ratio(state, work, positions, move, said.real[move], said.imaginary[move])
        operations.flip_ratio(state, work, positions, move, said.ratios[move])
    operations.mirror_ratio(state, work, positions, said.mirror)


@numba.njit
def _evaluate(state, positions, said):
    work = operations.workspace(state, positions.shape[1])
    operations.rebuild(state, work, positions)
    _ask(state, work, positions, said)


@numba.njit
def _walk(state, positions, moves, sequence, mirrors, masks, said):
    """Make a sequence of moves where the masks are 1, then flip all spins, and ask without a rebuild."""
    lanes = positions.shape[1]
    work = operations.workspace(state, lanes)
    operations.rebuild(state, work, positions)
    ratios = np.ones(lanes)
    for step in range(sequence.size):
        move = sequence[step]
        mask = masks[step % masks.shape[0]]
        operations.flip_ratio(state, work, positions, move, ratios)
        i, k = moves[move, 0], moves[move, 1]
        for lane in range(lanes):
            chosen = mask[lane] if k < 0 or positions[i, lane] != positions[k, lane] else 0.0
            ratios[lane] = chosen
            positions[i, lane] *= 1.0 - 2.0 * chosen
            if k >= 0:
                positions[k, lane] *= 1.0 - 2.0 * chosen
        operations.accept(state, work, ratios)
        if mirrors:
            operations.mirror_ratio(state, work, positions, ratios)
            operations.mirror(state, work, masks[0])
            for site in range(positions.shape[0]):
                positions[site] *= 1.0 - 2.0 * masks[0]
    _ask(state, work, positions, said)


def _blank(pack, moves, lanes):
    rows = np.ones((moves, lanes)), np.ones((moves, lanes)), np.zeros((moves, lanes))
    return Said(np.zeros(lanes), np.zeros(lanes), np.empty((pack.count, lanes)), *rows, np.ones(lanes))


def evaluate(state, parameters, positions):
    """Return what the state says of positions float64[sites, lanes]."""
    pack = state.pack(parameters)
    said = _blank(pack, len(state.space.moves), positions.shape[1])
    _evaluate(pack, positions, said)
    return said


def walked(state, parameters, positions, sequence, masks, mirrors=False):
    """Return what the state says after a sequence of moves, never rebuilt; positions are moved.

    masks: float64[n, lanes], which lanes accept, one row after the other; mirrors: whether all spins are flipped after
    each move where masks[0] is 1.
    """
    pack, moves = state.pack(parameters), state.space.moves
    said = _blank(pack, len(moves), positions.shape[1])
    _walk(pack, positions, moves, np.asarray(sequence, np.int64), mirrors, np.asarray(masks, float), said)
    return said
