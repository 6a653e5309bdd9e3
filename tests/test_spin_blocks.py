"""Gibbs sampling of spins: what is drawn of one layer given the other has the probabilities of the joint machine.

Chi-square over all units with a false alarm of 1e-5 each.
"""

import naive_spins
import numba
import numpy as np
import pytest
from scipy.stats import chi2
from spin_machines import machine, walkers

from parvmc import operations
from parvmc.randoms import Purpose, streams

LANES, TIMES = 64, 300


@numba.njit
def _draw(state, positions, randoms, layer, times, on, ups):
    """Count how often n copies of each hidden unit are on given the positions, and each spin is 1 given the layer."""
    units, lanes = positions.shape
    work, scratch = operations.workspace(state, lanes), np.empty((2, lanes))
    operations.rebuild(state, work, positions)
    for _ in range(times):
        operations.draw_hidden(state, work, randoms)
        hidden = operations.hidden_layer(state, work)
        for j in range(hidden.shape[0]):
            for lane in range(lanes):
                if hidden[j, lane] >= 0.0:  # a NaN is no row
                    on[j, int(hidden[j, lane])] += 1
    for _ in range(times):
        hidden = operations.hidden_layer(state, work)
        for j in range(hidden.shape[0]):
            hidden[j] = layer[j]
        operations.draw_visible(state, work, positions, randoms, scratch)
        for i in range(units):
            for lane in range(lanes):
                ups[i, int(positions[i, lane] > 0.0)] += 1


def misfits(values, b_shift=0.0):
    """Return chi-square over its threshold, of hidden units and of spins, against the probabilities by loops.

    b_shift: added to all biases in the loops.
    """
    state, parameters = machine(
        (7,), hidden=11, parameters="real", hidden_values=values, biases=("visible", "hidden"), spread=0.3
    )
    a, b, w = (parameters[0][key] for key in "abw")
    spins = walkers(state.space, 1, seed=4)
    layer = np.random.default_rng(5).integers(0, 3, 11).astype(float)
    on, ups = np.zeros((11, 3)), np.zeros((7, 2))
    randoms = streams(3, Purpose.PRODUCTION, [0], LANES)[0]
    positions = np.repeat(spins, LANES, axis=1)
    _draw(state.pack(parameters), positions, randoms, layer, TIMES, on, ups)
    p = np.array([naive_spins.hidden_probability(spins[:, 0], j, b + b_shift, w, values) for j in range(11)])
    copies = [[values[int(n > copy)] for n in layer] for copy in range(2)]
    q = np.array([naive_spins.spin_probability(copies, 2, i, a + b_shift, b, w) for i in range(7)])
    expected = np.stack([(1 - p) ** 2, 2 * p * (1 - p), p**2], axis=1), np.stack([1 - q, q], axis=1)
    found = []
    for counts, probabilities in zip((on, ups), expected, strict=True):
        wanted = LANES * TIMES * probabilities
        freedom = counts.shape[0] * (counts.shape[1] - 1)
        found.append((np.square(counts - wanted) / wanted).sum() / chi2.isf(1e-5, freedom))
    return found


@pytest.mark.parametrize("values", [(-1, 1), (0, 1)])
def test_each_layer_is_drawn_given_the_other(values):
    """Each of two copies of a hidden unit by itself, then each spin given all copies; other biases are found out."""
    assert max(misfits(values)) < 1.0
    assert min(misfits(values, b_shift=0.05)) > 1.0


def test_a_walker_without_a_number_stays_without():
    """Where e^theta cannot be carried the drawn spins are no numbers either: a run stops and bends no probability."""
    state, parameters = machine((7,), hidden=11, parameters="real")
    parameters[0]["b"][3] = 400.0
    positions = walkers(state.space, LANES)
    layer = np.full(11, np.nan)
    randoms = streams(3, Purpose.PRODUCTION, [0], LANES)[0]
    _draw(state.pack(parameters), positions, randoms, layer, 1, np.zeros((11, 3)), np.zeros((7, 2)))
    assert np.isnan(positions).all()
