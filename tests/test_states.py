"""Every trial state keeps the contract of operations.py: the conformance suite."""

import math

import lanes
import naive
import numpy as np
import pytest

from parvmc import declarations
from parvmc.states import gaussian, gaussian_rbm, hard_core_jastrow, linear_jastrow, pade_jastrow, pair_rbm
from parvmc.states.product import TrialState

SHAPES = [(1, 1), (2, 2), (3, 1), (3, 3)]


def product(the_system):
    """Return (TrialState, parameters) of three different machines."""
    factors = tuple(
        gaussian_rbm.Settings(**{"hidden": 2, "initial_spread": 0.4} | more)
        for more in ({}, {"hidden_values": (-1, 1), "train": ("hidden_bias",)}, {"amplitude": "full"})
    )
    state = TrialState(factors, declarations.space(the_system))
    return state, state.initial(np.random.default_rng(5))


def of(*factors):
    """Return a function that builds (TrialState, parameters) of these factors."""

    def build(the_system):
        state = TrialState(factors, declarations.space(the_system))
        return state, state.initial(np.random.default_rng(5))

    return build


GAUSSIAN, PADE = gaussian.Settings(alpha=0.7), pade_jastrow.Settings(beta=0.6)
PAIRS = {
    "pade_jastrow": of(PADE),
    "pade_jastrow, spins": of(pade_jastrow.Settings(beta=0.6, spin_up=1)),
    "pade_jastrow, frozen": of(pade_jastrow.Settings(train=())),
    "linear_jastrow": of(linear_jastrow.Settings(spin_up=2)),
    "hard_core_jastrow": of(hard_core_jastrow.Settings(diameter=0.2)),
    "pair_rbm": of(pair_rbm.Settings(hidden=5, initial_spread=0.8)),
    "pair_rbm, weights": of(pair_rbm.Settings(hidden=2, train=("weights",))),
    "all pairs": of(GAUSSIAN, PADE, hard_core_jastrow.Settings(diameter=0.1), pair_rbm.Settings(hidden=2)),
    "machine, pairs": of(gaussian_rbm.Settings(hidden=2, initial_spread=0.4), PADE, pair_rbm.Settings(hidden=1)),
}
STATES = {name: (lambda system, more=more: lanes.machine(system, **more)) for name, more in lanes.CONVENTIONS.items()}
STATES |= {"product of three": product, "gaussian": of(GAUSSIAN), "gaussian, frozen": of(gaussian.Settings(train=()))}
CASES = [(name, shape) for name in STATES for shape in SHAPES]
CASES += [(name, shape) for name in PAIRS for shape in ((2, 2), (4, 3))]
STATES |= PAIRS


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]},N={case[1][0]},D={case[1][1]}")
def case(request):
    """Return (name of a state, (particles, dimensions))."""
    return request.param


@pytest.fixture
def build(case):
    """Return a function that builds the state for a system."""
    return STATES[case[0]]


@pytest.fixture
def system(case):
    """Return a trap with another frequency along each axis; Coulomb repulsion gives factors over pairs their cusp."""
    particles, dimensions = case[1]
    omega = 1.0 if case[0] == "shared sigma" else tuple(1.0 + 0.3 * axis for axis in range(dimensions))
    return lanes.system(particles, dimensions, "none" if dimensions == 1 else "coulomb", omega=omega)


def test_gradient_and_laplacian_are_finite_differences(build, system):
    """d ln psi / dx and the Laplacian of ln psi, against differences of ln psi itself (step 1e-3: 1e-8 at best)."""
    state, parameters = build(system)
    pack = state.pack(parameters)
    positions = lanes.walkers(state.space)
    _, gradient, laplacian, _ = lanes.evaluate(pack, positions)
    for lane in range(3):
        expected = naive.derivatives(
            lambda x: lanes.evaluate(pack, np.ascontiguousarray(x[:, np.newaxis]))[0][0], positions[:, lane], 1e-3
        )
        np.testing.assert_allclose(gradient[:, lane], expected[0], rtol=0, atol=1e-9 * (1 + abs(gradient).max()))
        assert laplacian[lane] == pytest.approx(expected[1], rel=1e-6, abs=1e-6)


def test_log_derivatives_are_finite_differences(build, system):
    """d ln psi / d coordinate for every trained parameter; sigma's coordinate is its logarithm."""
    state, parameters = build(system)
    positions = lanes.walkers(state.space)
    derivatives = lanes.evaluate(state.pack(parameters), positions)[3]
    vector = state.coordinates(parameters)
    assert derivatives.shape == (vector.size, lanes.LANES)
    for index in range(vector.size):
        step = 1e-5 * np.eye(vector.size)[index]
        ahead, behind = (
            lanes.evaluate(state.pack(state.moved(parameters, vector + sign * step)), positions)[0] for sign in (1, -1)
        )
        np.testing.assert_allclose(derivatives[index], (ahead - behind) / 2e-5, rtol=1e-7, atol=1e-8)


def test_ratio_is_the_difference_of_logarithms(build, system):
    """|psi'|^2 / |psi|^2 of a move equals exp of twice the difference of ln |psi|, and accepting equals rebuilding."""
    state, parameters = build(system)
    pack, space = state.pack(parameters), state.space
    positions = lanes.walkers(space)
    before = lanes.evaluate(pack, positions)[0]
    displacement = np.zeros((3, lanes.LANES))
    generator = np.random.default_rng(3)
    displacement[: space.dimensions] = generator.standard_normal((space.dimensions, lanes.LANES))
    mask = (generator.random(lanes.LANES) < 0.5).astype(float)
    particle = space.particles - 1
    ratios, logarithms, laplacian = np.ones(lanes.LANES), np.zeros(lanes.LANES), np.zeros(lanes.LANES)
    gradients = np.zeros(positions.shape)

    everywhere = positions.copy()
    rows = slice(particle * space.dimensions, (particle + 1) * space.dimensions)
    everywhere[rows] += displacement[: space.dimensions]
    expected = np.exp(2.0 * (lanes.evaluate(pack, everywhere)[0] - before))
    accepted = positions.copy()
    accepted[rows] += mask * displacement[: space.dimensions]
    rebuilt = lanes.evaluate(pack, accepted)

    lanes.move(
        pack, positions, particle, space.dimensions, displacement, mask, ratios, logarithms, gradients, laplacian
    )
    np.testing.assert_allclose(ratios, expected, rtol=1e-11)
    np.testing.assert_array_equal(positions, accepted)
    np.testing.assert_allclose(logarithms, rebuilt[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradients, rebuilt[1], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(laplacian, rebuilt[2], rtol=1e-11, atol=1e-12)


def test_drift_is_the_gradient_of_one_particle(build, system):
    """Where it is, and where a move proposes to put it, for every particle."""
    state, parameters = build(system)
    pack, dimensions = state.pack(parameters), state.space.dimensions
    positions, displacement = lanes.walkers(state.space), np.zeros((3, lanes.LANES))
    displacement[:dimensions] = np.random.default_rng(3).standard_normal((dimensions, lanes.LANES))
    for particle in range(state.space.particles):
        rows = slice(particle * dimensions, (particle + 1) * dimensions)
        moved = positions.copy()
        moved[rows] += displacement[:dimensions]
        for found, where in zip(lanes.drifts(pack, positions, particle, displacement), (positions, moved), strict=True):
            np.testing.assert_allclose(found[:dimensions], lanes.evaluate(pack, where)[1][rows], rtol=1e-11, atol=1e-12)


def test_coordinates_and_parameters_are_inverse(build, system):
    """A vector put into the parameters comes out again, and what is not trained stays."""
    state, parameters = build(system)
    vector = state.coordinates(parameters) + 0.1
    changed = state.moved(parameters, vector)
    np.testing.assert_allclose(state.coordinates(changed), vector, rtol=1e-14)
    for factor, old, new in zip(state.factors, parameters, changed, strict=True):
        assert old.keys() == new.keys()
        assert {name: value.shape for name, value in old.items()} == {name: value.shape for name, value in new.items()}
        groups = {gaussian_rbm.Settings: gaussian_rbm.GROUPS, pair_rbm.Settings: pair_rbm.GROUPS}
        for group, name in groups.get(type(factor), {}).items():
            assert (group in factor.train) != np.array_equal(old[name], new[name]) or old[name].size == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", lanes.CONVENTIONS)
def test_amplitude_is_the_sum_over_hidden_units(name, shape):
    """ln psi equals p ln sum_h exp(...) with the hidden units enumerated, up to a constant."""
    system = lanes.system(*shape, "none")
    state, parameters = lanes.machine(system, **lanes.CONVENTIONS[name])
    factor, own = state.factors[0], parameters[0]
    k, c = factor.exponents
    positions = lanes.walkers(state.space)
    logarithms = lanes.evaluate(state.pack(parameters), positions)[0]
    expected = [
        naive.log_psi(x, own["a"], own["b"], own["w"], own["sigma"], k, c, factor.hidden_values, factor.power)
        for x in positions.T
    ]
    np.testing.assert_allclose(logarithms, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(
    ("factor", "spin_up"),
    [
        (pade_jastrow.Settings(beta=0.6), None),
        (pade_jastrow.Settings(beta=0.6, spin_up=2), 2),
        (linear_jastrow.Settings(spin_up=1), 1),
        (hard_core_jastrow.Settings(diameter=0.2), None),
        (pair_rbm.Settings(hidden=3, initial_spread=0.8), None),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_factors_over_pairs_are_their_formulas(factor, spin_up, dimensions):
    """ln psi by loops over pairs; slopes at contact lambda / (D - 1), and lambda / (D + 1) between equal spins."""
    strength = 1.7
    system = lanes.system(4, dimensions, strength=strength)
    state, (own,) = of(factor)(system)

    def slope(i, j):
        equal = spin_up is not None and (i < spin_up) == (j < spin_up)
        return strength / (dimensions + 1 if equal else dimensions - 1)

    positions = lanes.walkers(state.space)
    logarithms = lanes.evaluate(state.pack([own]), positions)[0]
    known = own | {"diameter": getattr(factor, "diameter", None)}
    expected = [naive.pair_factor(factor.kind, x, dimensions, slope, known) for x in positions.T]
    np.testing.assert_allclose(logarithms, expected, rtol=1e-12)


def test_the_gaussian_is_its_formula():
    """ln psi = -alpha (x^2 + y^2 + beta z^2), and in a trap with three frequencies each axis has its own."""
    system = lanes.system(2, 3, omega=(1.0, 0.6, 2.0))
    state, parameters = of(gaussian.Settings(alpha=0.7, beta=3.0))(system)
    positions = lanes.walkers(state.space)
    squares = np.square(positions).reshape(2, 3, -1).sum(axis=0)
    expected = -0.7 * (squares[0] + 0.6 * squares[1] + 3.0 * squares[2])
    np.testing.assert_allclose(lanes.evaluate(state.pack(parameters), positions)[0], expected, rtol=1e-13)


@pytest.mark.parametrize("amplitude", ["sqrt", "full"])
@pytest.mark.parametrize("convention", ["course", "lecture"])
def test_both_hidden_values_are_the_same_functions(amplitude, convention):
    """h in {0, 1} maps to {-1, 1} by w' = w/2, b' = b/2, a' = a + (k/4) sigma^(2-c) sum_j w; without a' it does not."""
    system = lanes.system(2, 2, "none")
    settings = {"amplitude": amplitude, "convention": convention}
    binary, (own,) = lanes.machine(system, **settings)
    spins = lanes.machine(system, hidden_values=(-1, 1), **settings)[0]
    k, c = binary.factors[0].exponents
    shift = 0.25 * k * own["sigma"] ** (2.0 - c) * own["w"].sum(axis=1)
    mapped = {"a": own["a"] + shift, "b": own["b"] / 2, "w": own["w"] / 2, "sigma": own["sigma"]}
    positions = lanes.walkers(binary.space)
    expected = lanes.evaluate(binary.pack([own]), positions)[0]
    difference = lanes.evaluate(spins.pack([mapped]), positions)[0] - expected
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-12)
    unshifted = lanes.evaluate(spins.pack([mapped | {"a": own["a"]}]), positions)[0] - expected
    assert np.ptp(unshifted) > 0.01


def test_beta_is_absorbed():
    """beta times the whole exponent is the machine with sigma^2 / beta, beta b and beta^(1 - c/2) w."""
    system = lanes.system(2, 2, "none")
    for convention in ("course", "lecture"):
        one, (plain,) = lanes.machine(system, sigma=0.8, convention=convention)
        two = gaussian_rbm.Settings(hidden=3, initial_spread=0.5, sigma=0.8, convention=convention, beta=2.0)
        (absorbed,) = TrialState((two,), one.space).initial(np.random.default_rng(1))
        k, c = two.exponents
        x = lanes.walkers(one.space)[:, 0]
        plain = plain | {"sigma": np.full(4, 0.8)}
        exponent = 2.0 * -np.sum((x - plain["a"]) ** 2 / (k * plain["sigma"] ** 2))
        theta = 2.0 * (plain["b"] + (x / plain["sigma"] ** c) @ plain["w"])
        expected = 0.5 * (exponent + np.logaddexp(0.0, theta).sum())
        actual = naive.log_psi(x, *(absorbed[name] for name in ("a", "b", "w", "sigma")), k, c, (0, 1), 0.5)
        assert actual == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("hidden", [1, 7, 300])
@pytest.mark.parametrize("theta", [5.0, 40.0])
def test_nothing_is_lost_near_saturation(theta, hidden):
    """A walker that goes out to |theta| = 40 and back, 1000 times, has lost nothing but rounding; tanh would be
    stuck."""
    system = lanes.system(1, 1, "none")
    factor = gaussian_rbm.Settings(hidden=hidden, hidden_values=(-1, 1), sigma=1.0)
    state = TrialState((factor,), declarations.space(system))
    signs = np.where(np.arange(hidden) % 2, -1.0, 1.0)
    own = {"a": np.zeros(1), "b": np.zeros(hidden), "w": theta * signs[np.newaxis], "sigma": np.ones(1)}
    pack = state.pack([own])
    positions = np.linspace(-0.01, 0.01, lanes.LANES)[np.newaxis].copy()
    fresh = lanes.evaluate(pack, positions)
    logarithms, gradients, laplacian = lanes.out_and_back(pack, positions.copy(), 1.0, 1000)
    # 2000 updates of u, each off by about one ulp in e^d and one in the product, and as a walk: 45 of them
    np.testing.assert_allclose(logarithms, fresh[0], rtol=0, atol=1e-12 * hidden)
    np.testing.assert_allclose(gradients, fresh[1], rtol=0, atol=1e-11 * hidden * theta)
    np.testing.assert_allclose(laplacian, fresh[2], rtol=1e-11)


def test_a_walker_past_the_range_is_reported():
    """Where e^theta or a product of them would overflow, the local energy is not a number, rather than a wrong one."""
    system = lanes.system(1, 1, "none")
    for hidden, theta, sound in ((4, 170.0, True), (4, 200.0, False), (1, 550.0, True), (1, 700.0, False)):
        factor = gaussian_rbm.Settings(hidden=hidden, sigma=1.0)
        state = TrialState((factor,), declarations.space(system))
        own = {"a": np.zeros(1), "b": np.full(hidden, theta), "w": np.ones((1, hidden)), "sigma": np.ones(1)}
        energies = lanes.local_energy(system, state.pack([own]), np.zeros((1, 4)))
        assert math.isfinite(energies[1, 0]) is sound
