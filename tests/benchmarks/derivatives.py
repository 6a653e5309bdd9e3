"""Log-derivatives as the kernels compute them in a run: of a batch whose tables are there from its walk."""

import numba
import numpy as np

from parvmc import dispatch, operations


@numba.njit(**dispatch.KERNEL_OPTIONS)
def fill(state, positions, times, rows):
    """Fill rows float64[batches, trained, lanes], that many times, at positions float64[batches, units, lanes]."""
    work = operations.workspace(state, positions.shape[2])
    for batch in range(positions.shape[0]):
        operations.rebuild(state, work, positions[batch])
        for _ in range(times):
            operations.log_derivatives(state, work, positions[batch], rows[batch])


def by_walker(rows):
    """Return rows [batches, n, lanes] as [walkers, n]."""
    return rows.transpose(0, 2, 1).reshape(-1, rows.shape[1])


def difference(found, expected):
    """Return the largest difference of two arrays, relative to the largest magnitude."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
