"""What the kernels are compared with: the careful code of a good student, one walker at a time, compiled by Numba.

Theta is kept up to date; one exponential and one logarithm for each hidden unit and move; the local energy in closed
form.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

compiled = numba.njit(fastmath=True, cache=False)


class Machine(NamedTuple):
    """psi = sqrt(P), P(x) = exp[-sum_i (x_i - a_i)^2 / (2 sigma_i^2)] prod_j (1 + e^theta_j).

    center: a; inverse_variance: 1 / sigma^2; weight: w / sigma^2, float64[units, hidden]; weight_square: its squares,
    summed over units; step: half the edge of the cube of the moves. The trap has omega = 1.
    """

    particles: int
    dimensions: int
    step: float
    center: np.ndarray
    inverse_variance: np.ndarray
    bias: np.ndarray
    weight: np.ndarray
    weight_square: np.ndarray


@compiled
def uniform():
    return np.random.random()  # noqa: NPY002, numba's own generator


@compiled
def softplus_of(x):
    return x + math.log1p(math.exp(-x)) if x > 0.0 else math.log1p(math.exp(x))


@compiled
def start(machine, x, theta, softplus):
    for j in range(theta.size):
        theta[j] = machine.bias[j]
        for m in range(x.size):
            theta[j] += machine.weight[m, j] * x[m]
        softplus[j] = softplus_of(theta[j])


@compiled
def _sweep(machine, x, theta, softplus, move, new_theta, new_softplus):
    accepted = 0
    for particle in range(machine.particles):
        first = particle * machine.dimensions
        logarithm = 0.0
        for k in range(machine.dimensions):
            m = first + k
            move[k] = machine.step * (2.0 * uniform() - 1.0)
            logarithm -= machine.inverse_variance[m] * move[k] * (x[m] - machine.center[m] + 0.5 * move[k])
        for j in range(theta.size):
            new = theta[j]
            for k in range(machine.dimensions):
                new += machine.weight[first + k, j] * move[k]
            new_theta[j] = new
            new_softplus[j] = softplus_of(new)
            logarithm += new_softplus[j] - softplus[j]
        if logarithm >= 0.0 or uniform() < math.exp(logarithm):
            accepted += 1
            for k in range(machine.dimensions):
                x[first + k] += move[k]
            for j in range(theta.size):
                theta[j] = new_theta[j]
                softplus[j] = new_softplus[j]
    return accepted


@compiled
def _energy(machine, x, theta, sigmoid):
    laplacian, squares, energy = 0.0, 0.0, 0.0
    for j in range(theta.size):
        sigmoid[j] = 1.0 / (1.0 + math.exp(-theta[j]))
        laplacian += machine.weight_square[j] * sigmoid[j] * (1.0 - sigmoid[j])
    for m in range(x.size):
        laplacian -= machine.inverse_variance[m]
        slope = -machine.inverse_variance[m] * (x[m] - machine.center[m])
        for j in range(theta.size):
            slope += machine.weight[m, j] * sigmoid[j]
        squares += 0.25 * slope * slope
        energy += 0.5 * x[m] * x[m]
    for second in range(machine.dimensions, x.size, machine.dimensions):
        for first in range(0, second, machine.dimensions):
            squared_distance = 0.0
            for k in range(machine.dimensions):
                difference = x[first + k] - x[second + k]
                squared_distance += difference * difference
            energy += 1.0 / math.sqrt(squared_distance)
    return energy - 0.5 * (0.5 * laplacian + squares)


@compiled
def _derivatives(machine, x, theta, sigmoid, row):
    """Fill a row with d ln psi by a, b, w[units, hidden] and ln sigma."""
    units, hidden = x.size, theta.size
    for j in range(hidden):
        sigmoid[j] = 1.0 / (1.0 + math.exp(-theta[j]))
        row[units + j] = 0.5 * sigmoid[j]
    for m in range(units):
        distance = x[m] - machine.center[m]
        slope = 0.5 * machine.inverse_variance[m] * distance
        first, couplings = units + hidden + m * hidden, 0.0
        for j in range(hidden):
            row[first + j] = 0.5 * machine.inverse_variance[m] * x[m] * sigmoid[j]
            couplings += machine.weight[m, j] * sigmoid[j]
        row[m] = slope
        row[units + hidden + units * hidden + m] = slope * distance - x[m] * couplings


@compiled
def seed(number):
    np.random.seed(number)  # noqa: NPY002, numba's own generator


@compiled
def _walk(machine, walkers, sweeps, measures, sums):
    hidden, accepted = machine.bias.size, 0
    theta, softplus, new_theta, new_softplus = np.empty(hidden), np.empty(hidden), np.empty(hidden), np.empty(hidden)
    move, sigmoid = np.empty(machine.dimensions), np.empty(hidden)
    for walker in range(walkers.shape[0]):
        x = walkers[walker]
        start(machine, x, theta, softplus)
        for _ in range(sweeps):
            accepted += _sweep(machine, x, theta, softplus, move, new_theta, new_softplus)
            if measures:
                energy = _energy(machine, x, theta, sigmoid)
                sums[walker, 0] += energy
                sums[walker, 1] += energy * energy
    return accepted


@compiled
def _energies(machine, walkers, times, sums):
    thetas, sigmoid = np.empty((walkers.shape[0], machine.bias.size)), np.empty(machine.bias.size)
    for walker in range(walkers.shape[0]):
        start(machine, walkers[walker], thetas[walker], sigmoid)
    for _ in range(times):  # walkers inside, or the compiler might see that nothing changes
        for walker in range(walkers.shape[0]):
            energy = _energy(machine, walkers[walker], thetas[walker], sigmoid)
            sums[walker, 0] += energy
            sums[walker, 1] += energy * energy


@compiled
def _all_derivatives(machine, walkers, times, rows):
    thetas, sigmoid = np.empty((walkers.shape[0], machine.bias.size)), np.empty(machine.bias.size)
    for walker in range(walkers.shape[0]):
        start(machine, walkers[walker], thetas[walker], sigmoid)
    for _ in range(times):
        for walker in range(walkers.shape[0]):
            _derivatives(machine, walkers[walker], thetas[walker], sigmoid, rows[walker])


class Loop:
    """The loop, for one machine."""

    def __init__(self, machine):
        """Seed its random numbers, too."""
        self._machine = machine
        seed(1)

    def walk(self, walkers, sweeps, measures, sums):
        """Walk walkers float64[walkers, units] and return the accepted moves; sums: of E and E^2, float64[walkers,
        2]."""
        return _walk(self._machine, walkers, sweeps, measures, sums)

    def energies(self, walkers, times, sums):
        """Add the local energies, that many times, and their squares to sums float64[walkers, 2]."""
        _energies(self._machine, walkers, times, sums)

    def derivatives(self, walkers, times, rows):
        """Fill rows float64[walkers, trained], that many times, with d ln psi / d coordinate."""
        _all_derivatives(self._machine, walkers, times, rows)
