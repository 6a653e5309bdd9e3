"""The Gaussian-binary machine as a joint distribution of visible and hidden units, in the notation of gaussian_rbm.py.

|psi|^2 = F^(2p) is the marginal of a machine with 2p copies of every hidden unit. With n_j of them on,

    |psi|^2 = sum_n prod_j binom(2p, n_j) e^(n_j theta'_j) exp[sum_i -curvature_i (x_i - a_i)^2 + 2 slope_i x_i],

so that each copy given x is on with probability u_j / (1 + u_j), and x_i given n is normal with the variance
1 / (2 curvature_i) and the mean a_i + (2 slope_i + sum_j coupling_ij n_j) / (2 curvature_i).
"""

import math

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.operations import draw_hidden, draw_visible, hidden_layer, rebuild
from parvmc.randoms import normal, uniform
from parvmc.states.gaussian_rbm_lanes import GaussianRbm, add_multiple


def log_weights(state):
    """Return float64[(2p + 1)^hidden], ln of the integral over x of each term of the sum over n, with F's constants.

    With c_i = a_i + slope_i / curvature_i, the mean of x_i where no unit is on,

        ln weight = sum_j [ln binom(2p, n_j) + n_j (bias_j + sum_i coupling_ij c_i)]
                    + sum_i (sum_j coupling_ij n_j)^2 / (4 curvature_i) + ln weight(n = 0).
    """
    hidden, most = state.bias.size, round(2.0 * state.power)
    center = state.center + state.slope / state.curvature
    base = 2.0 * state.constant + np.sum(state.slope * (state.center + center))
    base += 0.5 * np.sum(np.log(np.pi / state.curvature))
    numbers = np.arange((most + 1) ** hidden)
    n = (numbers[:, np.newaxis] // (most + 1) ** np.arange(hidden) % (most + 1)).astype(float)
    square = state.coupling.T @ (state.coupling / (4.0 * state.curvature[:, np.newaxis]))
    ways = np.log([math.comb(most, count) for count in range(most + 1)])
    logarithms = n @ (state.bias + center @ state.coupling) + ((n @ square) * n).sum(axis=1)
    return base + logarithms + ways[n.astype(int)].sum(axis=1)


@implements(hidden_layer, GaussianRbm)
def _hidden_layer(state, work):
    return work.sigmoid


@row_function
def _count_on(u, threshold, hidden):
    for lane in range(hidden.size):
        # where u is no number, the rest of the walker must become so too: a unit counted as off would bend P(h|x)
        hidden[lane] += (1.0 if threshold[lane] * (1.0 + u[lane]) < u[lane] else 0.0) + 0.0 * u[lane]


@implements(draw_hidden, GaussianRbm)
def _draw_hidden(state, work, randoms):
    threshold, layer = work.exponent, work.sigmoid
    layer[:] = 0.0
    for j in range(state.bias.size):
        for _ in range(round(2.0 * state.power)):
            uniform(randoms, threshold)
            _count_on(work.u[j], threshold, layer[j])


@row_function
def _place(center, variance, force, noise, position):
    width = math.sqrt(variance)
    for lane in range(position.size):
        position[lane] = center + variance * force[lane] + width * noise[lane]


@implements(draw_visible, GaussianRbm)
def _draw_visible(state, work, positions, randoms, scratch):
    units, layer, force = positions.shape[0], work.sigmoid, work.exponent
    for first in range(0, units, 2):
        normal(randoms, scratch[0], scratch[1])
        for m in range(first, min(first + 2, units)):
            force[:] = 2.0 * state.slope[m]
            for j in range(state.bias.size):
                add_multiple(state.coupling[m, j], layer[j], force)
            _place(state.center[m], 0.5 / state.curvature[m], force, scratch[m - first], positions[m])
    rebuild(state, work, positions)
