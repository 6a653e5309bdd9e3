"""The lowest energies of minima.py against themselves on other nodes, their neighbours and what is known."""

import minima
import numpy as np
import pytest

CASES = sorted(minima.MINIMA)


def slopes(state, dimensions, omega, power=0.5, nodes=None):
    """Return E and the derivatives by a, b, u, ln sigma and ln beta, in one vector."""
    rule = minima.points(dimensions, omega, nodes or minima.COARSE[dimensions])
    u = state["w"] / state["sigma"][:, None] ** 2
    energy, parts = minima.energy_and_slopes(rule, state["a"], state["b"], u, state["sigma"], state["beta"], power)
    return energy, np.concatenate([np.ravel(part) for part in parts])


@pytest.mark.parametrize("case", sorted(minima.GAUSSIAN))
def test_idle_hidden_units_leave_the_known_minima_of_a_gaussian(case):
    known = minima.GAUSSIAN[case]
    state = minima.gaussian(case[0], known["alpha"], known["beta"])
    assert minima.energy(state, *case, minima.COARSE[case[0]]) == pytest.approx(known["energy"], abs=1e-9)


def test_two_oscillators_without_jastrow_have_the_energy_in_closed_form():
    # beta without bound leaves psi = exp(-omega r^2 / 2): 2 omega, and <1 / r_12> = sqrt(pi omega / 2) in the plane.
    omega = 0.7
    state = minima.gaussian(2, omega / 2, beta=1e9)
    assert minima.energy(state, 2, omega) == pytest.approx(2 * omega + np.sqrt(np.pi * omega / 2), abs=1e-6)


@pytest.mark.parametrize("power", [0.5, 1.0])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_slopes_are_derivatives_of_the_energy(dimensions, power):
    omega, nodes, rng = 0.6, (3, 12, 6), np.random.default_rng(3)
    state = minima.random_state(dimensions, omega, 2, rng, power)
    keys = ("a", "b", "u", "sigma", "beta")
    state["u"] = state["w"] / state["sigma"][:, None] ** 2
    numeric = []
    for key in keys:
        for index in np.ndindex(np.shape(state[key])):
            ends = []
            for step in (1e-5, -1e-5):
                moved = {name: np.array(state[name]) for name in keys}
                factor = np.exp(step) if key in ("sigma", "beta") else 1.0
                moved[key][index] = moved[key][index] * factor + step * (factor == 1.0)
                rule = minima.points(dimensions, omega, nodes)
                ends.append(minima.energy_and_slopes(rule, *(moved[name] for name in keys), power)[0])
            numeric.append((ends[0] - ends[1]) / 2e-5)
    np.testing.assert_allclose(slopes(state, dimensions, omega, power, nodes)[1], numeric, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_recorded_energies_are_reproduced(case):
    assert minima.energy(minima.MINIMA[case], *case[:2]) == pytest.approx(minima.MINIMA[case]["energy"], abs=2e-10)


@pytest.mark.parametrize("case", CASES)
def test_recorded_states_are_minima(case):
    dimensions, omega, hidden = case
    record, rng = minima.MINIMA[case], np.random.default_rng(hidden)
    # In three dimensions COARSE nodes are too few for the flattest slopes: they are a millionth here, not nothing.
    lowest, flat = slopes(record, dimensions, omega)
    assert np.abs(flat).max() < 3e-6
    vector = minima.pack(record, omega)
    for size in (0.02, 0.1):
        for _ in range(5):
            near = minima.unpack(vector + size * rng.normal(size=len(vector)), dimensions, omega)
            assert minima.energy(near, dimensions, omega, minima.COARSE[dimensions]) > lowest


def test_turning_the_hidden_units_together_costs_nothing():
    record = minima.MINIMA[2, 1.0, 2]
    c, s = np.cos(0.6), np.sin(0.6)
    u = record["w"] / record["sigma"][:, None] ** 2
    turned = minima.centred(np.kron(np.eye(2), [[c, -s], [s, c]]) @ u, record["sigma"], record["beta"])
    assert minima.energy(turned, 2, 1.0) == pytest.approx(record["energy"], abs=2e-10)


@pytest.mark.parametrize("case", CASES)
def test_more_freedom_means_a_lower_energy_but_not_below_the_exact_one(case):
    dimensions, omega, hidden = case
    fewer = minima.MINIMA.get((dimensions, omega, hidden // 2), minima.GAUSSIAN[dimensions, omega])
    assert minima.EXACT[dimensions, omega] < minima.MINIMA[case]["energy"] < fewer["energy"]


def test_a_search_from_a_random_state_ends_at_the_record():
    state = minima.random_state(2, 0.5, 2, np.random.default_rng(0))
    found, _ = minima.lowest(state, 2, 0.5)
    assert found == pytest.approx(minima.MINIMA[2, 0.5, 2]["energy"], abs=1e-8)


def test_the_machine_as_the_state_with_one_width_reproduces_the_known_minimum():
    state = minima.random_state(2, 1.0, 2, np.random.default_rng(1), power=1)
    state["sigma"][:] = 1
    found, _ = minima.lowest(state, 2, 1.0, power=1, common_width=True)
    assert found == pytest.approx(3.0000328, abs=1e-7)
