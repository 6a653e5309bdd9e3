"""The sampler's distribution, against exact moments and its naive twin, with a control that must fail."""

import exact
import lanes
import naive
import numba
import numpy as np
import pytest

from parvmc import declarations, operations, walk
from parvmc.randoms import Purpose, generator, streams, uniform
from parvmc.samplers import metropolis
from parvmc.states.product import TrialState

BATCHES, LANES, SWEEPS, SNAPSHOTS = 32, 64, 20, 25


def z_scores(pack, own, factor, space, step=1.2):
    """Walk, and return the deviations of <x_i> and <x_i x_j> from the exact ones in standard errors.

    Errors are from the spread of 2048 independent walkers' own means over 25 snapshots: no assumption on correlation.
    """
    mixture = exact.mixture(
        *(own[name] for name in ("a", "b", "w", "sigma")), *factor.exponents, factor.hidden_values, factor.power
    )
    means, products = exact.moments(mixture)
    positions = generator(3, Purpose.WALKERS).standard_normal((BATCHES, space.units, LANES))
    randoms = streams(3, Purpose.PRODUCTION, range(BATCHES), LANES)
    sampler = declarations.sampler_pack(metropolis.Settings(), TrialState((factor,), space), [own], step)
    walk.equilibrate(sampler, pack, positions, randoms, 500)
    first, second = 0.0, 0.0
    for _ in range(SNAPSHOTS):
        walk.equilibrate(sampler, pack, positions, randoms, SWEEPS)
        x = positions.transpose(0, 2, 1).reshape(-1, space.units)
        first = first + x / SNAPSHOTS
        second = second + x[:, :, np.newaxis] * x[:, np.newaxis] / SNAPSHOTS
    pairs = np.triu_indices(space.units)
    values = np.concatenate([first, second[:, pairs[0], pairs[1]]], axis=1)
    expected = np.concatenate([means, products[pairs]])
    errors = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return (values.mean(axis=0) - expected) / errors


CASES = [
    ((2, 2), {}),
    ((2, 2), {"amplitude": "full", "hidden_values": (-1, 1)}),
    ((1, 1), {"hidden": 5}),
    ((2, 3), {"convention": "lecture", "hidden": 2}),
    ((3, 2), {"amplitude": "full", "gaussian_factor": 3.0, "coupling_power": 1.0, "hidden": 4}),
]


@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_moments_are_those_of_the_mixture(shape, settings):
    """All first and second moments within 4.5 standard errors: 92 numbers in all, false alarm below 1e-3."""
    system = lanes.system(*shape, "none")
    state, parameters = lanes.machine(system, spread=0.8, **settings)
    scores = z_scores(state.pack(parameters), parameters[0], state.factors[0], state.space)
    assert np.abs(scores).max() < 4.5


def test_a_wrong_acceptance_ratio_is_rejected():
    """The control: moments of |psi| instead of |psi|^2, which is what forgetting the square gives, are far off."""
    system = lanes.system(2, 2, "none")
    full, parameters = lanes.machine(system, spread=0.8, amplitude="full")
    half = lanes.machine(system, spread=0.8, amplitude="sqrt")[0]
    scores = z_scores(half.pack(parameters), parameters[0], full.factors[0], full.space)
    assert np.abs(scores).max() > 20.0


@numba.njit
def draw(randoms, rows):
    """Fill each row with the lanes' next uniform numbers."""
    for index in range(rows.shape[0]):
        uniform(randoms, rows[index])


@numba.njit
def sweep_once(sampler, state, positions, randoms):
    """Sweep one batch once."""
    units, lanes = positions.shape
    work = operations.workspace(state, lanes)
    operations.rebuild(state, work, positions)
    return operations.sweep(sampler, state, work, positions, randoms, np.empty((units + 16, lanes)))


@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (3, 3)])
def test_a_sweep_is_its_naive_twin(shape):
    """On the same uniform numbers the lanes go where one naive walker goes, decision by decision, for 30 sweeps."""
    system = lanes.system(*shape, "none")
    state, parameters = lanes.machine(system, hidden=2)
    factor, own, space = state.factors[0], parameters[0], state.space
    sampler = declarations.sampler_pack(metropolis.Settings(), state, parameters, 1.0)
    positions = lanes.walkers(space)
    randoms = streams(5, Purpose.PRODUCTION, [0], lanes.LANES)[0]
    moves = 30 * space.particles
    rows = np.empty((moves * (space.dimensions + 1), lanes.LANES))
    copy = randoms.copy()
    draw(copy, rows)
    uniforms = rows.reshape(moves, space.dimensions + 1, lanes.LANES)
    values = [own[name] for name in ("a", "b", "w", "sigma")]

    def log_psi(x):
        return naive.log_psi(x, *values, *factor.exponents, factor.hidden_values, factor.power)

    expected, accepted = positions.copy(), 0
    for lane in range(lanes.LANES):
        x = expected[:, lane].copy()
        accepted += naive.metropolis(log_psi, x, moves, uniforms[:, :, lane], 1.0, space.dimensions)
        expected[:, lane] = x
    counted = sum(sweep_once(sampler, state.pack(parameters), positions, randoms) for _ in range(30))
    assert counted == accepted
    np.testing.assert_allclose(positions, expected, rtol=0, atol=1e-12)
