"""What a student would write from the formulas of the spin machine: one walker, loops over all hidden states."""

import cmath
import itertools
import math

import numpy as np


def exponent(spins, hidden, a, b, w):
    """a . s + b . h + s . W . h, by loops."""
    total = sum(a[i] * spins[i] for i in range(len(spins)))
    for j in range(len(hidden)):
        total += b[j] * hidden[j]
        for i in range(len(spins)):
            total += spins[i] * w[i, j] * hidden[j]
    return total


def psi(spins, a, b, w, hidden_values):
    """The sum over all 2^H states of the hidden layer."""
    return sum(cmath.exp(exponent(spins, h, a, b, w)) for h in itertools.product(hidden_values, repeat=len(b)))


def log_psi(spins, a, b, w, hidden_values):
    """ln psi for many hidden units, each summed by itself; exact arithmetic allows no large exponent."""
    total = sum(a[i] * spins[i] for i in range(len(spins)))
    for j in range(len(b)):
        theta = b[j] + sum(spins[i] * w[i, j] for i in range(len(spins)))
        total += cmath.log(sum(cmath.exp(value * theta) for value in hidden_values))
    return total


def moved(spins, first, second):
    """Return the spins with one or two sites flipped; second is -1 where there is one."""
    found = np.array(spins)
    found[first] *= -1.0
    if second >= 0:
        found[second] *= -1.0
    return found


def copied(shape, a, b, w):
    """Return (a, b, w) of all units from those of a translation-symmetric machine, on a ring or a torus of this shape.

    Hidden unit (filter, translation): the translation by (dx, ...) takes site x to x + dx.
    """
    places = list(itertools.product(*map(range, shape)))
    site_of = {place: site for site, place in enumerate(places)}
    full, biases = np.zeros((len(places), w.shape[1] * len(places)), w.dtype), []
    for f in range(w.shape[1]):
        for t, shift in enumerate(places):
            biases.append(b[f])
            for i, place in enumerate(places):
                there = tuple((x + dx) % side for x, dx, side in zip(place, shift, shape, strict=True))
                full[site_of[there], f * len(places) + t] = w[i, f]
    return np.full(len(places), a[0]), np.array(biases), full


def hidden_probability(spins, j, b, w, hidden_values):
    """P(h_j = 1) of one copy given the spins, from the weights of its two values."""
    theta = b[j] + sum(spins[i] * w[i, j] for i in range(len(spins)))
    weights = [math.exp(value * theta) for value in hidden_values]
    return weights[1] / sum(weights)


def spin_probability(hidden, copies, i, a, b, w):
    """P(s_i = 1) given the hidden values of all copies, float64[copies, hidden], from the weights of its two values."""
    total = 2.0 * a[i] + sum(w[i, j] * hidden[c][j] for c in range(copies) for j in range(len(b)))
    up, down = math.exp(total), math.exp(-total)
    return up / (up + down)
