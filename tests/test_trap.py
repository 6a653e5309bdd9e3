"""Local energies in the trap: exact states, the naive twin, and the control variate."""

import itertools
import math

import lanes
import naive
import numpy as np
import pytest

from parvmc import declarations
from parvmc.hamiltonians import trap
from parvmc.values import Control


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"amplitude": "full"}, {"convention": "lecture"}, {"hidden_values": (-1, 1)}])
def test_free_particles_have_zero_variance(dimensions, settings):
    """With W = 0, a = 0 and 2p/(k sigma^2) = omega the local energy is sum omega / 2 at any configuration."""
    omega = (1.0, 0.5, 2.82843)[:dimensions]
    system = lanes.system(3, dimensions, "none", omega=omega)
    state, _ = lanes.machine(system, **settings)
    parameters = state.initial(np.random.default_rng(0))
    parameters[0]["w"][:] = 0.0
    parameters[0]["a"][:] = 0.0
    energies = lanes.local_energy(system, state.pack(parameters), lanes.walkers(state.space))[1]
    np.testing.assert_allclose(energies, 3 * sum(omega) / 2, rtol=1e-14)
    parameters[0]["a"][0] = 0.01
    assert lanes.local_energy(system, state.pack(parameters), lanes.walkers(state.space))[1].std() > 1e-3


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (2, 3), (4, 3)])
@pytest.mark.parametrize("name", ["course, sqrt", "lecture, full, +-1", "k = 3, c = 1, full"])
def test_local_energy_is_its_naive_twin(shape, name):
    """Kinetic, trap and interaction, against finite differences of the enumerated ln psi."""
    omega = (1.0, 0.6, 1.7)[: shape[1]]
    system = lanes.system(*shape, omega=omega)
    state, parameters = lanes.machine(system, **lanes.CONVENTIONS[name])
    log_psi = naive_state(state, parameters)
    positions = lanes.walkers(state.space)
    table = lanes.local_energy(system, state.pack(parameters), positions)
    for lane in range(3):
        expected = naive.local_energy(log_psi, positions[:, lane], shape[1], omega, 1.0)
        np.testing.assert_allclose(table[2:, lane], expected, rtol=1e-7, atol=1e-7)
        assert table[1, lane] == pytest.approx(sum(expected), rel=1e-7)
    np.testing.assert_array_equal(table[0], table[1])


PAIRS = {
    "soft_coulomb": ({"strength": 1.3, "softening": 0.4}, lambda r: 1.3 / math.sqrt(r**2 + 0.4**2)),
    "yukawa": ({"strength": 0.7, "screening": 0.9}, lambda r: 0.7 * math.exp(-0.9 * r) / r),
    "gaussian": ({"strength": -2.0, "width": 0.6}, lambda r: -2.0 * math.exp(-(r**2) / (2 * 0.6**2))),
    "coulomb": ({"strength": 2.5}, lambda r: 2.5 / r),
    "hard_sphere": ({"diameter": 0.1}, lambda r: 0.0),
    "none": ({}, lambda r: 0.0),
}


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("kind", trap.INTERACTIONS)
def test_interaction_is_the_sum_over_pairs(kind, dimensions):
    """Every interaction there is, against v(r) as its docstring has it, for four particles."""
    options, v = PAIRS[kind]
    interaction = trap.INTERACTIONS[kind](**options)
    system = trap.Settings(particles=4, dimensions=dimensions, interaction=interaction)
    state, parameters = lanes.machine(system)
    positions = lanes.walkers(state.space)
    table = lanes.local_energy(system, state.pack(parameters), positions)
    for lane in range(3):
        pairs = itertools.combinations(positions[:, lane].reshape(4, dimensions), 2)
        assert table[4, lane] == pytest.approx(sum(v(math.dist(r, s)) for r, s in pairs), rel=1e-13)


def naive_state(state, parameters):
    """Return ln psi(x) of a machine as a Python function."""
    factor, own = state.factors[0], parameters[0]
    values = [own[name] for name in ("a", "b", "w", "sigma")]
    return lambda x: naive.log_psi(x, *values, *factor.exponents, factor.hidden_values, factor.power)


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (3, 3)])
def test_control_variate_is_its_naive_twin(shape):
    """The estimator is the local energy less kappa C / (2 (D - 1)), C by finite differences; each component its own."""
    system = lanes.system(*shape)
    state, parameters = lanes.machine(system)
    pack, positions = state.pack(parameters), lanes.walkers(state.space)
    plain = lanes.local_energy(system, pack, positions)
    control = Control(beta=0.7, kinetic=-0.4, interaction=1.0)
    table = lanes.local_energy(system, pack, positions, control)
    np.testing.assert_allclose(table[1], plain[1], rtol=1e-14)
    for lane in range(3):
        variate = naive.control_variate(naive_state(state, parameters), positions[:, lane], shape[1], 0.7)
        scale = variate / (2.0 * (shape[1] - 1))
        assert table[2, lane] == pytest.approx(plain[2, lane] + 0.4 * scale, rel=1e-6, abs=1e-6)
        assert table[4, lane] == pytest.approx(plain[4, lane] - scale, rel=1e-6, abs=1e-6)
        assert table[0, lane] == pytest.approx(table[2:, lane].sum(), rel=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_estimator_is_bounded_at_coalescence(dimensions):
    """As r12 goes to zero the local energy grows like 1/r12, the estimator does not."""
    system = lanes.system(2, dimensions)
    state, parameters = lanes.machine(system)
    positions = np.zeros((2 * dimensions, 12))
    positions[:] = np.random.default_rng(4).standard_normal((2 * dimensions, 1))
    positions[dimensions:] = positions[:dimensions]
    positions[dimensions] += 10.0 ** -np.arange(1, 13)
    kinetic, interaction = declarations.poles(system, state.cusp(parameters))
    control = Control(1.0, kinetic, interaction)
    table = lanes.local_energy(system, state.pack(parameters), positions, control)
    assert table[1, -1] > 1e11
    assert np.abs(table[0]).max() < 100.0


def test_poles_belong_to_the_system():
    """kappa_T = -(D - 1) c and kappa_V = lambda; nothing in one dimension, for one particle, or without interaction."""
    assert declarations.poles(lanes.system(2, 2), 0.25) == (-0.25, 1.0)
    assert declarations.poles(lanes.system(2, 3), 0.25) == (-0.5, 1.0)
    assert declarations.poles(lanes.system(1, 2), 0.0) == (0.0, 0.0)
    assert declarations.poles(lanes.system(2, 1, "none"), 0.0) == (0.0, 0.0)
    assert declarations.poles(lanes.system(2, 2, "none"), 0.0) == (0.0, 0.0)
