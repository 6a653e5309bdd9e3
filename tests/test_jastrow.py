"""Correlation factors: exact states, minima known without Monte Carlo noise, hard spheres."""

import math

import lanes
import minima
import numpy as np
import pytest

from parvmc import declarations, references, results
from parvmc.placement import place
from parvmc.states import gaussian, gaussian_rbm, linear_jastrow, pade_jastrow, pair_rbm
from parvmc.states.product import TrialState
from parvmc.values import Control

PADE_GAUSSIAN = 3.00034267  # the least energy of this ansatz in two dimensions, omega = 1, by quadrature
ALPHA, BETA = 0.4942705, 0.398627

DECK = """
[system]
kind = "trap"
particles = 2
dimensions = 2
interaction = "coulomb"

[[state]]
{factor}

[[state]]
kind = "pade_jastrow"
{pade}

[sampler]
thinning = 4

{more}
"""

HARD_SPHERES = """
[system]
kind = "trap"
particles = {particles}
dimensions = 3
omega = [1.0, 1.0, 2.8284271247461903]
interaction = {{kind = "hard_sphere", diameter = 0.0043}}

[[state]]
kind = "gaussian"
alpha = 0.42

[[state]]
kind = "hard_core_jastrow"

[sampler]
walkers = {walkers}
equilibration = 300

[optimizer]
iterations = 60
samples = {samples}

[production]
samples = {production}
"""


@pytest.fixture
def measure(parvmc, tmp_path):
    """Return a function that runs a deck's text and returns (scalars, parameters of the first factor)."""

    def run(text, *options):
        deck = tmp_path / "deck.toml"
        deck.write_text(text)
        process = parvmc(deck, "--overwrite", "-o", "run.h5", "--quiet", *(f"--set={option}" for option in options))
        assert process.returncode == 0, process.stderr
        with results.open(tmp_path / "run.h5") as result:
            values = {name: result.scalar(name) for name in result.scalar_names}
            return values, next(iter(result.parameters.values()))

    return run


def product(system, *factors):
    """Return (TrialState, parameters)."""
    state = TrialState(factors, declarations.space(system))
    return state, state.initial(np.random.default_rng(3))


@pytest.mark.parametrize(("dimensions", "omega", "energy"), [(2, 1.0, 3.0), (3, 0.5, 2.0)])
def test_exact_states_have_a_constant_local_energy(dimensions, omega, energy):
    """Taut's (1 + c r12) e^(-omega (r1^2 + r2^2) / 2) at any configuration; with the slope of equal spins it varies."""
    system = lanes.system(2, dimensions, omega=omega)
    state, parameters = product(system, gaussian.Settings(), linear_jastrow.Settings())
    positions = lanes.walkers(state.space)
    np.testing.assert_allclose(lanes.local_energy(system, state.pack(parameters), positions)[1], energy, rtol=1e-12)
    wrong, parameters = product(system, gaussian.Settings(), linear_jastrow.Settings(spin_up=2))
    assert lanes.local_energy(system, wrong.pack(parameters), positions)[1].std() > 1e-3


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(
    "factor", [pade_jastrow.Settings(spin_up=2), pair_rbm.Settings(hidden=3), linear_jastrow.Settings(), None], ids=str
)
def test_what_is_left_of_the_pole_goes_to_the_control_variate(dimensions, factor):
    """As two of three particles meet, every component of the estimator stays bounded, whatever slope psi has there."""
    system = lanes.system(3, dimensions)
    factors = (gaussian_rbm.Settings(hidden=2), *([factor] if factor else []))
    state, parameters = product(system, *factors)
    control = Control(1.0, *declarations.poles(system, state.cusp(parameters)))
    for pair in ((0, 1), (0, 2)):
        positions = np.repeat(lanes.walkers(state.space, 1), 9, axis=1)
        i, j = (particle * dimensions for particle in pair)
        positions[j : j + dimensions] = positions[i : i + dimensions]
        positions[j] += 10.0 ** -np.arange(1, 10)
        table = lanes.local_energy(system, state.pack(parameters), positions, control)
        assert np.abs(table[[0, 2, 3, 4]]).max() < 100.0
        plain = lanes.local_energy(system, state.pack(parameters), positions)
        assert np.abs(plain[2:]).max() > 1e8


@pytest.mark.parametrize("step", [0.02, 0.2, 0.8])
def test_langevin_is_unbiased_at_any_time_step(measure, step):
    """Pade-Jastrow x Gaussian with the parameters of its optimum: 3.00034267 within 4 errors, of 5e-5 at most."""
    text = DECK.format(
        factor=f'kind = "gaussian"\nalpha = {ALPHA}', pade=f"beta = {BETA}", more="[optimizer]\niterations = 0"
    )
    thinning = 20 if step < 0.1 else 4
    values, _ = measure(
        text, f'sampler={{kind="langevin", step={step}, thinning={thinning}}}', "production.samples=4_194_304"
    )
    assert values["energy_error"] < 5e-5
    assert values["effective_samples_per_core_second"] > 1e4
    assert abs(values["energy"] - PADE_GAUSSIAN) < 4.0 * values["energy_error"]


def test_pade_jastrow_reaches_its_minimum(measure):
    """Pade-Jastrow x Gaussian in two dimensions, omega = 1: within 5e-5 and 4 errors, alpha and the virial right."""
    text = DECK.format(factor='kind = "gaussian"\nalpha = 0.6', pade="", more="[production]\nsamples = 8_388_608")
    values, own = measure(text, "optimizer.iterations=150")
    assert values["energy_error"] < 2.5e-5
    assert abs(values["energy"] - PADE_GAUSSIAN) < 5e-5 + 2.0 * values["energy_error"]
    assert abs(own["alpha"] - ALPHA) < 3e-3
    assert abs(values["virial"]) < 4.0 * values["virial_error"] + 0.01


@pytest.mark.parametrize(("dimensions", "omega", "hidden"), list(minima.MINIMA))
def test_machine_and_cusp_reach_their_minimum(measure, tmp_path, dimensions, omega, hidden):
    """Within 1e-4 of the minimum by quadrature, above the exact energy; components near the exact ones."""
    text = DECK.format(factor=f'kind = "gaussian_rbm"\nhidden = {hidden}', pade="", more="")
    values, _ = measure(
        text,
        f"system.dimensions={dimensions}",
        f"system.omega={omega}",
        f"optimizer={{iterations=300, learning_rate={0.05 / omega}}}",
        "production.samples=4_194_304",
        'production.observables=["squared_radius", "pair_distance"]',
    )
    assert values["energy_error"] < 3e-5
    least = minima.MINIMA[dimensions, omega, hidden]["energy"]
    assert abs(values["energy"] - least) < 1e-4
    assert values["energy"] > values["reference"] - 4.0 * values["energy_error"]
    exact = references.exact(2, dimensions, (omega,) * dimensions, "coulomb", 1.0)
    for name in ("kinetic", "trap", "interaction"):  # off in first order of the state's error, the energy in second
        assert abs(values[name] - getattr(exact, name)) < 0.01 * exact.energy + 4.0 * values[f"{name}_error"]
    with results.open(tmp_path / "run.h5") as result:
        for name, value in result.exact_observables.items():
            found = result.observable(name)
            assert abs(found.values - value) < 0.02 * value + 4.0 * found.errors
            assert found.errors < 0.01 * value
    if (omega, hidden) == (0.1, 4):  # where four hidden units are better by far more than the error
        assert values["energy"] < minima.MINIMA[dimensions, omega, 2]["energy"] - 4.0 * values["energy_error"]


def test_the_symmetric_machine_reaches_its_minimum(measure):
    """Gaussian x pair_rbm in two dimensions, omega = 1: 3.0125529 at alpha = 0.5389, by quadrature."""
    text = DECK.format(factor='kind = "gaussian"', pade="", more="").replace(
        'kind = "pade_jastrow"', 'kind = "pair_rbm"\nhidden = 1'
    )
    values, own = measure(text, "optimizer={iterations=400, learning_rate=0.1}", "production.samples=4_194_304")
    assert abs(values["energy"] - 3.0125529) < 3e-4 + 3.0 * values["energy_error"]
    assert values["energy_error"] < 2e-4
    assert abs(own["alpha"] - 0.5389) < 0.02


def test_a_variate_of_each_pair_leaves_the_means(measure):
    """Three particles, two of equal spin: estimator and components average what the local energy does, variance falls.

    Both are means over the same samples; within 4.5 errors of the plain one, whose own are from blocking.
    """
    text = DECK.format(factor='kind = "gaussian_rbm"\nhidden = 1', pade="spin_up = 2", more="")
    options = ["system.particles=3", "system.dimensions=3", "optimizer.iterations=0", "production.samples=4_194_304"]
    plain, _ = measure(text, *options, 'production.control_variate="off"')
    values, _ = measure(text, *options)
    for name in ("energy", "kinetic", "interaction"):
        assert abs(values[name] - plain[name]) < 4.5 * math.hypot(values[f"{name}_error"], plain[f"{name}_error"])
    assert values["variance_estimator"] < 0.9 * values["variance"]
    assert values["interaction_error"] < plain["interaction_error"]


@pytest.mark.parametrize(
    ("particles", "walkers", "samples", "production", "energy", "tolerance", "alpha"),
    [(10, 2048, 4096, 1_048_576, 24.3987, 5e-4, 0.4975), (100, 512, 1024, 32_768, 266.2, 0.05, 0.48)],
)
def test_hard_spheres_reach_their_minimum(measure, particles, walkers, samples, production, energy, tolerance, alpha):
    """DuBois and Glyde's bosons: the optimiser finds alpha, and the energy is the known variational minimum.

    It is known as 24.3987(2) for ten; 2e7 samples with this program find 24.39845(2).
    """
    text = HARD_SPHERES.format(particles=particles, walkers=walkers, samples=samples, production=production)
    values, own = measure(text)
    assert abs(values["energy"] - energy) < tolerance
    assert 3.0 * values["energy_error"] < tolerance
    assert abs(own["alpha"] - alpha) < 0.01
    assert "virial" not in values


def test_parameters_are_taken_over_from_another_run(parvmc, tmp_path):
    """initial = FILE for the factors that have no random start; a deck that means something else is refused."""
    text = DECK.format(factor='kind = "gaussian"', pade="", more='[optimizer]\niterations = 5\nkind = "gradient"')
    (tmp_path / "deck.toml").write_text(text)
    small = ["--set=sampler={walkers=256, lanes=128, equilibration=10}", "--set=production.samples=4096"]
    assert parvmc("deck.toml", "-o", "first.h5", *small).returncode == 0
    warm = [f'--set=state.{factor}.initial="first.h5"' for factor in (0, 1)]
    assert parvmc("deck.toml", "-o", "second.h5", *small, *warm, "--set=optimizer.iterations=0").returncode == 0
    with results.open(tmp_path / "first.h5") as first, results.open(tmp_path / "second.h5") as second:
        for label, own in first.parameters.items():
            assert second.parameters[label] == pytest.approx(own, rel=1e-14)  # trained by the logarithm
        assert abs(first.parameters["1_pade_jastrow"]["beta"] - 1.0) > 1e-6
    refused = parvmc("deck.toml", "-o", "third.h5", *small, *warm, "--set=state.1.spin_up=1")
    assert refused.returncode == 2
    assert "spin_up" in refused.stderr


def test_nothing_is_found_inside_a_hard_core(parvmc, tmp_path):
    """g(r) of large spheres is zero up to their diameter and not beyond; densities integrate to N and to the pairs."""
    text = HARD_SPHERES.format(particles=3, walkers=1024, samples=1024, production=131_072)
    (tmp_path / "deck.toml").write_text(text)
    chosen = '["density", {kind="pair_correlation", bins=40, range=2.0}]'
    options = ["system.interaction.diameter=0.5", f"production.observables={chosen}", "optimizer.iterations=0"]
    process = parvmc("deck.toml", "-o", "run.h5", *(f"--set={option}" for option in options))
    assert process.returncode == 0, process.stderr
    with results.open(tmp_path / "run.h5") as result:
        pairs, density = result.observable("pair_correlation"), result.observable("density")
        beyond = {name: result.observable(f"{name}_beyond").values for name in ("pair_correlation", "density")}
    assert (pairs.values[:10] == 0.0).all()
    assert (pairs.values[10:] > 0.0).all()
    for name, found, number in (("pair_correlation", pairs, 3), ("density", density, 3)):
        middle = found.axes["r"]
        half = 0.5 * (middle[1] - middle[0])
        volumes = 4.0 / 3.0 * math.pi * ((middle + half) ** 3 - (middle - half) ** 3)
        assert found.values @ volumes + beyond[name] == pytest.approx(number, rel=1e-10)


def test_walkers_begin_apart():
    """No pair closer than the core, even for large spheres; without a core the ideal gas, to the bit."""
    system = lanes.system(12, 3, "none")
    space = declarations.space(system)
    free, apart = (place(1, range(2), 64, space, core) for core in (0.0, 1.5))
    walkers = apart.reshape(2, 12, 3, 64)
    separations = walkers[:, :, np.newaxis] - walkers[:, np.newaxis]
    distances = np.sqrt(np.square(separations).sum(axis=3)) + 10.0 * np.eye(12)[:, :, np.newaxis]
    assert distances.min() > 1.5
    np.testing.assert_array_equal(free[0, :3], apart[0, :3])
    assert math.isclose(free.var(), 0.5, rel_tol=0.1)
