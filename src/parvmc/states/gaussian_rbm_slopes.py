"""The Gaussian-binary machine on lanes: gradient and Laplacian of ln psi, in the notation of gaussian_rbm.py."""

from parvmc.dispatch import implements, row_function
from parvmc.operations import drift, gradient, trial_drift
from parvmc.states.gaussian_rbm_lanes import GaussianRbm, add_multiple
from parvmc.vecmath import shift


@row_function
def _add_two_multiples(factor, row, other_factor, other, total):
    for lane in range(total.size):
        total[lane] += factor * row[lane] + other_factor * other[lane]


@row_function
def _add_hidden_curvature(constant, factor, u, sigmoid, laplacian):
    """Fill the sigmoid s = u / (1 + u) and add constant + factor s (1 - s), without cancellation near saturation."""
    for lane in range(u.size):
        complement = 1.0 / (1.0 + u[lane])
        sigmoid[lane] = u[lane] * complement
        laplacian[lane] += constant + factor * sigmoid[lane] * complement


@row_function
def _add_linear(center, curvature, slope, position, gradient):
    for lane in range(position.size):
        gradient[lane] += slope - curvature * (position[lane] - center)


@row_function
def _add_linear_and_two_multiples(center, curvature, slope, position, factor, row, other_factor, other, gradient):
    for lane in range(position.size):
        linear = slope - curvature * (position[lane] - center)
        gradient[lane] += linear + factor * row[lane] + other_factor * other[lane]


@implements(gradient, GaussianRbm)
def _gradient(state, work, positions, gradients, laplacian):
    hidden, constant = state.bias.size, -state.curvature.sum()
    if hidden == 0:
        shift(constant, laplacian)
    for j in range(hidden):
        factor = state.power * state.coupling_square[j]
        _add_hidden_curvature(constant if j == 0 else 0.0, factor, work.u[j], work.sigmoid[j], laplacian)
    for m in range(positions.shape[0]):
        center, curvature, slope = state.center[m], state.curvature[m], state.slope[m]
        if hidden < 2:
            _add_linear(center, curvature, slope, positions[m], gradients[m])
        else:
            factor, other, row = state.power * state.coupling[m, 0], state.power * state.coupling[m, 1], work.sigmoid
            _add_linear_and_two_multiples(
                center, curvature, slope, positions[m], factor, row[0], other, row[1], gradients[m]
            )
        for j in range(2, hidden - 1, 2):
            factor, other = state.power * state.coupling[m, j], state.power * state.coupling[m, j + 1]
            _add_two_multiples(factor, work.sigmoid[j], other, work.sigmoid[j + 1], gradients[m])
        if hidden % 2:
            add_multiple(state.power * state.coupling[m, hidden - 1], work.sigmoid[hidden - 1], gradients[m])


@row_function
def _fill_sigmoid(u, sigmoid):
    for lane in range(u.size):
        sigmoid[lane] = u[lane] / (1.0 + u[lane])


@row_function
def _add_hidden_slopes(state, work, u, particle, gradients):
    """Add p sum_j w_mj s_j / sigma_m^c for the coordinates of one particle, the division once for each hidden unit."""
    for j in range(state.bias.size):
        _fill_sigmoid(u[j], work.sigmoid[j])
        for axis in range(state.dimensions):
            coupling = state.coupling[particle * state.dimensions + axis, j]
            add_multiple(state.power * coupling, work.sigmoid[j], gradients[axis])


@row_function
def _add_linear_displaced(center, curvature, slope, position, displacement, gradient):
    for lane in range(position.size):
        gradient[lane] += slope - curvature * (position[lane] + displacement[lane] - center)


@implements(drift, GaussianRbm)
def _drift(state, work, positions, particle, gradients):
    for axis in range(state.dimensions):
        m = particle * state.dimensions + axis
        _add_linear(state.center[m], state.curvature[m], state.slope[m], positions[m], gradients[axis])
    _add_hidden_slopes(state, work, work.u, particle, gradients)


@implements(trial_drift, GaussianRbm)
def _trial_drift(state, work, positions, particle, displacement, gradients):
    for axis in range(state.dimensions):
        m = particle * state.dimensions + axis
        _add_linear_displaced(
            state.center[m], state.curvature[m], state.slope[m], positions[m], displacement[axis], gradients[axis]
        )
    _add_hidden_slopes(state, work, work.trial, particle, gradients)
