"""Factors that are a product over pairs: ln psi = sum_{i<j} f_ij(r_ij). What all of them share.

A factor's file says what f is, by the operations `pair_...`; `pair_factor(Pack)` makes the whole factor of it. Nothing
is carried from move to move: distances are found anew where they are needed, so there is nothing to rebuild.
"""

import math
from typing import NamedTuple

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.operations import (
    accept,
    drift,
    gradient,
    log_amplitude,
    log_derivatives,
    pair_derivatives,
    pair_logarithm,
    pair_ratio,
    pair_slopes,
    ratio,
    rebuild,
    trial_drift,
    workspace,
)
from parvmc.vecmath import multiply_exponential


def cusp_slopes(space, spin_up):
    """Return float64[particles, particles], the slopes c of psi ~ 1 + c r that cancel the interaction's 1/r.

    c = pole / (D - 1) for bosons and opposite spins, pole / (D + 1) for equal ones (for D = 3: T. Kato, Commun. Pure
    Appl. Math. 10, 151 (1957)); spin_up: how many particles, the first ones, are of one spin, None for bosons.
    """
    opposite, equal = space.pole / max(space.dimensions - 1, 1), space.pole / (space.dimensions + 1)
    if spin_up is None:
        return np.full((space.particles, space.particles), opposite)
    spin = np.arange(space.particles) < spin_up
    return np.where(spin[:, np.newaxis] == spin, equal, opposite)


def cusp_problems(factor, space):
    """Return the reasons why a factor whose slope at contact is `cusp_slopes` cannot work in this space."""
    if space.dimensions == 1:
        reason = "has a kink where two particles meet, which in one dimension is a delta function that no sample finds"
        return [("kind", f"{factor.kind} {reason}; leave the factor out")]
    if space.pole == 0.0:
        reason = "takes its slope at contact from the 1/r of the interaction, and this interaction has none"
        return [("kind", f"{factor.kind} {reason}; leave the factor out, or use pair_rbm")]
    if factor.spin_up is not None and factor.spin_up > space.particles:
        return [("spin_up", f"{factor.spin_up} of {space.particles} particles cannot be of spin up")]
    return []


class Work(NamedTuple):
    """Rows for one pair at a time: its distance, as proposed too, f'/r, f'', and the sum of 2 ln of the ratios.

    place: float64[3, lanes], where a move would put the particle.
    """

    place: np.ndarray
    distance: np.ndarray
    proposed: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    exponent: np.ndarray


@row_function
def _line(x, other_x, distance):
    for lane in range(distance.size):
        distance[lane] = abs(x[lane] - other_x[lane])


@row_function
def _plane(x, y, other_x, other_y, distance):
    for lane in range(distance.size):
        dx, dy = x[lane] - other_x[lane], y[lane] - other_y[lane]
        distance[lane] = math.sqrt(dx * dx + dy * dy)


@row_function
def _space(x, y, z, other_x, other_y, other_z, distance):
    for lane in range(distance.size):
        dx, dy, dz = x[lane] - other_x[lane], y[lane] - other_y[lane], z[lane] - other_z[lane]
        distance[lane] = math.sqrt(dx * dx + dy * dy + dz * dz)


@row_function
def _fill_distance(dimensions, places, at, positions, other, distance):
    """Fill the distance between the point in rows places[at:] and the particle whose coordinates begin at
    positions[other]."""
    if dimensions == 1:
        _line(places[at], positions[other], distance)
    elif dimensions == 2:
        _plane(places[at], places[at + 1], positions[other], positions[other + 1], distance)
    else:
        x, y, z = positions[other], positions[other + 1], positions[other + 2]
        _space(places[at], places[at + 1], places[at + 2], x, y, z, distance)


@row_function
def _displaced(position, displacement, place):
    for lane in range(place.size):
        place[lane] = position[lane] + displacement[lane]


@row_function
def _add_slope(slope, here, there, gradient):
    """Add f'/r (x_i - x_j) along one axis."""
    for lane in range(gradient.size):
        gradient[lane] += slope[lane] * (here[lane] - there[lane])


@row_function
def _add_opposite_slopes(slope, first, second, first_gradient, second_gradient):
    """The same for both particles of a pair."""
    for lane in range(slope.size):
        change = slope[lane] * (first[lane] - second[lane])
        first_gradient[lane] += change
        second_gradient[lane] -= change


@row_function
def _add_laplacian(dimensions, slope, curvature, laplacian):
    """Add both particles' part of a pair, 2 (f'' + (D - 1) f'/r)."""
    for lane in range(laplacian.size):
        laplacian[lane] += 2.0 * (curvature[lane] + (dimensions - 1) * slope[lane])


def _workspace(state, lanes):
    rows = np.empty((8, lanes))
    return Work(rows[:3], rows[3], rows[4], rows[5], rows[6], rows[7])


def _rebuild(state, work, positions):
    pass


def _ratio(state, work, positions, particle, displacement, ratios):
    dimensions = state.dimensions
    own = particle * dimensions
    for axis in range(dimensions):
        _displaced(positions[own + axis], displacement[axis], work.place[axis])
    work.exponent[:] = 0.0
    for other in range(positions.shape[0] // dimensions):
        if other != particle:
            _fill_distance(dimensions, positions, own, positions, other * dimensions, work.distance)
            _fill_distance(dimensions, work.place, 0, positions, other * dimensions, work.proposed)
            pair_ratio(state, particle, other, work.distance, work.proposed, work.exponent, ratios)
    multiply_exponential(work.exponent, ratios)


def _accept(state, work, mask):
    pass


@row_function
def _add_drift(state, work, places, at, positions, particle, gradients):
    dimensions = state.dimensions
    for other in range(positions.shape[0] // dimensions):
        if other != particle:
            _fill_distance(dimensions, places, at, positions, other * dimensions, work.distance)
            pair_slopes(state, particle, other, work.distance, work.slope, work.curvature)
            for axis in range(dimensions):
                _add_slope(work.slope, places[at + axis], positions[other * dimensions + axis], gradients[axis])


def _drift(state, work, positions, particle, gradients):
    _add_drift(state, work, positions, particle * state.dimensions, positions, particle, gradients)


def _trial_drift(state, work, positions, particle, displacement, gradients):
    _add_drift(state, work, work.place, 0, positions, particle, gradients)


def _gradient(state, work, positions, gradients, laplacian):
    dimensions = state.dimensions
    for second in range(positions.shape[0] // dimensions):
        for first in range(second):
            i, j = first * dimensions, second * dimensions
            _fill_distance(dimensions, positions, i, positions, j, work.distance)
            pair_slopes(state, first, second, work.distance, work.slope, work.curvature)
            for axis in range(dimensions):
                _add_opposite_slopes(
                    work.slope, positions[i + axis], positions[j + axis], gradients[i + axis], gradients[j + axis]
                )
            _add_laplacian(dimensions, work.slope, work.curvature, laplacian)


def _log_derivatives(state, work, positions, derivatives):
    dimensions = state.dimensions
    derivatives[:] = 0.0
    for second in range(positions.shape[0] // dimensions):
        for first in range(second):
            _fill_distance(dimensions, positions, first * dimensions, positions, second * dimensions, work.distance)
            pair_derivatives(state, first, second, work.distance, derivatives)


def _log_amplitude(state, work, positions, logarithms):
    dimensions = state.dimensions
    for second in range(positions.shape[0] // dimensions):
        for first in range(second):
            _fill_distance(dimensions, positions, first * dimensions, positions, second * dimensions, work.distance)
            pair_logarithm(state, first, second, work.distance, logarithms)


PACKS = set()
"""The packs of all factors over pairs."""
IMPLEMENTATIONS = {
    workspace: _workspace,
    rebuild: _rebuild,
    ratio: _ratio,
    accept: _accept,
    drift: _drift,
    trial_drift: _trial_drift,
    gradient: _gradient,
    log_derivatives: _log_derivatives,
    log_amplitude: _log_amplitude,
}


def pair_factor(pack):
    """Make a pack, a NamedTuple with fields `count` and `dimensions`, the pack of a factor over pairs."""
    for operation, function in IMPLEMENTATIONS.items():
        implements(operation, pack)(function)
    PACKS.add(pack)
    return pack
