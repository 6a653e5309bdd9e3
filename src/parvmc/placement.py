"""Where walkers begin."""

import numpy as np

from parvmc.randoms import Purpose, generator
from parvmc.spaces import Spins

WIDER = 1.05  # by which the cloud grows from try to try, so that any number of spheres finds room


def place(seed, batches, lanes, space, core):
    """Return float64[batches, units, lanes], walkers of the ideal gas in which no pair is closer than `core` (length).

    Each axis has the variance 1 / (2 omega). Particles that overlap one before them are drawn anew, from a cloud that
    widens. Spins are 1 or -1 by chance, shuffled where their sum is kept. batches: the run's numbers of the batches
    wanted.
    """
    positions = np.empty((len(batches), space.units, lanes))
    if isinstance(space, Spins):
        for row, batch in enumerate(batches):
            positions[row] = _spins(generator(seed, Purpose.WALKERS, batch), space, lanes)
        return positions
    width = np.tile(1.0 / np.sqrt(2.0 * np.array(space.omega)), space.particles)
    for row, batch in enumerate(batches):
        stream = generator(seed, Purpose.WALKERS, batch)
        positions[row] = width[:, np.newaxis] * stream.standard_normal(positions.shape[1:])
        if core > 0.0:
            _separate(positions[row].reshape(space.particles, space.dimensions, lanes), core, width, stream)
    return positions


def _spins(stream, space, lanes):
    if space.magnetisation is None:
        return 1.0 - 2.0 * stream.integers(0, 2, (space.units, lanes))
    up = (space.units + space.magnetisation) // 2
    ordered = np.where(np.arange(space.units) < up, 1.0, -1.0)
    return stream.permuted(np.repeat(ordered[:, np.newaxis], lanes, axis=1), axis=0)


def _separate(walkers, core, width, stream):
    """Draw particles of walkers float64[particles, dimensions, lanes] anew, in place, until none overlap."""
    particles, dimensions, _ = walkers.shape
    for particle in range(1, particles):
        scale = width[:dimensions, np.newaxis]
        while True:
            separations = walkers[:particle] - walkers[particle]
            close = (np.square(separations).sum(axis=1) <= core**2).any(axis=0)
            if not close.any():
                break
            scale = scale * WIDER
            walkers[particle][:, close] = scale * stream.standard_normal((dimensions, np.count_nonzero(close)))
