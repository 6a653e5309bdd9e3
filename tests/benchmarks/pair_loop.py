"""What the kernels of correlated states are compared with: the loop of scalar_loop.py with a factor for each pair.

Distances of all pairs, and what the factor makes of them, are kept up to date; a move takes a root and a division for
each other particle.
"""

import math
from typing import NamedTuple

import numpy as np
import scalar_loop
from scalar_loop import compiled, softplus_of, start, uniform


class Machine(NamedTuple):
    """psi of scalar_loop.py times prod_{i<k} e^(c r / (1 + beta r)), or where spheres are hard prod_{i<k} (1 - a / r).

    own: `scalar_loop.Machine`, for a Gaussian without hidden units; is_hard: whether spheres are; slope: c; length:
    beta or a; charge: of the Coulomb repulsion; square_omega: of the trap, float64[units].
    """

    own: scalar_loop.Machine
    is_hard: bool
    slope: float
    length: float
    charge: float
    square_omega: np.ndarray


@compiled
def _distance(x, first, second, dimensions):
    square = 0.0
    for k in range(dimensions):
        difference = x[first + k] - x[second + k]
        square += difference * difference
    return math.sqrt(square)


@compiled
def _factor(machine, r):
    """Return the exponent c r / (1 + beta r), or the factor 1 - a / r itself, zero where spheres overlap."""
    if machine.is_hard:
        return 1.0 - machine.length / r if r > machine.length else 0.0
    return machine.slope * r / (1.0 + machine.length * r)


@compiled
def _start_pairs(machine, x, distances, factors):
    dimensions = machine.own.dimensions
    for i in range(machine.own.particles):
        for k in range(machine.own.particles):
            if i != k:
                distances[i, k] = _distance(x, i * dimensions, k * dimensions, dimensions)
                factors[i, k] = _factor(machine, distances[i, k])


@compiled
def _sweep(machine, x, theta, softplus, distances, factors, move, new_theta, new_softplus, new_distances, new_factors):
    own, accepted = machine.own, 0
    dimensions = own.dimensions
    for particle in range(own.particles):
        first = particle * dimensions
        logarithm, ratio, before = 0.0, 1.0, 1.0
        for k in range(dimensions):
            m = first + k
            move[k] = own.step * (2.0 * uniform() - 1.0)
            logarithm -= own.inverse_variance[m] * move[k] * (x[m] - own.center[m] + 0.5 * move[k])
        for j in range(theta.size):
            new = theta[j]
            for k in range(dimensions):
                new += own.weight[first + k, j] * move[k]
            new_theta[j] = new
            new_softplus[j] = softplus_of(new)
            logarithm += new_softplus[j] - softplus[j]
        for k in range(dimensions):
            x[first + k] += move[k]
        for other in range(own.particles):
            if other != particle:
                new_distances[other] = _distance(x, first, other * dimensions, dimensions)
                new_factors[other] = _factor(machine, new_distances[other])
                if machine.is_hard:
                    ratio *= new_factors[other]
                    before *= factors[particle, other]
                else:
                    logarithm += 2.0 * (new_factors[other] - factors[particle, other])
        ratio /= before
        if uniform() < ratio * ratio * math.exp(logarithm):
            accepted += 1
            for j in range(theta.size):
                theta[j] = new_theta[j]
                softplus[j] = new_softplus[j]
            for other in range(own.particles):
                if other != particle:
                    distances[particle, other] = distances[other, particle] = new_distances[other]
                    factors[particle, other] = factors[other, particle] = new_factors[other]
        else:
            for k in range(dimensions):
                x[first + k] -= move[k]
    return accepted


@compiled
def _energy(machine, x, theta, distances, sigmoid, gradient):
    own, dimensions = machine.own, machine.own.dimensions
    laplacian, energy = 0.0, 0.0
    for j in range(theta.size):
        sigmoid[j] = 1.0 / (1.0 + math.exp(-theta[j]))
        laplacian += 0.5 * own.weight_square[j] * sigmoid[j] * (1.0 - sigmoid[j])
    for m in range(x.size):
        laplacian -= 0.5 * own.inverse_variance[m]
        slope = -own.inverse_variance[m] * (x[m] - own.center[m])
        for j in range(theta.size):
            slope += own.weight[m, j] * sigmoid[j]
        gradient[m] = 0.5 * slope
        energy += 0.5 * machine.square_omega[m] * x[m] * x[m]
    for i in range(own.particles):
        for k in range(i):
            r = distances[i, k]
            over = 1.0 / r
            if machine.is_hard:
                shrink = 1.0 / (r - machine.length)
                first = machine.length * over * shrink
                second = -first * (over + shrink)
            else:
                shrink = 1.0 / (1.0 + machine.length * r)
                first = machine.slope * shrink * shrink
                second = -2.0 * machine.length * first * shrink
            energy += machine.charge * over
            laplacian += 2.0 * (second + (dimensions - 1) * first * over)
            for axis in range(dimensions):
                m, n = i * dimensions + axis, k * dimensions + axis
                change = first * over * (x[m] - x[n])
                gradient[m] += change
                gradient[n] -= change
    for m in range(x.size):
        laplacian += gradient[m] * gradient[m]
    return energy - 0.5 * laplacian


@compiled
def _walk(machine, walkers, sweeps, measures, sums):
    own, accepted = machine.own, 0
    hidden, particles = own.bias.size, own.particles
    theta, softplus, new_theta, new_softplus = np.empty(hidden), np.empty(hidden), np.empty(hidden), np.empty(hidden)
    distances, factors = np.empty((particles, particles)), np.empty((particles, particles))
    new_distances, new_factors = np.empty(particles), np.empty(particles)
    move, sigmoid, gradient = np.empty(own.dimensions), np.empty(hidden), np.empty(walkers.shape[1])
    for walker in range(walkers.shape[0]):
        x = walkers[walker]
        start(own, x, theta, softplus)
        _start_pairs(machine, x, distances, factors)
        for _ in range(sweeps):
            kept, new = (theta, softplus, distances, factors), (new_theta, new_softplus, new_distances, new_factors)
            accepted += _sweep(machine, x, *kept, move, *new)
            if measures:
                sums[walker, 0] += _energy(machine, x, theta, distances, sigmoid, gradient)
    return accepted


@compiled
def _energies(machine, walkers, times, sums):
    count, hidden, particles = walkers.shape[0], machine.own.bias.size, machine.own.particles
    thetas, sigmoid, gradient = np.empty((count, hidden)), np.empty(hidden), np.empty(walkers.shape[1])
    distances, factors = np.empty((count, particles, particles)), np.empty((particles, particles))
    for walker in range(count):
        start(machine.own, walkers[walker], thetas[walker], sigmoid)
        _start_pairs(machine, walkers[walker], distances[walker], factors)
    for _ in range(times):  # walkers inside, or the compiler might see that nothing changes
        for walker in range(count):
            sums[walker, 0] += _energy(machine, walkers[walker], thetas[walker], distances[walker], sigmoid, gradient)


class Loop:
    """The loop, for one machine."""

    def __init__(self, machine):
        """Seed its random numbers, too."""
        self._machine = machine
        scalar_loop.seed(1)

    def walk(self, walkers, sweeps, measures, sums):
        """Walk walkers float64[walkers, units] and return the accepted moves; sums[:, 0]: of E, float64[walkers, 2]."""
        return _walk(self._machine, walkers, sweeps, measures, sums)

    def energies(self, walkers, times, sums):
        """Add the local energies, that many times, to sums[:, 0], float64[walkers, 2]."""
        _energies(self._machine, walkers, times, sums)
