"""All samplers draw from |psi|^2: one harness against exact moments and each other, with controls that must fail."""

import math
from typing import Literal, NamedTuple

import exact as exact_results
import lanes
import naive
import numba
import numpy as np
import pytest

from parvmc import declarations, operations, walk
from parvmc.dispatch import implements, settings
from parvmc.randoms import Purpose, generator, normal, streams, uniform
from parvmc.samplers import common, exact, gibbs, langevin, metropolis
from parvmc.states import gaussian_rbm
from parvmc.states.product import TrialState
from parvmc.values import Control

BATCHES, LANES, SWEEPS, SNAPSHOTS = 32, 64, 20, 25
SAMPLERS = {
    "metropolis": (metropolis.Settings(), 1.2),
    "langevin": (langevin.Settings(), 0.5),
    "gibbs": (gibbs.Settings(), 0.0),
    "exact": (exact.Settings(), 0.0),
}
"""Settings and a step of each."""


# --- the harness -----------------------------------------------------------------------------------------------------


def snapshots(sampler, pack, space, walker=walk.equilibrate, sweeps=SWEEPS):
    """Walk 2048 walkers, and yield their positions float64[units, 2048] 25 times, some sweeps after each other."""
    positions = generator(3, Purpose.WALKERS).standard_normal((BATCHES, space.units, LANES))
    randoms = streams(3, Purpose.PRODUCTION, range(BATCHES), LANES)
    walker(sampler, pack, positions, randoms, 500)
    for _ in range(SNAPSHOTS):
        walker(sampler, pack, positions, randoms, sweeps)
        yield np.ascontiguousarray(positions.transpose(1, 0, 2)).reshape(space.units, -1)


def moments(x):
    """Return [x_i and, of all pairs, x_i x_j; walker]."""
    first, second = np.triu_indices(len(x))
    return np.concatenate([x, x[first] * x[second]])


def scores(sampler, pack, state, own, walker=walk.equilibrate):
    """Return the deviations of <x_i> and <x_i x_j> from those of the state's mixture of Gaussians in standard errors.

    Errors are from the spread of independent walkers' own means: no assumption on correlation.
    """
    factor = state.factors[0]
    values = [own[name] for name in ("a", "b", "w", "sigma")]
    means, products = exact_results.moments(
        exact_results.mixture(*values, *factor.exponents, factor.hidden_values, factor.power)
    )
    expected = np.concatenate([means, products[np.triu_indices(state.space.units)]])
    found = sum(moments(x) for x in snapshots(sampler, pack, state.space, walker)) / SNAPSHOTS
    errors = found.std(axis=1, ddof=1) / math.sqrt(found.shape[1])
    return (found.mean(axis=1) - expected) / errors


def packed(name, state, parameters):
    """Return the pack of a sampler with the step of the table."""
    sampler, step = SAMPLERS[name]
    return declarations.sampler_pack(sampler, state, parameters, step)


CASES = {
    "course, sqrt": ((2, 2), {}),
    "full, +-1": ((2, 2), {"amplitude": "full", "hidden_values": (-1, 1)}),
    "one coordinate": ((1, 1), {"hidden": 5}),
    "lecture, three dimensions": ((2, 3), {"convention": "lecture", "hidden": 2}),
    "k = 3, c = 1, full": ((3, 2), {"amplitude": "full", "gaussian_factor": 3.0, "coupling_power": 1.0, "hidden": 4}),
    "no hidden unit": ((1, 3), {"hidden": 0}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_moments_are_those_of_the_mixture(name, case):
    """All first and second moments within 5 standard errors: 404 numbers in all, false alarm below 3e-4."""
    shape, more = CASES[case]
    state, parameters = lanes.machine(lanes.system(*shape, "none"), spread=0.8, **more)
    found = scores(packed(name, state, parameters), state.pack(parameters), state, parameters[0])
    assert np.abs(found).max() < 5.0


# --- the controls ----------------------------------------------------------------------------------------------------


class NoGreen(NamedTuple):
    """Pack of Langevin moves whose acceptance forgets the Green's functions."""

    step: float
    particles: int
    dimensions: int


@implements(operations.sweep, NoGreen)
def _sweep(sampler, state, work, positions, randoms, scratch):
    displacement, velocity, noise = scratch[:3], scratch[3:6], scratch[6:10]
    unused, ratios, threshold, mask = scratch[10], scratch[11], scratch[12], scratch[13]
    displacement[:] = 0.0
    accepted = 0
    for particle in range(sampler.particles):
        for axis in range(0, sampler.dimensions, 2):
            normal(randoms, noise[axis], noise[axis + 1])
        velocity[:] = 0.0
        operations.drift(state, work, positions, particle, velocity)
        langevin.limit(sampler.step, velocity[0], velocity[1], velocity[2])
        for axis in range(sampler.dimensions):
            langevin.propose(sampler.step, velocity[axis], noise[axis], displacement[axis], unused)
        ratios[:] = 1.0
        operations.ratio(state, work, positions, particle, displacement, ratios)
        uniform(randoms, threshold)
        accepted += common.decide(ratios, threshold, mask)
        for axis in range(sampler.dimensions):
            common.move(mask, displacement[axis], positions[particle * sampler.dimensions + axis])
        operations.accept(state, work, mask)
    return accepted


@numba.njit
def uncached(sampler, state, positions, randoms, sweeps):
    """Do as walk.equilibrate does, for packs that no other process can import and so must not be in the cache."""
    units, lanes = positions.shape[1:]
    work = operations.workspace(state, lanes)
    scratch = np.empty((units + 16, lanes))
    accepted = 0
    for batch in range(positions.shape[0]):
        operations.rebuild(state, work, positions[batch])
        for _ in range(sweeps):
            accepted += operations.sweep(sampler, state, work, positions[batch], randoms[batch], scratch)
    return accepted


def test_moves_without_the_green_function_are_found_out():
    """A control: at a large time step the moments are far off if the acceptance is that of a symmetric proposal."""
    state, parameters = lanes.machine(lanes.system(2, 2, "none"), spread=0.8)
    right = packed("langevin", state, parameters)
    wrong = NoGreen(right.step, right.particles, right.dimensions)
    assert np.abs(scores(wrong, state.pack(parameters), state, parameters[0], uncached)).max() > 20.0


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_state_is_found_out(name):
    """A control: from the amplitude "sqrt" in place of "full" every sampler's moments are far off."""
    system = lanes.system(2, 2, "none")
    full, parameters = lanes.machine(system, spread=0.8, amplitude="full")
    half = lanes.machine(system, spread=0.8, amplitude="sqrt")[0]
    found = scores(packed(name, half, parameters), half.pack(parameters), full, parameters[0])
    assert np.abs(found).max() > 20.0


@pytest.mark.parametrize("name", ["gibbs", "exact"])
def test_a_wrong_variance_is_found_out(name):
    """A control: visible units drawn with a variance 5 % too large, and means that are as much too far out."""
    state, parameters = lanes.machine(lanes.system(2, 2, "none"), spread=0.8)
    right = state.pack(parameters)
    wrong = right._replace(curvature=right.curvature / 1.05)
    assert np.abs(scores(packed(name, state, parameters), wrong, state, parameters[0])).max() > 5.0


# --- energies --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def optimum():
    """Return (system, state, parameters, pack) of two electrons at the known optimum of psi = sqrt(P), H = 2."""
    values = exact_results.OPTIMUM_SQRT_H2
    own = {name: np.array(values[name], float) for name in ("a", "b", "w")} | {"sigma": np.full(4, values["sigma"])}
    system = lanes.system(2, 2)
    state = TrialState((gaussian_rbm.Settings(hidden=2),), declarations.space(system))
    return system, state, [own], state.pack([own])


def energies(sampler, optimum):
    """Return the walkers' own mean estimators of the local energy, float64[2048]."""
    system, state, parameters, pack = optimum
    control = Control(1.0, *declarations.poles(system, state.cusp(parameters)))
    tables = (lanes.local_energy(system, pack, x, control)[0] for x in snapshots(sampler, pack, state.space))
    return sum(tables) / SNAPSHOTS


def score(values):
    """Return the deviation of the mean from the exact energy in standard errors."""
    error = values.std(ddof=1) / math.sqrt(values.size)
    return (values.mean() - exact_results.OPTIMUM_SQRT_H2["energy"]) / error


def test_all_samplers_find_the_same_energy(optimum):
    """Two electrons, each sampler within 4.5 errors of the closed form and of each other one; errors are below 3e-3."""
    _, state, parameters, _ = optimum
    found = {name: energies(packed(name, state, parameters), optimum) for name in SAMPLERS}
    errors = {name: values.std(ddof=1) / math.sqrt(values.size) for name, values in found.items()}
    assert max(errors.values()) < 3e-3
    for name, values in found.items():
        assert abs(score(values)) < 4.5
        for other, more in found.items():
            assert abs(values.mean() - more.mean()) < 4.5 * math.hypot(errors[name], errors[other])


# --- importance sampling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.03, 0.3, 3.0])
def test_langevin_is_unbiased_at_any_time_step(optimum, step):
    """Within 4.5 standard errors, from a step that accepts nearly everything to one that accepts a third."""
    _, state, parameters, _ = optimum
    sampler = declarations.sampler_pack(langevin.Settings(), state, parameters, step)
    assert abs(score(energies(sampler, optimum))) < 4.5


def test_langevin_accepts_everything_as_the_time_step_goes_to_zero(optimum):
    """The acceptance rises from below one half to above 0.9999."""
    _, state, parameters, pack = optimum
    positions = np.concatenate(list(snapshots(packed("exact", state, parameters), pack, state.space)), axis=1)
    rates = []
    for step in (1e-4, 1e-3, 1e-2, 0.1, 1.0, 5.0):
        walkers = np.ascontiguousarray(positions.reshape(4, -1, LANES).transpose(1, 0, 2))
        sampler = declarations.sampler_pack(langevin.Settings(), state, parameters, step)
        randoms = streams(5, Purpose.PRODUCTION, range(len(walkers)), LANES)
        accepted = walk.equilibrate(sampler, pack, walkers, randoms, 4)
        rates.append(accepted / (4 * 2 * walkers.shape[0] * LANES))
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.9999
    assert rates[-1] < 0.5


@numba.njit
def draw(randoms, rows):
    """Fill each row with the lanes' next uniform numbers."""
    for index in range(rows.shape[0]):
        uniform(randoms, rows[index])


@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (3, 3)])
@pytest.mark.parametrize(("name", "step"), [("metropolis", 1.0), ("langevin", 0.8)])
def test_a_sweep_is_its_naive_twin(name, step, shape):
    """On the same uniform numbers the lanes go where one naive walker goes, decision by decision, for 30 sweeps."""
    state, (own,) = lanes.machine(lanes.system(*shape, "none"), hidden=2)
    factor, space, pack = state.factors[0], state.space, state.pack([own])
    sampler = declarations.sampler_pack(SAMPLERS[name][0], state, [own], step)
    numbers = 1 + (space.dimensions if name == "metropolis" else space.dimensions + space.dimensions % 2)
    positions = lanes.walkers(space)
    randoms = streams(5, Purpose.PRODUCTION, [0], lanes.LANES)
    moves = 30 * space.particles
    uniforms = np.empty((moves * numbers, lanes.LANES))
    draw(randoms[0].copy(), uniforms)
    uniforms = uniforms.reshape(moves, numbers, lanes.LANES)
    values = [own[name] for name in ("a", "b", "w", "sigma")]

    def log_psi(x):
        return naive.log_psi(x, *values, *factor.exponents, factor.hidden_values, factor.power)

    expected, accepted = positions.copy(), 0
    for lane in range(lanes.LANES):
        x = expected[:, lane].copy()
        accepted += getattr(naive, name)(log_psi, x, moves, uniforms[:, :, lane], step, space.dimensions)
        expected[:, lane] = x
    batch = positions[np.newaxis].copy()
    counted = sum(walk.equilibrate(sampler, pack, batch, randoms, 1) for _ in range(30))
    assert counted == accepted
    # the naive drift is by differences, right to 1e-10
    np.testing.assert_allclose(batch[0], expected, rtol=0, atol=1e-12 if name == "metropolis" else 1e-8)


def test_a_drift_that_diverges_moves_no_farther_than_diffusion():
    """tau v goes to v / |v| 2 sqrt(tau), smoothly: never farther than tau |v|, and equal to it for a small drift."""
    step, speeds = 0.3, np.array([1e-9, 1e-3, 1.0, 10.0, 1e6, 1e150])
    rows = np.array([0.6 * speeds, -0.8 * speeds, 0.0 * speeds])
    limited = rows.copy()
    langevin.limit(step, *limited)
    lengths = np.sqrt((limited**2).sum(axis=0))
    np.testing.assert_allclose(limited, rows * lengths / speeds, rtol=1e-14)
    assert (lengths <= speeds).all()
    assert (np.diff(lengths) > 0.0).all()
    np.testing.assert_allclose(step * lengths[[0, -1]], [step * speeds[0], 2.0 * math.sqrt(step)], rtol=1e-12)


def test_what_is_no_number_is_rejected():
    """A ratio of zero or NaN is never accepted, also at a threshold of zero, and no NaN gets into a position."""
    mask, position = np.empty(4), np.arange(4.0)
    assert common.decide(np.array([0.0, np.nan, 1e-300, 2.0]), np.array([0.0, 0.0, 0.0, 0.5]), mask) == 2
    assert mask.tolist() == [0.0, 0.0, 1.0, 1.0]
    common.move(mask, np.array([np.inf, np.nan, 0.5, -0.5]), position)
    assert position.tolist() == [0.0, 1.0, 2.5, 2.5]


# --- blocks and enumeration ------------------------------------------------------------------------------------------

ONE_OR_TWO = [(1, 1), (1, 2), (2, 1)]


@pytest.mark.parametrize("name", lanes.CONVENTIONS)
@pytest.mark.parametrize("shape", ONE_OR_TWO, ids=lambda shape: f"N={shape[0]},D={shape[1]}")
def test_the_mixture_is_the_norm_of_psi(name, shape):
    """ln int |psi|^2 dx, psi as log_amplitude has it, by the trapezoidal rule; both conventions of hidden values."""
    state, parameters = lanes.machine(lanes.system(*shape, "none"), **lanes.CONVENTIONS[name])
    units, nodes = state.space.units, np.linspace(-12.0, 12.0, 4001 if state.space.units == 1 else 401)
    positions = np.array([axis.ravel() for axis in np.meshgrid(*[nodes] * units)])
    logarithms = 2.0 * lanes.evaluate(state.pack(parameters), positions)[0]
    largest = logarithms.max()
    expected = largest + math.log(np.exp(logarithms - largest).sum() * (nodes[1] - nodes[0]) ** units)
    found = declarations.mixture(state.factors[0], state.space, parameters[0])
    hidden, copies = declarations.hidden_copies(state.factors[0])
    assert found.size == (copies + 1) ** hidden
    assert np.logaddexp.reduce(found) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("amplitude", ["sqrt", "full"])
def test_every_state_of_the_hidden_layer_has_its_own_weight(amplitude):
    """Weight by weight, in order, against the enumeration of all copies of all units in the other notation."""
    state, (own,) = lanes.machine(lanes.system(2, 2, "none"), amplitude=amplitude)
    factor = state.factors[0]
    hidden, copies = declarations.hidden_copies(factor)
    found = np.exp(declarations.mixture(factor, state.space, own))
    values = [own[name] for name in ("a", "b", "w", "sigma")]
    weights = exact_results.mixture(*values, *factor.exponents, factor.hidden_values, factor.power).weights
    on = exact_results.hidden_states((0, 1), copies * hidden).reshape(-1, copies, hidden).sum(axis=1)
    number = (on @ float(copies + 1) ** np.arange(hidden)).astype(int)
    expected = np.bincount(number, weights)
    np.testing.assert_allclose(found / found.sum(), expected, rtol=1e-12)


def test_exact_samples_are_independent():
    """The autocorrelation of x_i and x_i x_j from one sweep to the next is zero within 5 standard errors."""
    state, parameters = lanes.machine(lanes.system(2, 2, "none"), spread=0.8, amplitude="full")
    sampler, pack = packed("exact", state, parameters), state.pack(parameters)
    steps = np.array([moments(x) for x in snapshots(sampler, pack, state.space, sweeps=1)])
    deviations = steps - steps.mean(axis=(0, 2))[:, np.newaxis]
    products = deviations[1:] * deviations[:-1]
    correlations = products.mean(axis=(0, 2)) / deviations.var(axis=(0, 2))
    assert np.abs(correlations).max() * math.sqrt(products.shape[0] * products.shape[2]) < 5.0
    # the control: Gibbs sampling remembers
    steps = np.array([moments(x) for x in snapshots(packed("gibbs", state, parameters), pack, state.space, sweeps=1)])
    deviations = steps - steps.mean(axis=(0, 2))[:, np.newaxis]
    correlations = (deviations[1:] * deviations[:-1]).mean(axis=(0, 2)) / deviations.var(axis=(0, 2))
    assert correlations.max() > 0.1


def test_every_move_of_a_block_sampler_counts_as_accepted():
    """Acceptance is 1; nothing is tuned."""
    state, parameters = lanes.machine(lanes.system(2, 2, "none"))
    for name in ("gibbs", "exact"):
        positions = lanes.walkers(state.space)[np.newaxis].copy()
        randoms = streams(5, Purpose.PRODUCTION, [0], lanes.LANES)
        sampler = packed(name, state, parameters)
        assert walk.equilibrate(sampler, state.pack(parameters), positions, randoms, 3) == 3 * 2 * lanes.LANES
        assert declarations.target_acceptance(SAMPLERS[name][0], state.space) is None


def test_a_walker_past_the_range_stays_no_number():
    """Where e^theta would overflow, Gibbs sampling must not take a unit for off: the position becomes NaN, and so the
    energy, which stops the run."""
    system = lanes.system(1, 1, "none")
    state = TrialState((gaussian_rbm.Settings(hidden=1, sigma=1.0),), declarations.space(system))
    own = {"a": np.zeros(1), "b": np.full(1, 700.0), "w": np.ones((1, 1)), "sigma": np.ones(1)}
    positions = np.zeros((1, 1, 4))
    walk.equilibrate(packed("gibbs", state, [own]), state.pack([own]), positions, streams(1, 3, [0], 4), 1)
    assert np.isnan(positions).all()


# --- what is refused -------------------------------------------------------------------------------------------------


@settings
class Other:
    """A factor that no block sampler knows."""

    kind: Literal["other"] = "other"


@pytest.mark.parametrize("name", ["gibbs", "exact"])
def test_other_states_are_refused_with_the_reason(name):
    """A product, or another factor: what is needed, what is there, and what to do."""
    machine = gaussian_rbm.Settings(hidden=3)
    sampler = SAMPLERS[name][0]
    assert declarations.conflicts(sampler, (machine,)) == []
    for factors, words in (((Other(),), "it is other"), ((machine, Other()), "it is gaussian_rbm times other")):
        ((key, message),) = declarations.conflicts(sampler, factors)
        assert key == "kind"
        assert words in message
        assert '"metropolis" or "langevin"' in message
    for free in ("metropolis", "langevin"):
        assert declarations.conflicts(SAMPLERS[free][0], (machine, Other())) == []


@pytest.mark.parametrize(("amplitude", "most", "count"), [("sqrt", 16, "2^17"), ("full", 10, "3^11")])
def test_exact_refuses_too_many_hidden_units(amplitude, most, count):
    """Sixteen hidden units, and ten for psi = P, are the most; the message has the number of terms and a way out."""
    sampler = exact.Settings()
    assert declarations.conflicts(sampler, (gaussian_rbm.Settings(hidden=most, amplitude=amplitude),)) == []
    large = gaussian_rbm.Settings(hidden=most + 1, amplitude=amplitude)
    ((key, message),) = declarations.conflicts(sampler, (large,))
    assert key == "kind"
    assert all(word in message for word in (count, str(most), '"gibbs"'))
    assert declarations.conflicts(gibbs.Settings(), (large,)) == []
