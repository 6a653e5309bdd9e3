"""The Gaussian-binary machine on lanes: its pack and how it moves, in the notation of gaussian_rbm.py."""

from typing import NamedTuple

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.operations import accept, ratio, rebuild, workspace
from parvmc.vecmath import exp, multiply_exponential

UNITS_PER_PRODUCT = 4  # factors (1 + u) multiplied before a division: 4 of them stay finite up to theta' = 177 each
LARGEST_THETA = 600.0  # past this e^theta' is too near overflow to be carried
# A walker that goes past either gets a local energy that is not a number, which stops the run and names it; bent
# probabilities, or a ratio inf / inf that is always rejected, would bias the energy silently.


class GaussianRbm(NamedTuple):
    """Pack of the machine, in the notation of gaussian_rbm.py.

    center, curvature, slope (p t sum_j w_ij / sigma_i^c): float64[units]; coupling (s w_ij / sigma_i^c):
    float64[units, hidden]; bias (s b_j), coupling_square (sum_i coupling_ij^2): float64[hidden].
    """

    count: int
    dimensions: int
    power: float
    scale: float
    offset: float
    coupling_power: float
    constant: float
    center: np.ndarray
    curvature: np.ndarray
    slope: np.ndarray
    inverse_width: np.ndarray
    bias: np.ndarray
    coupling: np.ndarray
    coupling_square: np.ndarray
    trains_visible: bool
    trains_hidden: bool
    trains_weights: bool
    trains_sigma: bool
    sigma_shared: bool


class Work(NamedTuple):
    """What the machine derives from one batch: u = e^theta' and the products of (1 + u), now and as proposed.

    Carrying u rather than the sigmoid lets a move and its way back cancel near saturation: errors only add.
    """

    u: np.ndarray
    trial: np.ndarray
    product: np.ndarray
    trial_product: np.ndarray
    exponent: np.ndarray
    sigmoid: np.ndarray


@implements(workspace, GaussianRbm)
def _workspace(state, lanes):
    hidden = state.bias.size
    products = (hidden + UNITS_PER_PRODUCT - 1) // UNITS_PER_PRODUCT
    return Work(
        np.empty((hidden, lanes)),
        np.empty((hidden, lanes)),
        np.ones((products, lanes)),
        np.ones((products, lanes)),
        np.empty(lanes),
        np.empty((hidden, lanes)),
    )


@row_function
def add_multiple(factor, row, total):
    """Add a multiple of one row to another."""
    for lane in range(total.size):
        total[lane] += factor * row[lane]


@row_function
def _exponentiate(theta, u, product):
    for lane in range(u.size):
        u[lane] = exp(theta[lane]) if abs(theta[lane]) < LARGEST_THETA else np.nan
        product[lane] *= 1.0 + u[lane]


@row_function
def _mark_overflow(product, u):
    for lane in range(u.size):
        u[lane] = u[lane] if product[lane] < np.inf else np.nan


@implements(rebuild, GaussianRbm)
def _rebuild(state, work, positions):
    work.product[:] = 1.0
    for j in range(state.bias.size):
        theta = work.trial[j]
        theta[:] = state.bias[j]
        for m in range(positions.shape[0]):
            add_multiple(state.coupling[m, j], positions[m], theta)
        _exponentiate(theta, work.u[j], work.product[j // UNITS_PER_PRODUCT])
    for j in range(state.bias.size):
        _mark_overflow(work.product[j // UNITS_PER_PRODUCT], work.u[j])


@row_function
def _gaussian(center, curvature, slope, position, displacement, exponent):
    """Fill the change of 2 ln psi by the Gaussian factor and the linear term, of one coordinate."""
    for lane in range(exponent.size):
        d = displacement[lane]
        exponent[lane] = 2.0 * d * (slope - curvature * (position[lane] - center + 0.5 * d))


@row_function
def _add_gaussian(center, curvature, slope, position, displacement, exponent):
    """Add that of another."""
    for lane in range(exponent.size):
        d = displacement[lane]
        exponent[lane] += 2.0 * d * (slope - curvature * (position[lane] - center + 0.5 * d))


@row_function
def _propose(w0, w1, w2, d0, d1, d2, u, trial, product):
    """u' = u e^d and the product of (1 + u'): one exponential for each hidden unit and move, no logarithm, no
    division."""
    for lane in range(u.size):
        proposed = u[lane] * exp(w0 * d0[lane] + w1 * d1[lane] + w2 * d2[lane])
        trial[lane] = proposed
        product[lane] = 1.0 + proposed


@row_function
def _propose_more(w0, w1, w2, d0, d1, d2, u, trial, product):
    """The same of a further unit in a product."""
    for lane in range(u.size):
        proposed = u[lane] * exp(w0 * d0[lane] + w1 * d1[lane] + w2 * d2[lane])
        trial[lane] = proposed
        product[lane] *= 1.0 + proposed


@row_function
def _multiply_ratio(new, old, full, exponent, ratios):
    """Multiply by a product's quotient and by e^exponent."""
    for lane in range(ratios.size):
        quotient = new[lane] / old[lane]
        ratios[lane] *= (quotient * quotient if full else quotient) * exp(exponent[lane])


@row_function
def _multiply_more(new, old, full, ratios):
    """Multiply by the quotient of a further product."""
    for lane in range(ratios.size):
        quotient = new[lane] / old[lane]
        ratios[lane] *= quotient * quotient if full else quotient


@row_function
def _coupling_of(state, first, j):
    """Return the couplings of a particle's coordinates and a hidden unit, zero beyond the dimensions."""
    w1 = state.coupling[first + 1, j] if state.dimensions > 1 else 0.0
    w2 = state.coupling[first + 2, j] if state.dimensions > 2 else 0.0
    return state.coupling[first, j], w1, w2


@implements(ratio, GaussianRbm)
def _ratio(state, work, positions, particle, displacement, ratios):
    dimensions, hidden = state.dimensions, state.bias.size
    first = particle * dimensions
    for axis in range(dimensions):
        m = first + axis
        place, distance = positions[m], displacement[axis]
        if axis == 0:
            _gaussian(state.center[m], state.curvature[m], state.slope[m], place, distance, work.exponent)
        else:
            _add_gaussian(state.center[m], state.curvature[m], state.slope[m], place, distance, work.exponent)
    d0, d1, d2 = displacement[0], displacement[1], displacement[2]
    u, trial = work.u, work.trial
    for j in range(hidden):
        w0, w1, w2 = _coupling_of(state, first, j)
        product = work.trial_product[j // UNITS_PER_PRODUCT]
        if j % UNITS_PER_PRODUCT == 0:
            _propose(w0, w1, w2, d0, d1, d2, u[j], trial[j], product)
        else:
            _propose_more(w0, w1, w2, d0, d1, d2, u[j], trial[j], product)
    for block in range(1, work.product.shape[0]):
        _multiply_more(work.trial_product[block], work.product[block], state.power == 1.0, ratios)
    if hidden:
        _multiply_ratio(work.trial_product[0], work.product[0], state.power == 1.0, work.exponent, ratios)
    else:
        multiply_exponential(work.exponent, ratios)


@row_function
def _blend(mask, new, old):
    for lane in range(old.size):
        proposed, present = new[lane], old[lane]  # both loaded first: a load behind the condition would be a branch
        old[lane] = proposed if mask[lane] > 0.5 else present


@row_function
def _blend_two(mask, new, old, other_new, other_old):
    for lane in range(old.size):
        proposed, present, other_proposed, other_present = new[lane], old[lane], other_new[lane], other_old[lane]
        old[lane] = proposed if mask[lane] > 0.5 else present
        other_old[lane] = other_proposed if mask[lane] > 0.5 else other_present


@implements(accept, GaussianRbm)
def _accept(state, work, mask):
    hidden = state.bias.size
    for j in range(0, hidden - 1, 2):
        _blend_two(mask, work.trial[j], work.u[j], work.trial[j + 1], work.u[j + 1])
    if hidden % 2:
        _blend(mask, work.trial[hidden - 1], work.u[hidden - 1])
    for block in range(work.product.shape[0]):
        _blend(mask, work.trial_product[block], work.product[block])
