"""Densities and pair correlations of particles in a trap that are known exactly. Units hbar = m = e = 1. Pure numpy."""

import math

import numpy as np

from parvmc import references

REACH = 8.0  # in units of 1/sqrt(omega): g(r) of every system of the table is below 1e-8 of its peak there
TERMS = 200
NODES = 160


def ideal_density(particles, omega, positions):
    """n(x) of the ideal gas (bosons), N prod_k sqrt(w_k / pi) exp(-w_k x_k^2); omega: one per axis, positions:
    float64[axes, ...]."""
    found = particles
    for frequency, place in zip(omega, positions, strict=True):
        found = found * math.sqrt(frequency / math.pi) * np.exp(-frequency * np.square(place))
    return found


def ideal_density_matrix(particles, omega, positions):
    """rho(x, x') of the ideal gas, N phi(x) phi(x'); positions: float64[2 axes, ...], all of x before those of x'."""
    halves = positions[: len(omega)], positions[len(omega) :]
    first, second = (np.sqrt(ideal_density(1, omega, half)) for half in halves)
    return particles * first * second


def ideal_pair_correlation(particles, omega, dimensions, distances):
    """g(r) of the ideal gas in an isotropic trap: N (N - 1) / 2 (w / 2 pi)^(D/2) exp(-w r^2 / 2)."""
    pairs = 0.5 * particles * (particles - 1)
    return pairs * (omega / (2.0 * math.pi)) ** (0.5 * dimensions) * np.exp(-0.5 * omega * np.square(distances))


def _relative(energy, dimensions, coupling, x):
    """The wave function of the relative motion at x = sqrt(omega) r, not normalised; energy in units of omega, coupling
    = lambda / sqrt(omega).

    phi = exp(-x^2 / 4) sum_k c_k x^k in -phi'' - (D - 1)/x phi' + (x^2 / 4 + coupling / x) phi = (E - D/2) phi gives

        c_1 = coupling c_0 / (D - 1),    (k + 2) (k + D) c_(k+2) = coupling c_(k+1) + (k + D - E) c_k.

    The series ends where E = n + D (M. Taut, Phys. Rev. A 48, 3561 (1993), eqs. 13 to 16); else the digits of E that
    the table has are enough out to REACH.
    """
    c = np.zeros(TERMS)
    c[0], c[1] = 1.0, coupling / (dimensions - 1)
    for k in range(TERMS - 2):
        c[k + 2] = (coupling * c[k + 1] + (k + dimensions - energy) * c[k]) / ((k + 2) * (k + dimensions))
    return np.exp(-0.25 * np.square(x)) * np.polynomial.polynomial.polyval(x, c)


def _shell(dimensions, radii):
    return {2: 2.0 * math.pi * radii, 3: 4.0 * math.pi * np.square(radii)}[dimensions]


def _pair(omega, dimensions, strength):
    """Return (nodes and weights of an integral over r, g(r) at the nodes, g(r) as a function), or None."""
    found = references.exact(2, dimensions, [omega] * dimensions, "coulomb", strength)
    if found is None or dimensions not in (2, 3):
        return None
    length = 1.0 / math.sqrt(omega)

    def square(distances):
        x = np.asarray(distances) / length
        inside = np.square(_relative(found.energy / omega, dimensions, strength * length, np.minimum(x, REACH)))
        return np.where(x < REACH, inside, 0.0)

    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    nodes, weights = 0.5 * REACH * length * (nodes + 1.0), 0.5 * REACH * length * weights
    norm = np.sum(weights * _shell(dimensions, nodes) * square(nodes))
    return nodes, weights, square(nodes) / norm, lambda distances: square(distances) / norm


def two_electron_pair_correlation(omega, dimensions, strength, distances):
    """g(r) of two particles that repel as strength / r in an isotropic trap, its integral is 1; None where the energy
    is not known."""
    found = _pair(omega, dimensions, strength)
    return None if found is None else found[3](distances)


def two_electron_density(omega, dimensions, strength, distances):
    """n(r) of the same, its integral is 2; None where the energy is not known.

    Centre of mass and relative motion are independent: n(x) = 2 <(2 w / pi)^(D/2) exp(-2 w |x - r/2|^2)> over g(r),
    the mean over directions of r in closed form: e^(-z) I_0(z) in two dimensions, (1 - e^(-2z)) / (2z) in three, with z
    = 2 w |x| r, times exp(-2 w (|x| - r/2)^2).
    """
    found = _pair(omega, dimensions, strength)
    if found is None:
        return None
    nodes, weights, pair, _ = found
    distances = np.asarray(distances, dtype=float)[..., np.newaxis]
    z = np.clip(2.0 * omega * distances * nodes, 1e-9, 700.0)  # farther out the other factor is zero
    angles = np.exp(-z) * np.i0(z) if dimensions == 2 else -np.expm1(-2.0 * z) / (2.0 * z)
    kernel = (2.0 * omega / math.pi) ** (0.5 * dimensions) * np.exp(-2.0 * omega * np.square(distances - 0.5 * nodes))
    return 2.0 * np.sum(weights * _shell(dimensions, nodes) * pair * angles * kernel, axis=-1)
