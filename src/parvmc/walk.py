"""The only entry kernels. Everything they call is compiled into them, chosen by pack.

Walkers come as positions float64[batches, units, lanes] with randoms uint64[batches, 4, lanes], the batches of this
rank. One batch is walked at a time, so that it stays in the cache; what the state derives from its positions is rebuilt
at the start of each call, which is why a call covers a fixed number of sweeps.
"""

import numpy as np

from parvmc.dispatch import kernel, row_function
from parvmc.operations import (
    is_complex,
    local_energy,
    log_amplitude,
    log_derivatives,
    measure,
    rebuild,
    sweep,
    workspace,
)
from parvmc.vecmath import copy

MOMENTS = ("energy", "local_energy", "local_energy_squared", "energy_squared")
"""Columns that `observe` fills before those of the components; "energy" is the estimator, "energy_squared" its
square."""


@kernel
def equilibrate(sampler, state, positions, randoms, sweeps):
    """Walk all batches by a number of sweeps and return how many moves were accepted."""
    batches, units, lanes = positions.shape
    work = workspace(state, lanes)
    scratch = np.empty((units + 16, lanes))
    accepted = 0
    for batch in range(batches):
        rebuild(state, work, positions[batch])
        for _ in range(sweeps):
            accepted += sweep(sampler, state, work, positions[batch], randoms[batch], scratch)
    return accepted


@kernel
def sample(sampler, hamiltonian, state, positions, randoms, thinning, components, samples):
    """Measure local energies and log-derivatives for the optimiser and return how many moves were accepted.

    samples: float64[batches, measurements, energies + n, lanes], filled with the local energy (one row; where psi is
    complex two, its real and its imaginary part) and d ln psi / d coordinate; where n is not the number of trained
    coordinates but of units, with the configuration instead, for `differentiate`. thinning: sweeps before each
    measurement; components: how many parts the local energy has.
    """
    batches, units, lanes = positions.shape
    work = workspace(state, lanes)
    scratch = np.empty((units + 16, lanes))
    energies = 2 if is_complex(state) else 1
    table = np.empty((1 + components + energies, lanes))
    differentiates = samples.shape[2] == energies + state.count
    accepted = 0
    for batch in range(batches):
        rebuild(state, work, positions[batch])
        for measurement in range(samples.shape[1]):
            for _ in range(thinning):
                accepted += sweep(sampler, state, work, positions[batch], randoms[batch], scratch)
            local_energy(hamiltonian, state, work, positions[batch], scratch, table)
            copy(table[1], samples[batch, measurement, 0])
            if is_complex(state):
                copy(table[2 + components], samples[batch, measurement, 1])
            if differentiates:
                log_derivatives(state, work, positions[batch], samples[batch, measurement, energies:])
            else:
                for unit in range(units):
                    copy(positions[batch, unit], samples[batch, measurement, energies + unit])
    return accepted


@kernel
def differentiate(state, positions, derivatives):
    """Fill derivatives float64[trained, lanes] with d ln psi / d coordinate at the positions float64[units, lanes]."""
    work = workspace(state, positions.shape[1])
    rebuild(state, work, positions)
    log_derivatives(state, work, positions, derivatives)


@kernel
def amplitudes(state, positions, logarithms):
    """Add ln |psi| of every walker to logarithms float64[batches, lanes]."""
    work = workspace(state, positions.shape[2])
    for batch in range(positions.shape[0]):
        rebuild(state, work, positions[batch])
        log_amplitude(state, work, positions[batch], logarithms[batch])


@row_function
def _four(row, lane):
    return (row[lane] + row[lane + 8]) + (row[lane + 16] + row[lane + 24])


@row_function
def _four_squares(row, lane):
    w, x, y, z = row[lane], row[lane + 8], row[lane + 16], row[lane + 24]
    return (w * w + x * x) + (y * y + z * z)


@row_function
def _mean(row):
    """Return the mean of a row, as eight sums of every eighth value, which make one vector, in a fixed order."""
    a = b = c = d = e = f = g = h = 0.0
    whole = row.size - row.size % 32
    for lane in range(0, whole, 32):
        a += _four(row, lane)
        b += _four(row, lane + 1)
        c += _four(row, lane + 2)
        d += _four(row, lane + 3)
        e += _four(row, lane + 4)
        f += _four(row, lane + 5)
        g += _four(row, lane + 6)
        h += _four(row, lane + 7)
    total = ((a + e) + (c + g)) + ((b + f) + (d + h))
    for lane in range(whole, row.size):
        total += row[lane]
    return total / row.size


@row_function
def _mean_square(row):
    """Return the mean of a row's squares, likewise."""
    a = b = c = d = e = f = g = h = 0.0
    whole = row.size - row.size % 32
    for lane in range(0, whole, 32):
        a += _four_squares(row, lane)
        b += _four_squares(row, lane + 1)
        c += _four_squares(row, lane + 2)
        d += _four_squares(row, lane + 3)
        e += _four_squares(row, lane + 4)
        f += _four_squares(row, lane + 5)
        g += _four_squares(row, lane + 6)
        h += _four_squares(row, lane + 7)
    total = ((a + e) + (c + g)) + ((b + f) + (d + h))
    for lane in range(whole, row.size):
        total += row[lane] * row[lane]
    return total / row.size


@row_function
def _add(row, total):
    for lane in range(row.size):
        total[lane] += row[lane]


@kernel
def observe(sampler, hamiltonian, state, observables, positions, randoms, thinning, series, walker_sums, observed):
    """Measure energies and observables with the parameters frozen and return how many moves were accepted.

    series: float64[batches, steps, 4 + components], filled with each batch's means of MOMENTS and of the components of
    the estimator; walker_sums: float64[batches, lanes], the estimator of each walker is added; observed:
    float64[batches, steps, size], zero, what the observables find is added.
    """
    batches, units, lanes = positions.shape
    work = workspace(state, lanes)
    scratch = np.empty((units + 16, lanes))
    table = np.empty((series.shape[2] - 2, lanes))
    accepted = 0
    for batch in range(batches):
        rebuild(state, work, positions[batch])
        for step in range(series.shape[1]):
            for _ in range(thinning):
                accepted += sweep(sampler, state, work, positions[batch], randoms[batch], scratch)
            local_energy(hamiltonian, state, work, positions[batch], scratch, table)
            _add(table[0], walker_sums[batch])
            row = series[batch, step]
            row[0] = _mean(table[0])
            row[1] = _mean(table[1])
            row[2] = _mean_square(table[1])
            if is_complex(state):
                row[2] += _mean_square(table[table.shape[0] - 1])
            row[3] = _mean_square(table[0])
            for component in range(table.shape[0] - 2):
                row[4 + component] = _mean(table[2 + component])
            measure(observables, state, work, positions[batch], randoms[batch], scratch, observed[batch, step])
    return accepted
