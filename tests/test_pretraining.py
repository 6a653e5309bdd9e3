"""Pretraining: the likelihood's gradient, the ideal gas and a known machine found again, and the run that follows."""

import math
import subprocess
import time

import exact
import h5py
import numpy as np
import pytest
from conftest import TWO_ELECTRONS, command, environment
from files import assert_same_bits, kill

from parvmc import declarations, pretraining
from parvmc.config import loads, resolved
from parvmc.parallel import World
from parvmc.schema import DeckError
from parvmc.simulation import Simulation
from parvmc.starting import starting_parameters

FALSE_ALARM = 4.5  # standard errors: 7e-6 for each number compared, with fixed seeds
DECK = """
seed = 11
system = {kind = "trap", particles = 2, dimensions = 2}
state = [{kind = "gaussian_rbm", hidden = 2, sigma = 1.5, initial_spread = 0.5}]
sampler = {kind = "gibbs", walkers = 1024, lanes = 64, equilibration = 20}
optimizer = {iterations = 5}
pretrain = {iterations = 300}
production = {samples = 131_072}
"""


def simulation(*overrides):
    """Return the simulation of a deck on one rank, before its first stage."""
    deck = resolved(loads(DECK, overrides))
    return Simulation(deck, World(), starting_parameters(deck))


def on_points(own, machine, points):
    """Return (ln P float64[points], O float64[points, trained]) at points float64[points, units], by the program."""
    found = pretraining.on_data(own, machine, points[:, :, np.newaxis].copy())
    return found[:, 1] - machine.log_norm(machine.parameters(own)), found[:, 2:]


def logarithm(mix, points):
    """Return ln float64[points] of the density of a sum of Gaussians."""
    exponents = -0.5 * ((points[:, np.newaxis] - mix.means) ** 2 / mix.variances).sum(axis=2)
    return np.log(np.exp(exponents) @ mix.weights) - 0.5 * np.log(2 * np.pi * mix.variances).sum()


def slopes(function, factor, own, step=1e-5):
    """Return the derivatives of a function of the parameters by each coordinate, by central differences."""
    vector = declarations.coordinates(factor, own)
    found = []
    for unit in step * np.eye(vector.size):
        moved = [declarations.moved(factor, own, vector + sign * unit) for sign in (1, -1)]
        found.append((function([moved[0]]) - function([moved[1]])) / (2 * step))
    return np.array(found)


def mixture(factor, own):
    """Return the exact density of a machine as a sum of Gaussians."""
    values = (own[name] for name in ("a", "b", "w", "sigma"))
    return exact.mixture(*values, *factor.exponents, factor.hidden_values, factor.power)


def drawn(mix, count, seed):
    """Return float64[count, units], independent samples of a sum of Gaussians."""
    generator = np.random.default_rng(seed)
    terms = generator.choice(len(mix.weights), count, p=mix.weights)
    return mix.means[terms] + np.sqrt(mix.variances) * generator.standard_normal((count, mix.variances.size))


def ideal_gas(space, count, seed):
    """Return float64[count, units], samples of the trap's ideal gas."""
    width = np.sqrt(0.5 / np.tile(space.omega, space.particles))
    return width * np.random.default_rng(seed).standard_normal((count, space.units))


MACHINES = {
    "sqrt": [],
    "full, +-1": ['state.0.amplitude="full"', "state.0.hidden_values=[-1, 1]"],
    "lecture": ['state.0.convention="lecture"'],
}
machines = pytest.mark.parametrize("overrides", MACHINES.values(), ids=MACHINES.keys())


# --- the gradient ----------------------------------------------------------------------------------------------------


@machines
def test_gradient_of_the_log_likelihood(overrides):
    """One coordinate: d <ln P> / d theta by differences is 2 (<O>_data - <O>_P), <O>_P by quadrature, to 1e-7.

    P integrates to one, and is the sum of Gaussians; without the second term the gradient is another (control).
    """
    own = simulation("system.particles=1", "system.dimensions=1", *overrides)
    machine = pretraining.Machine.of(own)
    factor, parameters = machine.state.factors[0], machine.parameters(own)
    data = np.random.default_rng(1).normal(0.4, 0.8, (40, 1))
    numeric = slopes(lambda there: logarithm(mixture(factor, there[0]), data).mean(), factor, parameters[0])
    grid = np.linspace(-16.0, 16.0, 4001)[:, np.newaxis]
    logarithms, derivatives = on_points(own, machine, grid)
    density = np.exp(logarithms) * (grid[1] - grid[0])
    assert density.sum() == pytest.approx(1.0, abs=1e-12)
    there, on_data = on_points(own, machine, data)
    np.testing.assert_allclose(there, logarithm(mixture(factor, parameters[0]), data), atol=1e-12)
    np.testing.assert_allclose(2.0 * (on_data.mean(axis=0) - density @ derivatives), numeric, atol=1e-7)
    assert np.abs(2.0 * on_data.mean(axis=0) - numeric).max() > 0.1


@machines
def test_chains_have_the_means_of_the_gradient(overrides):
    """<O>_P over the chains is d ln Z / d theta / 2, within 4.5 errors of independent walkers; of another machine it is
    not (control)."""
    own = simulation("sampler.walkers=4096", *overrides)
    machine = pretraining.Machine.of(own)
    (factor,), parameters = machine.state.factors, machine.parameters(own)
    samples = np.empty((len(own.share), 1, 1 + machine.count, own.lanes))
    for _ in range(20):
        pretraining._walk_chains(own, machine, own.positions, samples)
    chains = samples[:, 0, 1:].transpose(1, 0, 2).reshape(machine.count, -1)
    error = chains.std(axis=1, ddof=1) / math.sqrt(chains.shape[1])
    other = parameters[0] | {"w": 1.3 * parameters[0]["w"]}
    expected, wrong = (0.5 * slopes(machine.log_norm, factor, own) for own in (parameters[0], other))
    assert np.abs((chains.mean(axis=1) - expected) / error).max() < FALSE_ALARM
    assert np.abs((chains.mean(axis=1) - wrong) / error).max() > 2 * FALSE_ALARM


def test_data_are_the_ideal_gas_and_new_in_every_iteration():
    """The data's means and products are 0 and 1 / (2 omega), within 4.5 errors; no two batches are alike."""
    own = simulation("system.omega=[1.0, 0.5]", "pretrain.samples=8192")
    data = []
    for own.pretrained in range(2):
        data.append(pretraining.minibatch(own, range(8192 // own.lanes)))
    points = np.concatenate(data).transpose(1, 0, 2).reshape(4, -1) / np.sqrt([[0.5], [1.0], [0.5], [1.0]])
    count = points.shape[1]
    assert np.abs(points.mean(axis=1)).max() < FALSE_ALARM / math.sqrt(count)
    assert np.abs(points @ points.T / count - np.eye(4)).max() < FALSE_ALARM * math.sqrt(2.0 / count)
    assert len(np.unique(points)) == points.size


# --- what it finds ---------------------------------------------------------------------------------------------------


def fitted(own):
    """Run the pretraining of a simulation to its end and return (density before, density after, reports)."""
    machine = pretraining.Machine.of(own)
    factor, before = machine.state.factors[0], machine.parameters(own)
    reports = list(pretraining.pretrain(own))
    return mixture(factor, before[0]), mixture(factor, machine.parameters(own)[0]), reports


@pytest.mark.parametrize("optimizer", ["adam", "reconfiguration"])
@machines
def test_the_ideal_gas_is_recovered(overrides, optimizer):
    """From widths and weights that are wrong: the density is the ideal gas's, and ln L comes to minus its entropy.

    One iteration's 1024 samples know a variance to sqrt(2 / 1024) = 4.4 % and the divergence to (parameters) / 2048,
    0.01: many iterations together must do better. The entropy: P = prod sqrt(omega / pi) exp(-omega x^2). Before the
    fit nothing of this holds (control).
    """
    rate = {"adam": 0.06, "reconfiguration": 0.5}[optimizer]
    more = ["system.omega=[1.0, 0.5]", f'pretrain.optimizer="{optimizer}"', f"pretrain.learning_rate={rate}"]
    own = simulation(*more, *overrides)
    *densities, reports = fitted(own)
    points, variance = ideal_gas(own.space, 20_000, 6), 0.5 / np.array([1.0, 0.5, 1.0, 0.5])
    results = []
    for mix in densities:
        mean, second = exact.moments(mix)
        deviation = np.abs(second / np.sqrt(np.outer(variance, variance)) - np.eye(4)).max()
        gap = (pretraining.ideal_logarithm(own.space, points.T) - logarithm(mix, points)).mean()
        results.append([np.abs(mean / np.sqrt(variance)).max(), deviation, gap])
    assert (np.array(results[1]) < [0.044, 0.044, 0.002]).all()
    assert (np.array(results[0]) > [0.1, 0.5, 0.1]).all()
    largest = -pretraining.entropy(own.space)
    assert largest == pytest.approx(0.5 * np.log(np.array([1.0, 0.5, 1.0, 0.5]) / np.pi).sum() - 2.0)
    last = np.mean([report["log_likelihood"] for report in reports[-50:]])
    assert abs(last - largest) < FALSE_ALARM * math.sqrt(2.0 / (50 * 1024)) + 0.002
    assert reports[-1]["divergence"] < 0.01 < reports[0]["divergence"]


def write_known_machine(path, count=20_000):
    """Write configurations of a machine with two lumps far apart and return it as a sum of Gaussians."""
    w = np.array([[1.5, 0.0], [0.0, 1.2], [-1.5, 0.0], [0.0, -1.2]])
    mix = exact.mixture(-0.5 * w.sum(axis=1), np.zeros(2), w, 0.8, 2, 2, (0, 1), 0.5)
    with h5py.File(path, "w") as file:
        file["positions"] = drawn(mix, count, 7).reshape(count, 2, 2)
    return mix


def test_a_known_machine_is_recovered_from_its_configurations(tmp_path):
    """Configurations of a machine of four lumps: on others of the same machine ln P comes to its own.

    18 parameters from 20000 samples are off by (parameters) / (2 samples) = 5e-4 nat; twice that is allowed, and as
    much for the chains' noise. One Gaussian of the same second moments misses far more (control), and so does the
    machine before.
    """
    mix = write_known_machine(tmp_path / "known.h5")
    name = f'pretrain.reference="{tmp_path / "known.h5"}"'
    own = simulation(name)
    *densities, reports = fitted(own)
    points = drawn(mix, 20_000, 8)
    ideal = logarithm(mix, points)
    gaps = [(ideal - logarithm(density, points)).mean() for density in densities]
    cov = np.cov(points.T)
    normal = -0.5 * (
        np.einsum("pi,ij,pj->p", points, np.linalg.inv(cov), points) + np.linalg.slogdet(2 * np.pi * cov)[1]
    )
    assert gaps[1] < 0.002
    assert (ideal - normal).mean() > 0.02
    assert gaps[0] > 0.5
    assert "divergence" not in reports[-1]
    assert own.reference.size == 0


def test_the_machine_alone_is_fitted_wherever_it_stands():
    """Behind another factor, the machine comes to the same parameters as alone; those of the other stay."""
    machine = '{kind="gaussian_rbm", hidden=2, sigma=1.5, initial_spread=0.0}'
    found = []
    for state in (f"[{machine}]", f'[{{kind="gaussian"}}, {machine}]'):
        own = simulation(f"state={state}", 'sampler.kind="metropolis"', "pretrain.iterations=20")
        before = own.current_parameters
        list(pretraining.pretrain(own))
        found.append(own.current_parameters)
    np.testing.assert_array_equal(found[0][0]["sigma"], found[1][1]["sigma"])
    assert (found[1][1]["sigma"] < 1.2).all()
    assert found[1][0].keys() == before[0].keys()
    for name, values in before[0].items():
        np.testing.assert_array_equal(found[1][0][name], values)


def test_more_hidden_units_than_can_be_listed():
    """ln Z is not known for 17 hidden units: no log-likelihood is reported, and the fit goes on without."""
    own = simulation("state.0.hidden=17", "pretrain.iterations=3", "sampler.walkers=128")
    *_, reports = fitted(own)
    assert not {"log_likelihood", "divergence"} & reports[-1].keys()
    assert set(pretraining.datasets(own)) >= {"pretraining/gradient_norm"}
    assert "pretraining/log_likelihood" not in pretraining.datasets(own)


def test_walkers_of_hard_spheres_do_not_overlap_afterwards():
    """The machine alone lets spheres overlap; equilibration must not begin there."""
    spheres = 'interaction={kind="hard_sphere", diameter=0.3}'
    state = 'state=[{kind="gaussian_rbm", hidden=2}, {kind="hard_core_jastrow"}]'
    own = simulation(f"system.{spheres}", state, 'sampler.kind="metropolis"', "pretrain.iterations=2")
    list(pretraining.pretrain(own))
    apart = own.positions[:, :2] - own.positions[:, 2:]
    assert np.sqrt(np.square(apart).sum(axis=1)).min() > 0.3
    assert own.vector.size == pretraining.Machine.of(own).count


# --- whole runs ------------------------------------------------------------------------------------------------------


RUN = f"""
title = "Pretrained"
seed = 5
{TWO_ELECTRONS}hidden = 2
sigma = 1.5

[sampler]
kind = "gibbs"
walkers = 512
lanes = 64
equilibration = 60

[pretrain]
iterations = 60

[optimizer]
iterations = 5

[production]
samples = 32_768
"""


@pytest.fixture
def deck(tmp_path):
    """Return the path of a deck with pretraining."""
    path = tmp_path / "small.toml"
    path.write_text(RUN)
    return path


def test_the_energy_run_starts_from_the_ideal_gas(parvmc, deck, tmp_path):
    """The first optimisation energy is the ideal gas's, 2 + sqrt(pi / 2), and without pretraining another (control).

    512 walkers of r12^-1 have a standard error near 0.06: 4.5 of them.
    """
    firsts = []
    for iterations in (60, 0):
        process = parvmc(deck, "-o", f"{iterations}.h5", "--set", f"pretrain.iterations={iterations}")
        assert process.returncode == 0, process.stderr
        assert ("below the ideal gas's" in process.stdout) == bool(iterations)
        with h5py.File(tmp_path / f"{iterations}.h5") as file:
            firsts.append((file["optimization/energy"][0], file["optimization/energy_error"][0]))
            assert ("pretraining" in file) == bool(iterations)
            for node in file["pretraining"].values() if iterations else ():
                assert node.attrs["units"]
                assert node.attrs["description"]
                assert node.shape in ((60,), ())
    ideal = 2.0 + math.sqrt(math.pi / 2)
    assert abs(firsts[0][0] - ideal) < FALSE_ALARM * 0.06
    assert abs(firsts[1][0] - ideal) > 4 * FALSE_ALARM * 0.06


@pytest.mark.mpi
@pytest.mark.parametrize(("reference", "optimizer"), [("ideal", "reconfiguration"), ("known.h5", "adam")])
def test_kill_and_resume_on_other_ranks_gives_the_same_bits(parvmc, deck, tmp_path, reference, optimizer):
    """kill -9 of two ranks in mid-pretraining, --resume on three, also where the file of the configurations is gone."""
    write_known_machine(tmp_path / "known.h5")
    options = ["--set", f'pretrain.reference="{reference}"', "--set", "pretrain.samples=1024"]
    options += ["--set", f'pretrain.optimizer="{optimizer}"']
    assert parvmc(deck, "-o", "whole.h5", *options).returncode == 0
    arguments = command(deck, *options, "--quiet", "--set", 'output.checkpoint_interval="0 s"', ranks=2)
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    try:
        deadline, done = time.monotonic() + 120, 0
        while done < 7:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
            if (tmp_path / "small.h5").exists():
                with h5py.File(tmp_path / "small.h5") as file:
                    done = len(file["pretraining/iteration"]) if "pretraining" in file else 0
    finally:
        kill(process)
    assert done < 60
    (tmp_path / "known.h5").unlink()
    resumed = parvmc("-o", "small.h5", "--resume", "--set", 'output.checkpoint_interval="1 h"', ranks=3)
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at pretraining iteration" in resumed.stdout
    assert_same_bits(tmp_path / "small.h5", tmp_path / "whole.h5")


# --- refusals --------------------------------------------------------------------------------------------------------


def refused(*overrides):
    """Return (key, message) of a deck with one thing wrong."""
    with pytest.raises(DeckError) as caught:
        loads(DECK, overrides)
    ((key, message),) = caught.value.problems
    return key, message


def test_what_cannot_be_fitted_is_refused(parvmc, deck, tmp_path):
    """No machine in the state, no file, no dataset, positions of another shape or not finite; in one line, exit 2."""
    gaussian = ['state=[{kind="gaussian"}]', 'sampler.kind="metropolis"']
    key, message = refused(*gaussian)
    assert key == "pretrain.iterations"
    assert "gaussian_rbm" in message
    loads(DECK, [*gaussian, "pretrain.iterations=0"])
    assert refused("pretrain.samples=1500") == (
        "pretrain.samples",
        "1500 is not a multiple of sampler.walkers = 1024; the nearest are 1024 and 2048",
    )
    path = tmp_path / "data.h5"
    name = f'pretrain.reference="{path}"'
    assert "no file" in refused(name)[1]
    path.write_text("no HDF5")
    assert str(path) in refused(name)[1]
    for values, reason in [
        ({}, "no dataset positions of numbers [samples, 2, 2]"),
        ({"positions": np.zeros((9, 2, 3))}, "have the shape [9, 2, 3], and this deck needs [samples, 2, 2]"),
        ({"positions": np.zeros((9, 4))}, "have the shape [9, 4]"),
        ({"positions": np.full((9, 2, 2), np.nan)}, "not all of its positions are finite"),
        ({"positions": "text"}, "no dataset positions of numbers"),
    ]:
        with h5py.File(path, "w") as file:
            for dataset, value in values.items():
                file[dataset] = value
        key, message = refused(name)
        assert key == "pretrain.reference"
        assert reason in message
    process = parvmc(deck, "--set", name)
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1
    assert process.stderr.startswith("parvmc: pretrain.reference: ")
