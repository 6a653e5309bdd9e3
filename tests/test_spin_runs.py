"""Whole runs on spin lattices: sampled against exact energies, the same bits on any number of ranks, ground states."""

import numpy as np
import pytest
from files import assert_same_bits
from spin_decks import assert_refused, finished, run_here, written

RING, EXCHANGING = 'kind = "ising"\nlattice = [10]', 'kind = "heisenberg"\nlattice = [10]'
REAL = 'kind = "spin_rbm"\nhidden = 5\nparameters = "real"\ninitial_spread = 0.3\n'
COMPLEX = 'kind = "spin_rbm"\nhidden = 5\ninitial_spread = 0.3\n'
SYMMETRIC = 'kind = "spin_rbm"\ndensity = 1.0\nsymmetry = "translation"\ninitial_spread = 0.1\n'
WALKERS = "walkers = 512\nlanes = 64\nequilibration = 100\n"
SAMPLES = "samples = 65_536"
SAMPLED = {
    "flips": (RING, COMPLEX, WALKERS),
    "exchanges": (EXCHANGING, COMPLEX, WALKERS + "thinning = 10"),
    "gibbs": (RING, REAL, 'kind = "gibbs"\n' + WALKERS),
    "exact": (RING, REAL, 'kind = "exact"\n' + WALKERS),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case in ("gibbs", "exact") else ()) for case in SAMPLED]
)
def test_sampled_energies_are_the_exact_ones(tmp_path, case):
    """Random parameters: the energy is <psi|H|psi> / <psi|psi> by a dense matrix within 4.5 errors (eight runs,
    false alarm 6e-5). The exact energy of other random parameters is not (control)."""
    arguments = *SAMPLED[case], "iterations = 0", SAMPLES
    path = written(tmp_path / "run.toml", *arguments)
    found, other = finished(path), finished(path, "--seed", 6)
    assert abs(found.energy - found.exact) < 4.5 * found.error
    assert abs(other.energy - other.exact) < 4.5 * other.error
    assert abs(found.energy - other.exact) > 10.0 * found.error


TINY = "samples = 1024\nmemory = 1e-6\niterations = 8\nshift_schedule = [10.0, 0.8]\n"
BITS = [("complex", "spring")]
MORE_BITS = [
    ("complex", "cg"),
    ("complex", "dense"),
    ("complex", "minsr"),
    ("real", "dense"),
    ("real", "cg"),
    ("real", "minsr"),
]


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("numbers", "method"), [*BITS, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_BITS)]
)
def test_every_method_gives_the_same_bits(parvmc, tmp_path, numbers, method):
    """An Ising ring with log-derivatives computed again: one rank without mpirun; three that stop, resumed on two.

    Another seed gives others (control).
    """
    state, steps = SYMMETRIC + f'parameters = "{numbers}"\n', TINY + f'method = "{method}"'
    path = written(tmp_path / "run.toml", RING, state, WALKERS, steps, "samples = 16_384")
    assert parvmc(path, "-o", "run.h5").returncode == 0  # a process of its own: this one's BLAS may have more threads
    assert parvmc(path, "-o", "short.h5", "--set", "optimizer.iterations=5", ranks=3).returncode == 0
    resumed = parvmc(path, "-o", "short.h5", "--resume", ranks=2)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_bits(tmp_path / "short.h5", tmp_path / "run.h5")
    with pytest.raises(AssertionError):
        assert_same_bits(finished(path, "--seed", 6).path, tmp_path / "short.h5")


WALK = "walkers = 1024\nequilibration = 100\n"
GROUND = {
    "ising": ('kind = "ising"\nlattice = [20]', "iterations = 600\nshift = 1e-4", -25.49098969),
    "heisenberg": ('kind = "heisenberg"\nlattice = [20]', "iterations = 300", -35.61754612),
}


@pytest.mark.parametrize("case", GROUND)
def test_rings_of_twenty_spins_are_solved(tmp_path, case):
    """The exact energy to a relative error below 1e-4 at alpha = 2, and not below it by more than four errors."""
    system, steps, exact = GROUND[case]
    state = 'kind = "spin_rbm"\ndensity = 2.0\nsymmetry = "translation"\ninitial_spread = 0.05'
    found = finished(written(tmp_path / "run.toml", system, state, WALK, steps, "samples = 262_144", seed=1))
    assert found.scalars["reference"] == pytest.approx(exact, rel=1e-9)
    assert abs(found.energy / exact - 1.0) < 1e-4
    assert found.energy > exact - 4.0 * found.error


def test_a_denser_machine_starts_from_the_parameters_of_another(tmp_path):
    """From density 1 to 2: the first filter is the file's, the second keeps its random values; the same density
    measures the file's state."""
    small = written(tmp_path / "small.toml", RING, SYMMETRIC, WALKERS, "iterations = 3", SAMPLES)
    old = finished(small)
    again = finished(
        small, "--set", "optimizer.iterations=0", "--set", f"state.0.initial={str(small.with_suffix('.h5'))!r}"
    )
    assert abs(again.energy - again.exact) < 4.5 * again.error
    frozen = ["--set", "optimizer.iterations=0", "--set", "state.0.density=2.0"]
    fresh = finished(written(tmp_path / "fresh.toml", RING, SYMMETRIC, WALKERS, "iterations = 0", SAMPLES), *frozen)
    path = written(
        tmp_path / "large.toml", RING, SYMMETRIC + 'initial = "small.h5"\n', WALKERS, "iterations = 0", SAMPLES
    )
    new = finished(path, *frozen)
    for name in ("a", "b", "w"):
        before, after, random = (run.parameters["0_spin_rbm"][name] for run in (old, new, fresh))
        taken = (slice(None), slice(0, 1)) if name == "w" else slice(0, 1)
        np.testing.assert_array_equal(after[taken], before)
        after, random = after.copy(), random.copy()
        after[taken] = random[taken] = 0.0
        np.testing.assert_array_equal(after, random)
    assert new.parameters["0_spin_rbm"]["w"].shape == (10, 2)
    assert abs(new.energy - new.exact) < 4.5 * new.error


FOREIGN = {
    "another lattice": ("system.lattice=[12]", ["a lattice [10]", "[12]"]),
    "real parameters": ('state.0.parameters="real"', ["parameters", "'complex'", "'real'"]),
    "no symmetry": ('state.0.symmetry="none"', ["symmetry", "'translation'", "'none'"]),
    "hidden 0 and 1": ("state.0.hidden_values=[0, 1]", ["hidden_values", "[-1, 1]", "[0, 1]"]),
    "visible biases": ('state.0.biases=["visible", "hidden"]', ["biases"]),
    "fewer hidden units": ("state.0.density=1.0", ["shape", "(2,)", "(1,)"]),
}


def test_parameters_of_another_meaning_are_refused(tmp_path):
    """One line each that names the file and what differs."""
    small = written(tmp_path / "small.toml", RING, SYMMETRIC, WALKERS, "iterations = 0", SAMPLES)
    finished(small, "--set", "state.0.density=2.0")
    path = written(tmp_path / "run.toml", RING, SYMMETRIC + 'initial = "small.h5"\n', WALKERS)
    for option, words in FOREIGN.values():
        more = [] if "density" in option else ["--set", "state.0.density=2.0"]
        refused = run_here(path, "-o", tmp_path / "run.h5", *more, "--set", option)
        assert_refused(refused, "state.0.initial", "small.h5", *words)


JASTROW = '{kind = "neighbor_jastrow", parameters = "real"}'
WRONG = {
    "particles' machine": (['state=[{kind="gaussian_rbm", hidden=4}]'], ["state.0.kind", "gaussian_rbm", "particles"]),
    "spins in a trap": (
        ['system={kind="trap", particles=2, dimensions=2}'],
        ["state.0.kind", "spin_rbm", "spins on a lattice"],
    ),
    "langevin": (['sampler={kind="langevin"}'], ["sampler.kind", "langevin", "spins on a lattice"]),
    "pretraining": (["pretrain.iterations=10"], ["pretrain.iterations", "spins"]),
    "real times complex": (
        [f'state=[{{kind="spin_rbm", density=1.0}}, {JASTROW}]'],
        ["state", "real", "complex", "parameters"],
    ),
    "no whole filter": (
        ['state=[{kind="spin_rbm", density=1.5, symmetry="translation"}]'],
        ["state.0.density", "1.5", "filters", "1 or 2"],
    ),
    "no hidden units": (['state=[{kind="spin_rbm"}]'], ["state.0.hidden", "density"]),
    "exchanges of ising": (['sampler.moves="exchange"'], ["sampler.moves", "exchange"]),
    "flips of a kept magnetisation": (
        ['system={kind="heisenberg", lattice=[10]}', 'sampler.moves="flip"'],
        ["sampler.moves", "flip", "magnetisation"],
    ),
    "gibbs of complex": (['sampler.kind="gibbs"'], ["sampler.kind", "complex"]),
    "marshall on odd sides": (
        ['system={kind="heisenberg", lattice=[9], magnetisation=1, marshall=true}'],
        ["system.marshall", "odd"],
    ),
    "odd magnetisation": (
        ['system={kind="heisenberg", lattice=[10], magnetisation=1}'],
        ["system.magnetisation", "even"],
    ),
    "open lattice, translations": (
        ["system.periodic=false", 'state.0.symmetry="translation"'],
        ["state.0.symmetry", "open"],
    ),
    "unknown kind": (['system.kind="isin"'], ["system.kind", "ising"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_deck_gives_one_line(tmp_path, case):
    """Exit status 2, the key and the way out, no file is left; the deck without the change is right (control)."""
    options, words = WRONG[case]
    path = written(tmp_path / "run.toml", RING, 'kind = "spin_rbm"\ndensity = 1.0', WALKERS)
    arguments = [part for option in options for part in ("--set", option)]
    assert_refused(run_here(path, "-o", tmp_path / "run.h5", *arguments), *words)
    assert [left.name for left in tmp_path.iterdir()] == ["run.toml"]
    assert run_here(path, "--check").returncode == 0


def test_a_wrong_deck_ends_the_program_without_a_traceback(parvmc, tmp_path):
    """The same in a process of its own."""
    path = written(tmp_path / "run.toml", RING, 'kind = "gaussian_rbm"\nhidden = 4', WALKERS)
    assert_refused(parvmc(path), "state.0.kind", "gaussian_rbm")
