"""Exact expectation values over all configurations of a small lattice, in place of means over samples."""

import numpy as np

from parvmc import declarations, walk


def configurations(sampler, space, batches, lanes):
    """Return float64[batches, units, lanes], the walkers that stand for all configurations, or None where the sampler
    walks.

    batches: the run's numbers of the batches wanted. What fills up the last batch repeats the first configuration.
    """
    every = declarations.listed(sampler, space)
    if every is None:
        return None
    rows = (np.array(batches, int)[:, np.newaxis] * lanes + np.arange(lanes)).ravel()
    found = every[np.where(rows < len(every), rows, 0)]
    return found.reshape(len(batches), lanes, space.units).transpose(0, 2, 1).copy()


def weights(simulation):
    """Return float64[local batches, lanes], |psi|^2 of each walker's configuration over its mean over all walkers.

    None where the sampler walks: all walkers count alike. What repeats a configuration has no weight.
    """
    every = declarations.listed(simulation.deck.sampler, simulation.space)
    if every is None:
        return None
    logarithms = np.zeros((len(simulation.share), simulation.lanes))
    walk.amplitudes(simulation.state_pack(), simulation.positions, logarithms)
    largest = simulation.world.largest(np.array([logarithms.max(initial=-np.inf)]))
    squares = np.exp(2.0 * (logarithms - largest))
    rows = np.array(simulation.share, int)[:, np.newaxis] * simulation.lanes + np.arange(simulation.lanes)
    squares[rows >= len(every)] = 0.0
    total = simulation.world.sum(squares.sum(axis=1), simulation.batches)
    return squares * (simulation.batches * simulation.lanes / total)


def observe(simulation, steps, block, found):
    """Fill block float64[local, steps, columns] and found float64[local, steps, size] with exact expectation values.

    Every batch and step has the same: what `walk.observe` would find if it measured for ever. Each configuration is a
    batch of its own, so that what is a mean over lanes is the configuration's own value. Returns how many moves were
    accepted: none is ever rejected.
    """
    world, lanes = simulation.world, simulation.lanes
    # contiguous also where a rank has one batch: a view would have other kernels compiled, with other bits
    singles = np.ascontiguousarray(simulation.positions.transpose(0, 2, 1)).reshape(-1, simulation.space.units, 1)
    rows = np.empty((len(singles), 1, block.shape[2]))
    numbers = np.zeros((len(singles), 1, found.shape[2]))
    walk.observe(
        simulation.sampler_pack(),
        simulation.hamiltonian_pack(),
        simulation.state_pack(),
        simulation.observables_pack(),
        singles,
        np.zeros((len(singles), 4, 1), np.uint64),
        0,
        rows,
        np.zeros((len(singles), 1)),
        numbers,
    )
    weight = weights(simulation)
    # a configuration of weight zero has no say, also where psi = 0 leaves it without a local energy
    weighted = np.where(weight.ravel()[:, np.newaxis] > 0.0, np.concatenate([rows, numbers], axis=2)[:, 0], 0.0)
    weighted *= weight.ravel()[:, np.newaxis]
    sums = weighted.reshape(len(weight), lanes, -1).sum(axis=1)
    means = world.sum(sums, simulation.batches) / (simulation.batches * lanes)
    block[:], found[:] = means[: block.shape[2]], means[block.shape[2] :]
    simulation.walker_sums += means[0] * steps
    return len(simulation.share) * simulation.moves_per_batch(steps)
