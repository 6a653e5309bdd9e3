"""Walks of spins on small lattices, and how often they come to each configuration, against |psi|^2.

A walker is looked at a few times, 60 sweeps apart; on lattices of up to eight sites it has then forgotten where it was.
"""

from typing import NamedTuple

import exact_spins
import numba
import numpy as np
from scipy.stats import chi2

from parvmc import operations, spaces
from parvmc.placement import place
from parvmc.randoms import Purpose, streams

BATCHES, LANES, LOOKS, APART = 64, 128, 8, 60


class State(NamedTuple):
    """What a sampler asks of a `TrialState`."""

    space: spaces.Spins
    factors: tuple = ()


@numba.njit
def equilibrate(sampler, state, positions, randoms, sweeps):
    """Do as walk.equilibrate does, for packs that no other process can import and so must not be in the cache."""
    units, lanes = positions.shape[1:]
    work = operations.workspace(state, lanes)
    scratch = np.empty((units + 16, lanes))
    accepted = 0
    for batch in range(positions.shape[0]):
        operations.rebuild(state, work, positions[batch])
        for _ in range(sweeps):
            accepted += operations.sweep(sampler, state, work, positions[batch], randoms[batch], scratch)
    return accepted


def numbers(positions):
    """Return the number of each walker's configuration in the order of exact_spins; positions: [batch, site, lane]."""
    weights = 2 ** np.arange(positions.shape[1] - 1, -1, -1)
    return np.tensordot(positions < 0.0, weights, axes=(1, 0)).ravel()


def walked(sampler, pack, space, looks=LOOKS, apart=APART, seed=3):
    """Yield positions [batch, site, lane] of 8192 walkers a few times, some sweeps after each other."""
    positions = place(seed, range(BATCHES), LANES, space, 0.0)
    randoms = streams(seed, Purpose.PRODUCTION, range(BATCHES), LANES)
    equilibrate(sampler, pack, positions, randoms, 200)
    for _ in range(looks):
        equilibrate(sampler, pack, positions, randoms, apart)
        yield positions


def probabilities(psi, space):
    """Return |psi|^2 / sum |psi|^2 over the configurations that the space allows, zero for the others."""
    weights = np.abs(psi) ** 2
    if space.magnetisation is not None:
        weights[exact_spins.configurations(space.units).sum(axis=1) != space.magnetisation] = 0.0
    return weights / weights.sum()


def misfit(sampler, pack, psi, space, **more):
    """Return chi-square over its threshold of a false alarm of 1e-5: above 1 is a failure."""
    expected = probabilities(psi, space)
    found = sum(
        np.bincount(numbers(positions), minlength=expected.size) for positions in walked(sampler, pack, space, **more)
    )
    assert found[expected == 0.0].sum() == 0
    order = np.argsort(expected)
    order = order[expected[order] > 0.0]
    wanted, found = expected[order] * found.sum(), found[order]
    # configurations expected less than five times are counted together with the next one
    rare = np.searchsorted(wanted, 5.0) + 1
    wanted, found = (np.append(row[rare:], row[:rare].sum()) for row in (wanted, found))
    square = (np.square(found - wanted) / wanted).sum()
    return square / chi2.isf(1e-5, wanted.size - 1)
