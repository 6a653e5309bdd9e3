"""The binary-binary machine keeps the contract of operations.py, against loops over all hidden states."""

import itertools

import naive_spins
import numpy as np
import pytest
from exact_spins import configurations
from scipy.special import logsumexp
from spin_machines import evaluate, machine, space_of, walked, walkers

from parvmc import declarations
from parvmc.states import spin_rbm
from parvmc.states.product import TrialState

BIASES = [(), ("hidden",), ("visible",), ("visible", "hidden")]
SETTINGS = [
    {"parameters": parameters, "symmetry": symmetry, "hidden_values": values, "biases": biases}
    for parameters, symmetry, values, biases in itertools.product(
        ("real", "complex"), ("none", "translation"), ((-1, 1), (0, 1)), BIASES
    )
]
SHAPES = [(4,), (3, 3), (7,), (10,)]
CASES = [(shape, more) for shape in SHAPES for more in SETTINGS]


def name(case):
    """Return a short name of a case, for the list of tests."""
    shape, more = case
    return "-".join([str(shape), *(str(value) for value in more.values())])


@pytest.fixture(params=CASES, ids=name)
def case(request):
    """Return (TrialState, parameters, a, b, w of all units, hidden values)."""
    shape, more = request.param
    state, parameters = machine(shape, **more)
    own = parameters[0]
    units = own["a"], own["b"], own["w"]
    if more["symmetry"] == "translation":
        units = naive_spins.copied(shape, *units)
    return state, parameters, units, more["hidden_values"]


def same_angle(first, second, tolerance=1e-12):
    """Whether angles agree modulo 2 pi."""
    return np.abs(np.exp(1j * np.asarray(first)) - np.exp(1j * np.asarray(second))).max() < tolerance


def test_psi_is_the_sum_over_all_hidden_states(case):
    """ln |psi| and arg psi, 2^H terms by loops; each hidden unit summed by itself gives the same."""
    state, parameters, units, values = case
    positions = walkers(state.space)
    said = evaluate(state, parameters, positions)
    by_units = np.array([naive_spins.log_psi(spins, *units, values) for spins in positions.T])
    np.testing.assert_allclose(said.logarithm, by_units.real, rtol=1e-12, atol=1e-12)
    assert same_angle(said.phase, by_units.imag)
    for lane in range(2):
        psi = naive_spins.psi(positions[:, lane], *units, values)
        assert said.logarithm[lane] == pytest.approx(np.log(abs(psi)), rel=1e-12, abs=1e-12)
        assert same_angle(said.phase[lane], np.angle(psi))


def test_ratios_of_every_move_are_quotients_of_psi(case):
    """psi(s') / psi(s) and its square for all flips and exchanges, and for all spins flipped, to 1e-12."""
    state, parameters, units, values = case
    positions = walkers(state.space)
    said = evaluate(state, parameters, positions)
    for lane in range(4):
        spins = positions[:, lane]
        here = naive_spins.log_psi(spins, *units, values)
        for move, (first, second) in enumerate(state.space.moves):
            if second >= 0 and spins[first] == spins[second]:
                assert np.isfinite(said.amplitudes[move, lane])
                continue
            quotient = np.exp(naive_spins.log_psi(naive_spins.moved(spins, first, second), *units, values) - here)
            assert abs(said.amplitudes[move, lane] / quotient - 1.0) < 1e-12
            assert said.ratios[move, lane] == pytest.approx(abs(quotient) ** 2, rel=1e-12)
        mirrored = np.exp(naive_spins.log_psi(-spins, *units, values) - here)
        assert said.mirror[lane] == pytest.approx(abs(mirrored) ** 2, rel=1e-12)


def agree(found, expected, tolerance=1e-12):
    """Whether two states of the same walkers say the same."""
    np.testing.assert_allclose(found.logarithm, expected.logarithm, rtol=tolerance, atol=tolerance)
    assert same_angle(found.phase, expected.phase, tolerance)
    np.testing.assert_allclose(found.derivatives, expected.derivatives, rtol=tolerance, atol=tolerance)
    for one, other in ((found.ratios, expected.ratios), (found.amplitudes, expected.amplitudes)):
        assert np.abs(one / other - 1.0).max() < tolerance
    np.testing.assert_allclose(found.mirror, expected.mirror, rtol=tolerance)


def test_accepting_is_rebuilding(case):
    """After accepted and rejected flips, exchanges and flips of all spins, the state says what a new one does."""
    state, parameters, _, _ = case
    generator, positions = np.random.default_rng(3), walkers(state.space)
    masks = generator.integers(0, 2, (5, positions.shape[1]))
    sequence = generator.integers(0, len(state.space.moves), 12)
    found = walked(state, parameters, positions, sequence, masks, mirrors=True)
    agree(found, evaluate(state, parameters, positions))
    assert np.any(evaluate(state, parameters, walkers(state.space)).logarithm != found.logarithm)


def test_derivatives_are_finite_differences(case):
    """d ln psi / d coordinate by steps of 1e-4 along every coordinate, real and imaginary parts of parameters each."""
    state, parameters, _, _ = case
    positions = walkers(state.space)
    said, here = evaluate(state, parameters, positions), state.coordinates(parameters)
    values = []
    for step in (1e-4, -1e-4):
        asked = [evaluate(state, state.moved(parameters, row), positions) for row in here + step * np.eye(here.size)]
        values.append(np.array([[one.logarithm, one.phase] for one in asked]))
    difference = values[0] - values[1]
    difference[:, 1] = np.angle(np.exp(1j * difference[:, 1]))
    slopes = (difference[:, 0] + 1j * difference[:, 1]) / 2e-4
    if state.is_holomorphic:
        expected = said.derivatives[::2] + 1j * said.derivatives[1::2]
        expected = np.stack([expected, 1j * expected], axis=1).reshape(slopes.shape)
    else:
        expected = said.derivatives
    np.testing.assert_allclose(slopes, expected, rtol=1e-6, atol=3e-6)


SHARED = [more for more in SETTINGS if more["symmetry"] == "translation"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("more", SHARED, ids=lambda more: name(((), more)))
def test_symmetric_machine_is_the_plain_one_with_copied_weights(shape, more):
    """The same psi, ratios, and as derivatives the sums over all copies; psi is the same at every translation."""
    state, parameters = machine(shape, density=2.0, **more)
    own, positions = parameters[0], walkers(state.space)
    a, b, w = naive_spins.copied(shape, own["a"], own["b"], own["w"])
    plain, _ = machine(shape, hidden=b.size, **more | {"symmetry": "none", "biases": ("visible", "hidden")})
    said, copied = evaluate(state, parameters, positions), evaluate(plain, [{"a": a, "b": b, "w": w}], positions)
    np.testing.assert_allclose(said.amplitudes, copied.amplitudes, rtol=1e-13)
    np.testing.assert_allclose(said.logarithm, copied.logarithm, rtol=1e-13, atol=1e-13)
    for places in state.space.lattice.translations:
        shifted = np.empty_like(positions)
        shifted[places] = positions
        there = evaluate(state, parameters, shifted)
        np.testing.assert_allclose(there.logarithm, said.logarithm, rtol=1e-12, atol=1e-12)
        assert same_angle(there.phase, said.phase)
    sites, filters, step = len(a), own["b"].size, 2 if state.is_holomorphic else 1
    rows = copied.derivatives.reshape(-1, step, positions.shape[1])
    weights = rows[sites + b.size :].reshape(sites, filters, sites, step, -1)
    sums = np.zeros((sites, filters, *weights.shape[3:]))
    for t, places in enumerate(state.space.lattice.translations):
        sums += weights[places, :, t]
    groups = {"visible": rows[:sites].sum(axis=0, keepdims=True)}
    groups["hidden"] = rows[sites : sites + b.size].reshape(filters, sites, step, -1).sum(axis=1)
    expected = [groups[bias].reshape(-1, positions.shape[1]) for bias in more["biases"]]
    expected = np.concatenate([*expected, sums.reshape(-1, positions.shape[1])])
    np.testing.assert_allclose(said.derivatives, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("parameters", ["real", "complex"])
def test_ten_thousand_sweeps_of_table_updates_are_a_rebuild_to_ten_digits(parameters):
    """Errors of the products T only add; half of all moves are accepted."""
    state, own = machine((10,), parameters=parameters, biases=("visible", "hidden"))
    generator, positions = np.random.default_rng(3), walkers(state.space)
    masks = generator.integers(0, 2, (997, positions.shape[1]))
    sequence = generator.integers(0, len(state.space.moves), 10_000 * state.space.units)
    found = walked(state, own, positions, sequence, masks)
    agree(found, evaluate(state, own, positions), 1e-10)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("parameters", ["real", "complex"])
def test_saturated_units_come_back(parameters, sign):
    """300 hidden units whose theta goes from 0 to 40 or -40 and back, a hundred times, to 1e-10."""
    state, own = machine((4,), hidden=300, parameters=parameters, spread=0.01)
    own[0]["w"][0] += 20.0 * sign
    own[0]["b"] += 20.0 * sign
    positions = walkers(state.space)
    positions[0] = -1.0
    everywhere = np.ones((1, positions.shape[1]))
    agree(walked(state, own, positions, [0] * 200, everywhere), evaluate(state, own, positions), 1e-10)
    agree(walked(state, own, positions, [0] * 201, everywhere), evaluate(state, own, positions), 1e-10)


def test_carried_tanh_would_not_come_back():
    """The control: tanh theta updated by the addition theorem loses theta = 15 in a hundred ways there and back."""
    value, step = np.tanh(0.3), np.tanh(15.0)
    for _ in range(100):
        value = (value + step) / (1.0 + value * step)
        value = (value - step) / (1.0 - value * step)
    assert not abs(value - np.tanh(0.3)) < 1e-6


@pytest.mark.parametrize("parameters", ["real", "complex"])
def test_what_cannot_be_carried_is_no_number(parameters):
    """e^theta past the largest number gives a NaN, which stops a run and names the walker, and no wrong energy."""
    for bias in (500.0, 150.0):
        state, own = machine((4,), hidden=16, parameters=parameters)
        own[0]["b"] += bias
        said = evaluate(state, own, walkers(state.space))
        assert not np.isfinite(said.amplitudes).any()
        assert np.isnan(said.logarithm).all() or not np.isfinite(said.logarithm).any()


def test_product_of_two_machines():
    """Logarithms and phases add, ratios multiply, derivatives lie one after the other."""
    one, first = machine((7,), biases=("visible", "hidden"))
    other, second = machine((7,), seed=4, symmetry="translation", hidden_values=(0, 1))
    state, positions = TrialState(one.factors + other.factors, one.space), walkers(one.space)
    said = evaluate(state, first + second, positions)
    left, right = evaluate(one, first, positions), evaluate(other, second, positions)
    np.testing.assert_allclose(said.logarithm, left.logarithm + right.logarithm, rtol=1e-13)
    assert same_angle(said.phase, left.phase + right.phase)
    np.testing.assert_array_equal(said.derivatives, np.concatenate([left.derivatives, right.derivatives]))
    np.testing.assert_allclose(said.amplitudes, left.amplitudes * right.amplitudes, rtol=1e-13)
    np.testing.assert_allclose(said.ratios, left.ratios * right.ratios, rtol=1e-13)
    np.testing.assert_allclose(said.mirror, left.mirror * right.mirror, rtol=1e-13)
    generator = np.random.default_rng(3)
    masks, sequence = generator.integers(0, 2, (5, 16)), generator.integers(0, len(one.space.moves), 12)
    agree(walked(state, first + second, positions, sequence, masks, True), evaluate(state, first + second, positions))


@pytest.mark.parametrize("values", [(-1, 1), (0, 1)])
def test_hidden_layers_add_up_to_the_norm(values):
    """The weights of all states of the hidden layer add up to the sum of |psi|^2 over all spins."""
    state, own = machine((5,), hidden=4, parameters="real", hidden_values=values, biases=("visible", "hidden"))
    weights = declarations.mixture(state.factors[0], state.space, own[0])
    assert weights.size == 3**4
    said = evaluate(state, own, np.ascontiguousarray(configurations(5).T))
    assert logsumexp(weights) == pytest.approx(logsumexp(2.0 * said.logarithm), rel=1e-13)


def test_parameters_go_to_the_coordinates_and_back():
    """In the order of the groups, real and imaginary parts by turns; biases that are not named stay zero."""
    for shape, more in CASES[: len(SETTINGS)]:
        state, parameters = machine(shape, **more)
        own, vector = parameters[0], state.coordinates(parameters)
        arrays = [own[key] for key in "abw" if key == "w" or {"a": "visible", "b": "hidden"}[key] in more["biases"]]
        expected = np.concatenate([array.ravel() for array in arrays])
        np.testing.assert_array_equal(vector.view(expected.dtype), expected)
        assert state.pack(parameters).count == vector.size
        back = state.moved(parameters, vector + 1.0)[0]
        np.testing.assert_allclose(state.coordinates([back]), vector + 1.0)
        assert all(back[key].shape == own[key].shape and back[key].dtype == own[key].dtype for key in own)
        assert ("visible" in more["biases"]) == bool(back["a"].any())
    frozen, parameters = machine((4,), train=("hidden_bias",))
    assert frozen.coordinates(parameters).size == 8


REFUSED = {
    "both missing": ((4,), {}, "hidden", "density are both missing"),
    "contradiction": ((4,), {"hidden": 4, "density": 2.0}, "density", "4 hidden units on 4 sites"),
    "fraction": ((5,), {"density": 0.5}, "density", "use 0.4 or 0.6"),
    "no whole filter": ((10,), {"hidden": 25, "symmetry": "translation"}, "hidden", "use 20 or 30"),
    "less than a filter": ((3, 3), {"density": 0.5, "symmetry": "translation"}, "density", "use 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_that_do_not_fit_name_their_neighbours(case):
    """The key, the reason, and what would do."""
    shape, more, key, text = REFUSED[case]
    ((found, message),) = declarations.problems(spin_rbm.Settings(**more), space_of(shape))
    assert found == key
    assert text in message


def test_open_lattices_have_no_translations():
    """The symmetry is refused there; a resolved deck, which has hidden and density, is not."""
    factor = spin_rbm.Settings(density=2.0, symmetry="translation")
    ((key, _),) = declarations.problems(factor, space_of((4,), periodic=False))
    assert key == "symmetry"
    for sites in range(2, 60):
        full = declarations.filled(spin_rbm.Settings(hidden=7), space_of((sites,)))
        assert declarations.problems(full, space_of((sites,))) == []
        assert declarations.filled(full, space_of((sites,))) == full
