"""The stage that optimises: a step that does harm is taken back, the same on any number of ranks and when resumed."""

import h5py
import numpy as np
import pytest
from conftest import TWO_ELECTRONS
from files import assert_same_bits

from parvmc import config, optimization, stages
from parvmc.parallel import World
from parvmc.simulation import NotFinite, Simulation
from parvmc.starting import starting_parameters

DECK = f"""
seed = 5
{TWO_ELECTRONS}hidden = 3

[sampler]
walkers = 512
lanes = 64
equilibration = 60

[optimizer]
iterations = 12

[production]
samples = 102_400
"""
RUNAWAY = 'optimizer={kind="gradient", iterations=24, learning_rate=20.0}'


def optimized(monkeypatch, at, bad, *overrides):
    """Return the simulation after its optimisation, in which the step of iteration `at` was replaced by bad(change)."""
    deck = config.resolved(config.loads(DECK, overrides))
    simulation = Simulation(deck, World(), starting_parameters(deck))
    take = optimization._step

    def step(simulation, *arguments):
        change, memory, norm = take(simulation, *arguments)
        return (bad(change) if simulation.iteration == at else change), memory, norm

    monkeypatch.setattr(optimization, "_step", step)
    for stage in (stages.equilibrate, optimization.optimize):
        for _ in stage(simulation):
            pass
    return simulation


def blown_up(change):
    """Return a step that makes every sigma smaller by a factor of 20, and all else wild."""
    return np.full_like(change, -3.0)


def test_a_healthy_run_takes_no_step_back(monkeypatch):
    """Sixty iterations of two electrons without a cusp, whose local energy has heavy tails: none refused, and the run
    without retry is the same run."""
    more = ["optimizer.iterations=60"]
    simulation = optimized(monkeypatch, -1, None, *more)
    assert simulation.history["shrunk"] == [0] * 60
    plain = optimized(monkeypatch, -1, None, *more, "optimizer.retry=false")
    np.testing.assert_array_equal(simulation.vector, plain.vector)


def test_a_bad_step_is_taken_back(monkeypatch):
    """It is refused, a quarter of it too, and the run goes on from what is left; without retry it ends (control)."""
    simulation = optimized(monkeypatch, 5, blown_up)
    history = simulation.history
    assert history["shrunk"] == [0] * 6 + [1, 2] + [0] * 4
    assert np.isnan(history["energy"][6])
    assert history["energy"][7] < -100.0  # walkers left behind, far out
    assert history["step_norm"][7] == history["step_norm"][5] / 16
    assert max(history["energy"][9:]) < 3.6
    # production averages no refused vector: the quarter of the step, -0.75 everywhere, would stand out
    assert (simulation.window - simulation.window[0]).max(axis=1).min() > -0.3
    with pytest.raises(NotFinite, match="iteration 6"):
        optimized(monkeypatch, 5, blown_up, "optimizer.retry=false")


def test_a_bad_last_step_does_not_reach_production(monkeypatch):
    """No iteration comes after it, but samples do; without retry production starts where nothing is (control)."""
    for retry in ("true", "false"):
        simulation = optimized(monkeypatch, 11, blown_up, f"optimizer.retry={retry}", "optimizer.average=0.0")
        assert np.abs(simulation.window).max() > 2.0  # where an extended run will go on, and refuse it
        simulation.freeze()
        assert simulation.distrusts_last is (retry == "true")
        assert bool(np.abs(simulation.vector).max() < 1.5) is (retry == "true")


def test_a_step_beyond_all_measure_is_given_up(monkeypatch):
    """Not a number, or huge even after three quarterings: four refusals, then new samples where the run was before."""
    for bad in (lambda change: np.full_like(change, np.nan), lambda change: np.full_like(change, 1e5)):
        simulation = optimized(monkeypatch, 5, bad)
        assert simulation.history["shrunk"] == [0] * 6 + [1, 2, 3, 4] + [0] * 2
        before, after = (np.array(simulation.history["energy"])[rows] for rows in (slice(4, 6), slice(10, 12)))
        assert np.abs(after - before).max() < 0.5
        assert np.isfinite(simulation.vector).all()
        assert simulation.history["step_norm"][9] == 0.0


def test_what_is_not_finite_still_stops_a_run_that_retries_nothing(monkeypatch):
    """Without retry, and in the first iteration, there is no step to take back."""
    with pytest.raises(NotFinite, match="iteration 6"):
        optimized(monkeypatch, 5, lambda change: np.full_like(change, np.nan), "optimizer.retry=false")
    with pytest.raises(NotFinite, match="iteration 0"):
        optimized(monkeypatch, -1, None, "state.0.initial_spread=1e150")


def test_a_jump_is_told_from_an_outlier():
    """Harm: all energies up by a spread, a tenth of them far off, one beyond all bounds, all stuck at a bad one.

    None: one outlier of a million spreads, as states without a cusp have them, and a drop.
    """
    deck = config.resolved(config.loads(DECK))
    simulation = Simulation(deck, World(), starting_parameters(deck))
    samples = optimization.empty_samples(simulation, 1)
    generator = np.random.default_rng(1)
    plain = 3.0 + 0.5 * generator.standard_normal(512)
    simulation.trusted = {"measured": np.array([3.0, 0.022, 0.25, 0.0]), "refusals": np.zeros(1)}
    outlier, drop, jump, explosion = plain.copy(), plain - 2.0, plain + 0.8, plain.copy()
    outlier[17] = 1e6
    explosion[::7] -= 10.0
    boundless, stuck = plain.copy(), np.full(512, 8.0)
    boundless[17] = 1e13
    harmful = (jump, explosion, boundless, stuck)
    for energies, harm in (*((some, False) for some in (plain, outlier, drop)), *((some, True) for some in harmful)):
        samples.begin()
        samples.values[:] = 0.0
        samples.values[:, 0, 0] = energies.reshape(8, 64)
        sums = optimization.moments(World(), samples, simulation.center, 8, False)
        assert optimization.has_harmed(simulation, samples, sums, True) is harm
    assert optimization.has_harmed(simulation, samples, sums, False)
    simulation.trusted["refusals"] = np.array([float(optimization.MOST_REFUSALS)])
    assert not optimization.has_harmed(simulation, samples, sums, False)


@pytest.mark.mpi
def test_a_run_with_refusals_is_the_same_on_any_number_of_ranks_and_when_extended(parvmc, tmp_path):
    """A gradient step far too long: refused again and again, on one rank and on three, and stopped in between."""
    (tmp_path / "small.toml").write_text(DECK)
    options = ["small.toml", "--set", RUNAWAY]
    assert parvmc(*options, "-o", "whole.h5").returncode == 0
    assert parvmc(*options, "-o", "three.h5", ranks=3).returncode == 0
    with h5py.File(tmp_path / "whole.h5") as file:
        shrunk = file["optimization/shrunk"][()]
        assert np.isfinite(file["result/energy"][()])
    assert shrunk.max() >= 1
    assert_same_bits(tmp_path / "three.h5", tmp_path / "whole.h5")
    middle = int(np.flatnonzero(shrunk)[len(np.flatnonzero(shrunk)) // 2]) + 1  # ends right after a refusal
    assert parvmc(*options, "-o", "short.h5", "--set", f"optimizer.iterations={middle}").returncode == 0
    extended = parvmc(*options, "-o", "short.h5", "--resume")
    assert extended.returncode == 0, extended.stderr
    assert_same_bits(tmp_path / "short.h5", tmp_path / "whole.h5")


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["cg", "minsr", "spring"])
def test_every_route_gives_the_same_bits_in_a_run(parvmc, tmp_path, method):
    """Whole runs on 1 and 3 ranks with log-derivatives computed again, the second stopped and extended."""
    (tmp_path / "small.toml").write_text(DECK)
    more = f"method={method!r}, samples=1024, memory=1e-6, shift_schedule=[10.0, 0.8]"
    options = ["small.toml", "--set", f"optimizer={{kind='reconfiguration', iterations=8, {more}}}"]
    whole = parvmc(*options, "-o", "whole.h5")
    assert whole.returncode == 0, whole.stderr
    assert f"steps by {method}, log-derivatives computed again when needed" in whole.stdout
    assert parvmc(*options, "-o", "short.h5", "--set", "optimizer.iterations=5", ranks=3).returncode == 0
    assert parvmc(*options, "-o", "short.h5", "--resume", ranks=2).returncode == 0
    assert_same_bits(tmp_path / "short.h5", tmp_path / "whole.h5")
