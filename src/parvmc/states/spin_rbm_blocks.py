"""The binary-binary machine with real parameters as a joint distribution of spins and hidden units, in the notation of
spin_rbm.py.

|psi|^2 is the marginal of a machine with every hidden unit twice. With n_j = 0, 1, 2 of them on (h = 1),

    |psi|^2 = sum_n prod_j binom(2, n_j) e^((2 t + s n_j) b_j) e^(sum_i x_i s_i),
    x_i = 2 a_i + sum_j W_ij (2 t + s n_j),

so that each copy given the spins is on with probability u_j / (1 + u_j), and s_i given n is 1 with probability
1 / (1 + e^(-2 x_i)).
"""

import math

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.operations import draw_hidden, draw_visible, hidden_layer, rebuild
from parvmc.randoms import uniform
from parvmc.states.spin_rbm_lanes import SpinRbm
from parvmc.states.spin_rbm_rows import add_matrix
from parvmc.vecmath import exp

COPIES = 2


def log_weights(state):
    """Return float64[3^hidden], ln of the sum over all spins of each term of the sum over n.

    ln weight = sum_j [ln binom(2, n_j) + (2 t + s n_j) b_j] + sum_i ln 2 cosh(x_i).
    """
    numbers = np.arange((COPIES + 1) ** state.hidden)
    n = (numbers[:, np.newaxis] // (COPIES + 1) ** np.arange(state.hidden) % (COPIES + 1)).astype(float)
    x = 2.0 * state.slope[0] + n @ state.coupling[0]
    ways = np.log([math.comb(COPIES, count) for count in range(COPIES + 1)])
    logarithms = 2.0 * state.constant[0] + n @ state.bias[0] + ways[n.astype(int)].sum(axis=1)
    return logarithms + np.logaddexp(x, -x).sum(axis=1)


@implements(hidden_layer, SpinRbm)
def _hidden_layer(state, work):
    return work.layer[: state.hidden]


@row_function
def _count_on(u, threshold, hidden):
    for lane in range(hidden.size):
        # where u is no number, the walker's spins must become so too: a unit counted as off would bend P(h|s)
        hidden[lane] += (1.0 if threshold[lane] * (1.0 + u[lane]) < u[lane] else 0.0) + 0.0 * u[lane]


@implements(draw_hidden, SpinRbm)
def _draw_hidden(state, work, randoms):
    work.layer[:] = 0.0
    for j in range(state.hidden):
        for _ in range(COPIES):
            uniform(randoms, work.trial)
            _count_on(work.x[j], work.trial, work.layer[j])


@row_function
def _draw_spins(force, threshold, spins):
    for lane in range(spins.size):
        x = force[lane]
        up = threshold[lane] * (1.0 + exp(-2.0 * x)) < 1.0
        spins[lane] = (1.0 if up else -1.0) + 0.0 * x


@implements(draw_visible, SpinRbm)
def _draw_visible(state, work, positions, randoms, scratch):
    forces, threshold = np.empty(positions.shape), scratch[0]
    for i in range(positions.shape[0]):
        forces[i] = 2.0 * state.slope[0, i]
    add_matrix(state.coupling[0].T, work.layer, forces)
    for i in range(positions.shape[0]):
        uniform(randoms, threshold)
        _draw_spins(forces[i], threshold, positions[i])
    rebuild(state, work, positions)
