"""What a student would write from the formulas: one walker, loops over everything, no incremental update."""

import itertools
import math

import numpy as np


def log_psi(x, a, b, w, sigma, k, c, hidden_values, p):
    """Return p ln sum_h exp[-sum (x - a)^2 / (k sigma^2) + sum b h + sum x w h / sigma^c], h enumerated."""
    visible = -np.sum((x - a) ** 2 / (k * sigma**2))
    exponents = []
    for h in itertools.product(hidden_values, repeat=len(b)):
        h = np.array(h, float)
        exponents.append(visible + b @ h + (x / sigma**c) @ w @ h)
    largest = max(exponents)
    return p * (largest + math.log(sum(math.exp(value - largest) for value in exponents)))


def _softplus(theta):
    return math.log(1.0 + math.exp(theta))


PAIR_FACTORS = {
    "pade_jastrow": lambda r, c, own: c * r / (1.0 + own["beta"] * r),
    "linear_jastrow": lambda r, c, own: math.log(1.0 + c * r),
    "hard_core_jastrow": lambda r, c, own: math.log(1.0 - own["diameter"] / r),
    "pair_rbm": lambda r, c, own: sum(_softplus(b + w * r) for b, w in zip(own["b"], own["w"], strict=True)),
}
"""ln psi of one pair, c its slope by the interaction and own the parameters, from the formulas in the docstrings."""


def pair_factor(kind, x, dimensions, slope, own):
    """Return ln psi of a factor over pairs; slope: a function of the two particles' numbers."""
    particles = list(enumerate(x.reshape(-1, dimensions)))
    return sum(
        PAIR_FACTORS[kind](math.dist(r, s), slope(i, j), own) for (i, r), (j, s) in itertools.combinations(particles, 2)
    )


def derivatives(function, x, step=1e-4):
    """Return (gradient, sum of second derivatives) of function(x) by central differences of fourth order."""
    gradient, laplacian = np.zeros(x.size), 0.0
    for m in range(x.size):
        values = []
        for n in (-2, -1, 0, 1, 2):
            shifted = x.copy()
            shifted[m] += n * step
            values.append(function(shifted))
        gradient[m] = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * step)
        laplacian += (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * step**2)
    return gradient, laplacian


def local_energy(function, x, dimensions, omega, strength, step=2e-3):
    """Return (kinetic, trap, interaction) of H psi / psi for ln psi = function(x)."""
    gradient, laplacian = derivatives(function, x, step)
    kinetic = -0.5 * (laplacian + gradient @ gradient)
    trap = 0.5 * sum(omega[m % dimensions] ** 2 * x[m] ** 2 for m in range(x.size))
    particles = x.reshape(-1, dimensions)
    pairs = sum(strength / math.dist(r, s) for r, s in itertools.combinations(particles, 2))
    return kinetic, trap, pairs


def control_variate(function, x, dimensions, beta):
    """Return sum_i (lap_i f + 2 grad_i f . grad_i ln psi), f = sum_{i<j} u(r_ij), u' = 1 / (1 + beta r)^2."""

    def f(y):
        distances = (math.dist(r, s) for r, s in itertools.combinations(y.reshape(-1, dimensions), 2))
        return sum(r / (1.0 + beta * r) for r in distances)

    f_gradient, f_laplacian = derivatives(f, x, 1e-3)
    gradient, _ = derivatives(function, x, 1e-3)
    return f_laplacian + 2.0 * f_gradient @ gradient


def metropolis(function, x, moves, uniforms, step, dimensions):
    """Walk with given uniform numbers, one row of dimensions + 1 for each move, and return how many were accepted."""
    accepted = 0
    for move in range(moves):
        particle = move % (x.size // dimensions)
        trial = x.copy()
        for axis in range(dimensions):
            trial[particle * dimensions + axis] += step * (2.0 * uniforms[move, axis] - 1.0)
        if uniforms[move, dimensions] < math.exp(2.0 * (function(trial) - function(x))):
            x[:] = trial
            accepted += 1
    return accepted


def langevin(function, x, moves, uniforms, step, dimensions):
    """Walk with importance sampling on given uniform numbers, a row for each move, and return how many were accepted.

    A row holds pairs of numbers for pairs of normal ones, as many as the axes need, and the threshold last. The drift
    is by differences, limited with a = 1/2.
    """

    def drift(y, rows):
        v = derivatives(function, y, 1e-3)[0][rows]
        square = 0.5 * (v @ v) * step
        return v * (math.sqrt(1.0 + 2.0 * square) - 1.0) / square

    def green(new, old, velocity):
        return math.exp(-np.sum((new - old - step * velocity) ** 2) / (2.0 * step))

    accepted = 0
    for move in range(moves):
        particle = move % (x.size // dimensions)
        rows = slice(particle * dimensions, (particle + 1) * dimensions)
        normals = []
        for first in range(0, dimensions, 2):
            radius = math.sqrt(-2.0 * math.log(1.0 - uniforms[move, first]))
            angle = 2.0 * math.pi * uniforms[move, first + 1]
            normals += [radius * math.cos(angle), radius * math.sin(angle)]
        trial = x.copy()
        here = drift(x, rows)
        trial[rows] += step * here + math.sqrt(step) * np.array(normals[:dimensions])
        there = drift(trial, rows)
        ratio = math.exp(2.0 * (function(trial) - function(x)))
        ratio *= green(x[rows], trial[rows], there) / green(trial[rows], x[rows], here)
        if uniforms[move, -1] < ratio:
            x[:] = trial
            accepted += 1
    return accepted
