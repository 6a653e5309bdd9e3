"""Metropolis moves of spins: single flips, exchanges that keep the magnetisation, and all spins at once.

Every move is proposed as often as its reverse and accepted with min(1, |psi(s')|^2 / |psi(s)|^2).
"""

from typing import NamedTuple

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.operations import accept, flip_ratio, mirror, mirror_ratio, sweep
from parvmc.randoms import uniform
from parvmc.samplers.common import decide


class SpinMoves(NamedTuple):
    """Pack of moves of spins.

    particles: proposals of a sweep, as many as there are sites; moves: int64[moves, 2], those of the space; first,
    choices: the rows of it that are proposed; mirrors: whether a sweep ends with a proposal to flip all spins.
    """

    particles: int
    moves: np.ndarray
    first: int
    choices: int
    mirrors: bool


def spin_moves(space, exchange, mirrors):
    """Return the pack of exchanges or of single flips; all spins at once are flipped where their sum allows it."""
    first, choices = (space.units, len(space.exchanges)) if exchange else (0, space.units)
    return SpinMoves(space.units, space.moves, first, choices, mirrors and not space.magnetisation)


@row_function
def halve_chance(threshold):
    """Change uniform thresholds so that a move is proposed in every second lane: 2 u for u < 1/2, above any ratio
    else."""
    for lane in range(threshold.size):
        threshold[lane] = 2.0 * threshold[lane] if threshold[lane] < 0.5 else np.inf


@row_function
def _only_unequal(first, second, mask):
    """Take back the acceptance of exchanges that change nothing, and return how many are left."""
    accepted = 0
    for lane in range(mask.size):
        stays = mask[lane] > 0.5 and first[lane] != second[lane]
        mask[lane] = 1.0 if stays else 0.0
        accepted += stays
    return accepted


@row_function
def flip(mask, spins):
    """Flip the spins of a site where the mask is 1; elsewhere it is 0."""
    for lane in range(spins.size):
        spins[lane] *= 1.0 - 2.0 * mask[lane]


@implements(sweep, SpinMoves)
def _sweep(sampler, state, work, positions, randoms, scratch):
    choices, ratios, threshold, mask = scratch[0], scratch[1], scratch[2], scratch[3]
    lanes, accepted = choices.size, 0
    for proposal in range(sampler.particles):
        # moves are chosen by chance and not in turn: where psi is flat every flip is accepted, and a turn of them
        # would take each walker to its mirror image and back for ever
        if proposal % lanes == 0:
            uniform(randoms, choices)
        move = sampler.first + int(choices[proposal % lanes] * sampler.choices)
        i, k = sampler.moves[move, 0], sampler.moves[move, 1]
        ratios[:] = 1.0
        flip_ratio(state, work, positions, move, ratios)
        uniform(randoms, threshold)
        if proposal == sampler.particles - 1:
            halve_chance(threshold)  # else a flat psi would keep the parity of the number of spins that are up
        changed = decide(ratios, threshold, mask)
        if k >= 0:
            changed = _only_unequal(positions[i], positions[k], mask)
            flip(mask, positions[k])
        flip(mask, positions[i])
        accepted += changed
        accept(state, work, mask)
    if sampler.mirrors:
        ratios[:] = 1.0
        mirror_ratio(state, work, positions, ratios)
        uniform(randoms, threshold)
        halve_chance(threshold)  # where psi is the same at both, walkers would only go to and fro
        decide(ratios, threshold, mask)
        for i in range(positions.shape[0]):
            flip(mask, positions[i])
        mirror(state, work, mask)
    return accepted
