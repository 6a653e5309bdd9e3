"""The Gaussian-binary machine on lanes: its logarithm and the derivatives by its parameters, in the notation of
gaussian_rbm.py."""

import math

from parvmc.dispatch import implements, row_function
from parvmc.operations import log_amplitude, log_derivatives
from parvmc.states.gaussian_rbm_lanes import GaussianRbm, add_multiple
from parvmc.vecmath import copy, shift


@row_function
def _centre_derivative(center, curvature, position, row):
    for lane in range(row.size):
        row[lane] = curvature * (position[lane] - center)


@row_function
def _bias_derivative(power, scale, offset, u, row):
    for lane in range(row.size):
        row[lane] = power * (offset + scale * (u[lane] / (1.0 + u[lane])))


@row_function
def _weight_derivative(factor, position, bias_row, row):
    for lane in range(row.size):
        row[lane] = factor * position[lane] * bias_row[lane]


@row_function
def _add_width_derivative(center, curvature, coupling_power, position, hidden_slope, row):
    for lane in range(row.size):
        distance = position[lane] - center
        row[lane] += curvature * distance * distance - coupling_power * position[lane] * hidden_slope[lane]


@implements(log_derivatives, GaussianRbm)
def _log_derivatives(state, work, positions, derivatives):
    """d ln psi by a: curvature (x - a); b: p g_j; w: p x g_j / sigma^c; ln sigma: curvature (x - a)^2 - c x (hidden
    slope)."""
    units, hidden, at = positions.shape[0], state.bias.size, 0
    bias_rows = work.sigmoid
    for j in range(hidden):
        _bias_derivative(state.power, state.scale, state.offset, work.u[j], bias_rows[j])
    if state.trains_visible:
        for m in range(units):
            _centre_derivative(state.center[m], state.curvature[m], positions[m], derivatives[at])
            at += 1
    if state.trains_hidden:
        for j in range(hidden):
            copy(bias_rows[j], derivatives[at])
            at += 1
    if state.trains_weights:
        for m in range(units):
            for j in range(hidden):
                _weight_derivative(state.inverse_width[m], positions[m], bias_rows[j], derivatives[at])
                at += 1
    if state.trains_sigma:
        derivatives[at:] = 0.0
        for m in range(units):
            hidden_slope = work.exponent
            hidden_slope[:] = 0.0
            for j in range(hidden):
                add_multiple(state.coupling[m, j] / state.scale, bias_rows[j], hidden_slope)
            row = derivatives[at] if state.sigma_shared else derivatives[at + m]
            _add_width_derivative(
                state.center[m], state.curvature[m], state.coupling_power, positions[m], hidden_slope, row
            )


@row_function
def _add_gaussian_logarithm(center, curvature, slope, position, logarithms):
    for lane in range(position.size):
        distance = position[lane] - center
        logarithms[lane] += slope * position[lane] - 0.5 * curvature * distance * distance


@row_function
def _add_hidden_logarithm(power, u, logarithms):
    for lane in range(u.size):
        logarithms[lane] += power * math.log1p(u[lane])


@implements(log_amplitude, GaussianRbm)
def _log_amplitude(state, work, positions, logarithms):
    shift(state.constant, logarithms)
    for m in range(positions.shape[0]):
        _add_gaussian_logarithm(state.center[m], state.curvature[m], state.slope[m], positions[m], logarithms)
    for j in range(state.bias.size):
        _add_hidden_logarithm(state.power, work.u[j], logarithms)
