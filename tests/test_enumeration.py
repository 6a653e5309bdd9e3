"""All configurations in place of samples: exact energies, observables, gradients, and runs without noise."""

import re
import subprocess
import sys

import exact_spins
import naive_spins
import numpy as np
import pytest
from conftest import ROOT
from files import assert_same_bits
from spin_decks import (
    amplitudes,
    assert_refused,
    deck,
    expectation,
    finished,
    hamiltonian,
    in_sector,
    run_here,
    written,
)
from test_spin_observables import naive_factors

from parvmc import config, optimization
from parvmc.lattice import Lattice
from parvmc.moments import moments
from parvmc.parallel import World
from parvmc.simulation import Simulation
from parvmc.starting import starting_parameters

ISING = 'kind = "ising"\nlattice = [10]'
REAL = 'kind = "spin_rbm"\nparameters = "real"\ninitial_spread = 0.3\n'
COMPLEX = 'kind = "spin_rbm"\ninitial_spread = 0.3\nbiases = ["visible", "hidden"]\n'
SYMMETRIC = 'symmetry = "translation"\n'
LISTED = 'kind = "enumerate"\n'
EVERYTHING = 'observables = [{kind = "magnetisation"}, {kind = "spin_correlation"}, {kind = "structure_factor"}]'
KEPT = 'observables = [{kind = "spin_correlation"}, {kind = "structure_factor"}]'
FEW = "iterations = 3\naverage = 0.0"
RUNS = {
    "ring, real": (ISING, REAL + "hidden = 7", LISTED, FEW, EVERYTHING),
    "3 x 3, real, hidden 0 and 1": (
        'kind = "heisenberg"\nlattice = [3, 3]\nanisotropy = 0.7\nmagnetisation = "any"',
        REAL + "density = 1.0\nhidden_values = [0, 1]\n" + SYMMETRIC,
        LISTED + "lanes = 100",
        FEW,
        EVERYTHING,
    ),
    "ring, complex, magnetisation 0": (
        'kind = "heisenberg"\nlattice = [10]',
        COMPLEX + "density = 1.0\n" + SYMMETRIC,
        LISTED,
        FEW,
        KEPT,
    ),
    "3 x 3, complex, magnetisation 1": (
        'kind = "j1j2"\nlattice = [3, 3]\nmagnetisation = 1',
        COMPLEX + "hidden = 4",
        LISTED + "lanes = 40",
        FEW,
        KEPT,
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_run_finds_exact_expectation_values(tmp_path, case):
    """Energy, its variance and observables are those of the state in the file to 1e-10, by dense matrices and sums
    over all configurations; errors are zero, nothing is warned of.

    They are not those of other parameters (control).
    """
    found = finished(written(tmp_path / "run.toml", *RUNS[case]))
    assert found.warnings == ""
    matrix = hamiltonian(found.system)
    assert found.energy == pytest.approx(found.exact, rel=1e-10)
    image = matrix @ found.psi
    square = np.vdot(image, image).real / np.vdot(found.psi, found.psi).real
    assert found.scalars["variance"] == pytest.approx(square - found.exact**2, rel=1e-9)
    assert found.energy != pytest.approx(expectation(found.psi**1.01, matrix), rel=1e-6)
    assert found.error == 0.0
    assert found.optimization["energy_error"].max() == 0.0
    _assert_exact_observables(found)
    summary = subprocess.run(
        [sys.executable, ROOT / "analysis" / "summary.py", "run.h5"], cwd=tmp_path, capture_output=True, text=True
    )
    assert summary.returncode == 0, summary.stderr
    assert float(re.search(r"(?m)^  energy +(-?[0-9.]+)\(0\)", summary.stdout)[1]) == pytest.approx(
        found.energy, rel=1e-9
    )


def _assert_exact_observables(found):
    spins = exact_spins.configurations(int(np.prod(found.shape)))
    lattice, sites = Lattice(found.shape), spins.shape[1]
    pairs = found.mean(spins[:, :, np.newaxis] * spins[:, np.newaxis, :])
    expected = {"structure_factor": found.mean(naive_factors(lattice, spins)).reshape(found.shape)}
    correlations = found.observables["spin_correlation"]
    axes = [np.asarray(axis, int) for axis in correlations.axes.values()]
    expected["spin_correlation"] = np.zeros(correlations.values.shape)
    for at in np.ndindex(correlations.values.shape):
        step = np.array([axis[index] for axis, index in zip(axes, at, strict=True)])
        places = np.stack(np.unravel_index(np.arange(sites), found.shape), axis=1)
        there = np.ravel_multi_index((places + step).T, found.shape, mode="wrap")
        expected["spin_correlation"][at] = pairs[np.arange(sites), there].mean()
    total = spins.mean(axis=1)
    second, fourth = found.mean(total**2), found.mean(total**4)
    expected |= {"magnetisation": found.mean(total), "magnetisation_absolute": found.mean(abs(total))}
    expected |= {"magnetisation_squared": second, "magnetisation_binder": 1.0 - fourth / (3.0 * max(second, 1e-9) ** 2)}
    for name, quantity in found.observables.items():
        np.testing.assert_allclose(quantity.values, expected[name], atol=1e-10)
        np.testing.assert_array_equal(quantity.errors, np.zeros_like(quantity.errors))


def test_amplitudes_are_sums_over_the_hidden_layer():
    """What the tests here take for psi, against loops over all states of the hidden units."""
    generator = np.random.default_rng(4)
    for values in ([-1, 1], [0, 1]):
        a, b, w = (generator.standard_normal(n) + 1j * generator.standard_normal(n) for n in ((4,), (3,), (4, 3)))
        table = {"kind": "spin_rbm", "symmetry": "none", "hidden_values": values}
        found = amplitudes((4,), [table], [{"a": a, "b": b, "w": w}])
        slow = np.array([naive_spins.psi(spins, a, b, w, values) for spins in exact_spins.configurations(4)])
        np.testing.assert_allclose(found / found[0], slow / slow[0], rtol=1e-11)


REFUSED = {
    "too many sites": (["system.lattice=[17]"], ["sampler.kind", "16 sites", "17", "metropolis"]),
    "other walkers": (["sampler.walkers=512"], ["sampler.walkers", "1024", "leave it out"]),
    "renyi": (
        ['production.observables=[{kind="renyi", sites=[0, 1]}]'],
        ["production.observables.0.kind", "renyi", "enumerate"],
    ),
    "particles in a trap": (
        ['system={kind="trap", particles=2, dimensions=2}', 'state=[{kind="gaussian_rbm", hidden=2}]'],
        ["sampler.kind", "enumerate", "spins on a lattice", "particles in a trap"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_listed_is_refused(tmp_path, case):
    """Exit status 2 and one line that names the key and the way out."""
    options, words = REFUSED[case]
    path = written(tmp_path / "run.toml", ISING, REAL + "density = 1.0", LISTED)
    arguments = [part for option in options for part in ("--set", option)]
    assert_refused(run_here(path, "-o", tmp_path / "run.h5", *arguments), *words)


def test_few_spins_fill_part_of_a_batch(tmp_path):
    """Three spins in one batch of 128 lanes: eight configurations, the same energy as in batches of four."""
    arguments = 'kind = "ising"\nlattice = [3]', REAL + "hidden = 7", LISTED, FEW, EVERYTHING
    path = written(tmp_path / "run.toml", *arguments)
    energies = []
    for lanes in (128, 4):
        found = finished(path, "--set", f"sampler.lanes={lanes}")
        assert found.warnings == ""
        assert found.error == 0.0
        assert found.energy == pytest.approx(found.exact, rel=1e-10)
        energies.append(found.energy)
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["dense", pytest.param("minsr", marks=pytest.mark.slow)])
def test_any_number_of_ranks_gives_the_same_bits(parvmc, tmp_path, method):
    """A complex state of ten spins on one rank, and on three that stop, extended on two."""
    arguments = ISING, COMPLEX + "density = 1.0\n" + SYMMETRIC, LISTED + "lanes = 384"  # three batches
    path = written(tmp_path / "run.toml", *arguments, f'iterations = 6\nmethod = "{method}"', KEPT)
    assert parvmc(path, "-o", "one.h5").returncode == 0
    assert parvmc(path, "-o", "short.h5", "--set", "optimizer.iterations=4", ranks=3).returncode == 0
    assert parvmc(path, "-o", "short.h5", "--resume", ranks=2).returncode == 0
    assert_same_bits(tmp_path / "short.h5", tmp_path / "one.h5")


def test_the_energy_falls_without_noise(tmp_path):
    """Small steps of imaginary time: every one lowers the energy of the Ising ring. Large ones do not (control)."""
    arguments = ISING, COMPLEX + "density = 1.0\n" + SYMMETRIC, LISTED
    steps = []
    for rate in (0.01, 0.2):
        more = f"iterations = 60\nlearning_rate = {rate}\nmax_step = 10.0\nretry = false"
        found = finished(written(tmp_path / "run.toml", *arguments, more, KEPT))
        steps.append(np.diff(found.optimization["energy"]))
    assert steps[0].max() < 0.0
    assert steps[1].max() > 0.0


def test_the_ising_ring_is_solved(tmp_path):
    """Ten spins at h = 1, complex, alpha = 2: within 1e-6 of the exact energy, and above it."""
    state = 'kind = "spin_rbm"\ndensity = 2.0\ninitial_spread = 0.05\n' + SYMMETRIC
    more = "iterations = 600\nlearning_rate = 0.1\nshift = 1e-4\nfloor = 1e-6\nmax_step = 0.3\naverage = 0.0"
    found = finished(written(tmp_path / "run.toml", ISING, state, LISTED, more, KEPT))
    exact, energies = found.scalars["reference"], [*found.optimization["energy"], found.energy]
    assert exact == pytest.approx(-12.784906443, rel=1e-9)
    assert 0.0 < 1.0 - energies[-1] / exact < 1e-6
    assert min(energies) > exact - 1e-9


JASTROW = 'kind = "neighbor_jastrow"\nparameters = "complex"\nstrength = 0.2'
SLOPES = {
    "real": ('kind = "ising"\nlattice = [6]', REAL + 'hidden = 3\nbiases = ["visible", "hidden"]'),
    "real, symmetric": (
        'kind = "heisenberg"\nlattice = [3, 3]\nmagnetisation = 1',
        REAL + "density = 1.0\n" + SYMMETRIC,
    ),
    "complex": ('kind = "heisenberg"\nlattice = [6]\nmagnetisation = 2', COMPLEX + "hidden = 3"),
    "complex, symmetric": ('kind = "ising"\nlattice = [3, 3]\nfield = 2.0', COMPLEX + "density = 1.0\n" + SYMMETRIC),
    "product": ('kind = "ising"\nlattice = [6]', [JASTROW, COMPLEX + "hidden = 2"]),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case == "product" else ()) for case in SLOPES]
)
def test_the_gradient_is_that_of_the_energy(case):
    """The moments' gradient over all configurations equals central differences of <psi|H|psi> / <psi|psi> to 1e-7.

    Without the weights it does not (control).
    """
    resolved = config.resolved(config.loads(deck(*SLOPES[case], LISTED + "lanes = 24", "iterations = 1")))
    start = starting_parameters(resolved)
    simulation = Simulation(resolved, World(), start)
    samples = optimization.empty_samples(simulation, 1)
    optimization._sample(simulation, samples)
    plain = samples.values.copy()
    found = moments(simulation.world, samples, simulation.center, simulation.batches, False)
    table = config._plain(resolved)
    matrix, shape = hamiltonian(table["system"]), table["system"]["lattice"]

    def energy(vector):
        psi = amplitudes(tuple(shape), table["state"], simulation.state.moved(start, vector))
        return expectation(in_sector(psi, simulation.space.magnetisation), matrix)

    vector, step = simulation.vector, 1e-5
    shifts = step * np.eye(vector.size)
    slopes = [(energy(vector + shift) - energy(vector - shift)) / (2.0 * step) for shift in shifts]
    assert found.energy == pytest.approx(energy(vector), rel=1e-12)
    assert np.abs(slopes).max() > 0.1
    np.testing.assert_allclose(found.gradient, slopes, atol=1e-7)
    unweighted = optimization.Samples.of(plain, samples.energies)
    unweighted = moments(simulation.world, unweighted, simulation.center, simulation.batches, False)
    assert np.abs(unweighted.gradient - slopes).max() > 1e-2
