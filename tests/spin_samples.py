"""Independent walkers drawn from |psi|^2 of a table of all configurations, and what observables find in them.

4.5 standard errors of a mean are a false alarm in 150,000 numbers.
"""

import exact_spins
import numba
import numpy as np

from parvmc import operations
from parvmc.deck import OBSERVABLES
from parvmc.observables.several import Observables

BATCHES, LANES = 400, 64


@numba.njit
def _measure(observable, state, positions, rows):
    batches, units, lanes = positions.shape
    work = operations.workspace(state, lanes)
    for batch in range(batches):
        operations.rebuild(state, work, positions[batch])
        scratch = np.full((units + 16, lanes), np.nan)
        randoms = np.zeros((4, lanes), np.uint64)
        operations.measure(observable, state, work, positions[batch], randoms, scratch, rows[batch])


def observed(kind, space, pack, positions, **more):
    """Return {name: Quantity} of an observable at positions float64[batches, sites, lanes]."""
    several = Observables((OBSERVABLES[kind](**more),), space)
    rows = np.zeros((len(positions), several.size))
    _measure(several.pack(np.ones(1)), pack, positions, rows)
    return several.quantities(np.ones(1), rows[np.newaxis])


def drawn(weights, batches=BATCHES, lanes=LANES, seed=7):
    """Return independent walkers float64[batches, sites, lanes] from unnormalised weights of all configurations."""
    generator, sites = np.random.default_rng(seed), weights.size.bit_length() - 1
    rows = generator.choice(weights.size, (batches, lanes), p=weights / weights.sum())
    return np.ascontiguousarray(exact_spins.configurations(sites)[rows].transpose(0, 2, 1))


def mean(weights, values):
    """The expectation value of values [2^sites, ...] under unnormalised weights."""
    return np.tensordot(weights / weights.sum(), values, 1)


def within(quantity, exact, tolerance=4.5):
    """Whether all values lie within so many of their errors of the exact ones, or are exact."""
    off = np.abs(np.asarray(quantity.values) - exact)
    return np.all((off < tolerance * np.asarray(quantity.errors)) | (off < 1e-12))
