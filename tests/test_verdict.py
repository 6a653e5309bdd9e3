"""The verdict: every check passes on a sound run and fails on one with the fault that it is for."""

from types import SimpleNamespace

import fake_result
import numpy as np
import pytest
import runs
from conftest import TWO_ELECTRONS

from parvmc import archive, results, statistics, trend, verdict
from parvmc.checks import CHECKS, Numbers

DECK = {
    "system": {"kind": "trap", "particles": 2, "dimensions": 2, "interaction": {"kind": "coulomb"}},
    "state": [{"kind": "gaussian_rbm", "train": ["weights", "sigma"]}],
    "sampler": {"kind": "metropolis", "walkers": 2048},
    "optimizer": {"kind": "reconfiguration", "iterations": 300},
    "production": {"target_error": 1e-2},
}
LATTICE = {"system": {"kind": "ising", "lattice": [10]}}
SOUND = {
    "variance": 2.7,
    "variance_estimator": 0.14,
    "walker_outlier": 3.9,
    "acceptance": 0.5,
    "kinetic": 0.886,
    "virial": -0.002,
    "virial_error": 0.002,
    "reference": 3.0,
    "reference_source": "Taut 1994",
}
BATCHES, STEPS = 16, 1024


def autoregressive(tau, shape, rng):
    """AR(1) of variance 1 along the first axis, whose integrated autocorrelation time is tau."""
    rho = (tau - 1.0) / (tau + 1.0)
    noise = rng.normal(size=shape)
    found = noise.copy()
    for step in range(1, shape[0]):
        found[step] = rho * found[step - 1] + np.sqrt(1.0 - rho**2) * noise[step]
    return found


def noise(seed=1, tau=1.0):
    """Energies of a sound run: float64[steps, batches], 0.03 about 3.02."""
    return 3.02 + 0.03 * autoregressive(tau, (STEPS, BATCHES), np.random.default_rng(seed))


def settled(seed=2, iterations=300, tau=2.0):
    """The history of an optimisation that has come to rest at 3.03."""
    fall = 0.5 * np.exp(-np.arange(iterations) / (0.05 * iterations))
    return {"energy": 3.03 + fall + 0.01 * autoregressive(tau, (iterations,), np.random.default_rng(seed))}


def numbers(series=None, history=None, deck=None, **values):
    """The `Numbers` of a production series, as a run has them at its end, and of a sound run in all else."""
    series = noise() if series is None else series
    table = statistics.block(series)
    tau = statistics.autocorrelation_time(series)
    deviations = series - series.mean()
    found = {
        "energy": float(series.mean()),
        "energy_error": float(table.error[table.level]),
        "autocorrelation_time": tau,
        "samples": len(series) * DECK["sampler"]["walkers"],
        "r_hat": statistics.split_r_hat(series),
        "kurtosis": float(np.mean(deviations**4) / np.mean(deviations**2) ** 2 - 3.0),
    }
    history = settled() if history is None else history
    return Numbers(DECK | (deck or {}), found | SOUND | values, table, history)


def outcomes(*arguments, **more):
    """The outcome of every check, by its name."""
    return {check.name: check.outcome for check in verdict.checks(numbers(*arguments, **more))}


def check(name, *arguments, **more):
    """One check."""
    return next(found for found in verdict.checks(numbers(*arguments, **more)) if found.name == name)


def failed(*arguments, **more):
    """Names of the checks that fail."""
    return {name for name, outcome in outcomes(*arguments, **more).items() if outcome == "failed"}


def drifted():
    """Every batch wanders by five spreads from the start to the end."""
    return noise() + 0.15 * np.linspace(0.0, 1.0, STEPS)[:, np.newaxis]


def apart():
    """One batch sits five spreads from the others."""
    return noise() + 0.15 * (np.arange(BATCHES) == 3)


def heavy():
    """Means of 64 values whose tail falls as x^-3, so that their variance is infinite."""
    values = np.random.default_rng(4).standard_t(2.0, size=(STEPS, BATCHES, 64)).mean(axis=2)
    return 3.02 + 0.03 * values


def falling():
    """An optimisation that goes down by ten errors of an iteration over its last third."""
    history = settled()
    return {"energy": history["energy"] + np.linspace(0.3, 0.0, 300)}


FAULTS = {
    # what is wrong: (what differs from a sound run, checks that must fail, those that may as well)
    "slow": ({"series": noise(tau=400.0)}, {"length"}, {"blocking", "R-hat", "target", "production"}),
    "drifted": ({"series": drifted()}, {"R-hat", "blocking"}, {"production", "length", "target"}),
    "apart": ({"series": apart()}, {"R-hat", "blocking"}, {"length"}),
    "heavy": ({"series": heavy()}, {"tails"}, set()),
    "falling": ({"history": falling()}, {"drift"}, set()),
    "rising": ({"history": {"energy": settled()["energy"] - falling()["energy"] + 3.0}}, {"drift"}, {"production"}),
    "above": ({"series": noise() + 0.05}, {"production"}, set()),
    "scale": ({"virial": -0.06}, {"virial"}, set()),
    "frozen walkers": ({"acceptance": 0.004}, {"acceptance"}, set()),
    "short steps": ({"acceptance": 0.97}, {"acceptance"}, set()),
    "stuck": ({"walker_outlier": 30.0}, {"walkers"}, set()),
    "control variate": ({"variance_estimator": 3.0}, {"variance"}, set()),
    "below": ({"reference": 3.03}, {"bound"}, set()),
    "target": ({"deck": {"production": {"target_error": 1e-5}}}, {"target"}, set()),
}


def test_a_sound_run_passes_every_check():
    found = verdict.checks(numbers())
    assert {check.name for check in found} == set(CHECKS)
    assert [(check.name, check.message) for check in found if check.outcome != "passed"] == []
    assert all(check.number and check.rule and check.value is not None for check in found)
    assert verdict.conclusion(found) == f"{len(CHECKS)} checks passed"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_its_own_check(fault):
    changes, expected, allowed = FAULTS[fault]
    found = failed(**changes)
    assert expected <= found <= expected | allowed
    messages = [check.message for check in verdict.checks(numbers(**changes)) if check.name in found]
    assert all(len(message) > 20 for message in messages)


def test_every_check_has_a_fault_that_it_finds():
    assert set().union(*(expected for _, expected, _ in FAULTS.values())) == set(CHECKS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_correlated_but_long_enough_series_pass(seed, tau):
    assert failed(noise(seed, tau), settled(seed, tau=tau)) == set()


def test_tails_that_end_are_not_heavy():
    """Means of 64 exponential values: skewed, with all moments; means of 64 with an infinite variance fail."""
    values = np.random.default_rng(5).exponential(size=(STEPS, BATCHES, 64)).mean(axis=2)
    assert outcomes(3.0 + 0.1 * values)["tails"] == "passed"
    assert check("tails", heavy()).value > 100.0
    # where the local energy hardly varies at all, tails are all there is of it, and do no harm
    assert outcomes(heavy(), variance_estimator=1e-4, walker_outlier=30.0)["tails"] == "passed"


@pytest.mark.parametrize(("tau", "rate"), [(1.0, 0.0), (3.0, 0.02)])
def test_how_often_the_drift_of_a_settled_optimisation_is_false_alarm(tau, rate):
    """At four standard errors, 100 iterations in the last third: never for independent iterations, else rarely."""
    series = autoregressive(tau, (300, 500), np.random.default_rng(6)).T
    found = [trend.of_last_third({"energy": energies}) for energies in series]
    assert np.mean([abs(one.change) > 4.0 * one.change_error for one in found]) <= rate
    # the error is that of the change: over many series the changes scatter by one error or a little less
    scores = np.array([one.change / one.change_error for one in found])
    assert 0.75 < scores.std() < 1.25


def test_the_trend_of_a_straight_line_is_the_line():
    energies = 5.0 - 0.01 * np.arange(300)
    found = trend.of_last_third({"energy": energies})
    assert found.iterations == 100
    assert found.change == pytest.approx(-0.99)
    assert found.mean == pytest.approx(energies[200:].mean())
    assert found.change_error < 1e-12


def test_steps_that_were_taken_back_are_no_drift():
    """Their energies are those of a step that was refused; without the column they would count."""
    history, refused = settled(), np.minimum(np.arange(300) % 3.0, 1.0)
    jumped = {"energy": history["energy"] + refused * np.maximum(0.0, np.linspace(-0.2, 0.1, 300))}
    assert "drift" in failed(history=jumped)
    assert failed(history=jumped | {"shrunk": refused}) == set()


def test_a_drift_below_the_error_of_production_does_not_matter():
    quiet = {"energy": 3.02 - np.linspace(0.0, 1e-4, 300)}
    assert check("drift", history=quiet).passed
    assert not check("drift", history=quiet, energy_error=1e-5).passed


def test_what_is_missing_is_unknown_and_says_so():
    found = numbers()
    del found.values["kurtosis"], found.values["reference"]
    unknown = {one.name: one.message for one in verdict.checks(found) if one.outcome == "unknown"}
    assert unknown == {"tails": "the file has no kurtosis", "bound": "no exact energy is known of this system"}
    short = {
        one.name: one
        for one in verdict.checks(numbers(history=settled(iterations=60), deck={"optimizer": {"iterations": 60}}))
    }
    assert (short["drift"].outcome, short["production"].outcome) == ("unknown", "unknown")
    assert "drift" not in outcomes(deck={"optimizer": {"iterations": 0}})


def test_a_file_without_the_kurtosis_has_the_series(tmp_path):
    """As of a run of an earlier version: it is computed from the series, which may be larger than memory, by pieces."""
    attributes, datasets, groups = fake_result.contents()
    del datasets["result/kurtosis"]
    archive.write_result(tmp_path / "run.h5", attributes, datasets, groups)
    deviations = fake_result.series("energy") - fake_result.SCALARS["energy"]
    with results.open(tmp_path / "run.h5") as result:
        found = {one.name: one for one in verdict.judge(result)}["tails"]
    assert found.value == pytest.approx(np.mean(deviations**4) / np.mean(deviations**2) ** 2 - 3.0)


def test_a_monte_carlo_reference_is_no_bound():
    best = {"reference": 3.5, "reference_source": "quantum Monte Carlo, Sandvik 1997"}
    assert check("bound", **best).outcome == "unknown"
    assert check("bound", reference=3.5, reference_source="Bethe 1931").outcome == "failed"


def test_an_energy_a_little_below_the_exact_one_is_chance():
    error = numbers().values["energy_error"]
    energy = numbers().values["energy"]
    assert check("bound", reference=energy + 3.0 * error).outcome == "passed"
    assert check("bound", reference=energy + 5.0 * error).outcome == "failed"


def test_where_sigma_is_frozen_the_virial_identity_need_not_hold():
    frozen = {"state": [{"kind": "gaussian_rbm", "train": ["weights"]}]}
    assert check("virial", virial=-0.9, deck=frozen).outcome == "unknown"
    assert check("virial", virial=-0.9).outcome == "failed"
    assert check("virial", deck=frozen).outcome == "passed"
    assert check("virial", virial=-0.9, deck={"optimizer": {"iterations": 0}}).outcome == "unknown"


def test_lattices_have_neither_virial_nor_too_much_acceptance():
    found = outcomes(deck=LATTICE, acceptance=0.99)
    assert "virial" not in found
    assert found["acceptance"] == "passed"
    assert check("acceptance", acceptance=0.99).outcome == "failed"
    assert check("acceptance", acceptance=0.99, deck={"sampler": {"kind": "langevin", "walkers": 2048}}).passed


def test_without_statistical_error_no_statistics_is_judged():
    """An eigenstate, or all configurations listed: bound and drift are judged, R-hat of rounding is not."""
    exact = numbers(r_hat=7.0, energy=3.0, energy_error=1e-16, acceptance=0.0)
    found = {one.name: one.outcome for one in verdict.checks(exact)}
    assert not {"R-hat", "blocking", "acceptance"} & set(found)
    assert found["bound"] == "passed"
    below = numbers(energy=2.9999, energy_error=1e-16)
    assert "failed" in {one.outcome for one in verdict.checks(below) if one.name == "bound"}


def test_a_short_series_is_called_short_and_its_r_hat_judged_loosely():
    series = noise(tau=3.0)[:64]
    assert failed(series, r_hat=1.05) == {"length"}
    assert failed(series, r_hat=1.2) == {"length", "R-hat"}


def test_of_a_run_in_progress_nothing_is_judged_but_what_is_done(tmp_path):
    with results.open(fake_result.write(tmp_path / "run.h5", "running", "optimization")) as result:
        found = verdict.judge(result)
    assert {one.outcome for one in found} == {"unknown"}
    assert verdict.conclusion(found) == "nothing can be judged yet"
    halfway = verdict.checks(Numbers(DECK, {}, None, {"energy": falling()["energy"][:200]}))
    assert {one.name: one.message for one in halfway}["drift"] == "known at the end of the optimisation"


def test_the_conclusion_counts():
    made = [
        SimpleNamespace(name=name, outcome=outcome)
        for name, outcome in (("a", "passed"), ("b", "failed"), ("c", "unknown"), ("d", "failed"))
    ]
    assert verdict.conclusion(made) == "2 of 4 checks failed (b, d), 1 could not be made"
    assert verdict.conclusion(made[:1] + made[2:3]) == "1 check passed, 1 could not be made"


# --- real runs

REAL = f"""
seed = 3
{TWO_ELECTRONS}hidden = 3

[sampler]
walkers = 2048
lanes = 128

[optimizer]
iterations = 150
samples = 2048

[production]
samples = 1_048_576
"""


def warned(folder, text):
    """Run a deck and return (its checks, the warnings that it printed)."""
    deck = folder / "run.toml"
    deck.write_text(text)
    process = runs.start(deck, folder, "--quiet")
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 0
    with results.open(folder / "run.h5") as result:
        return verdict.judge(result), printed.splitlines()


def test_a_real_run_passes_and_warns_of_nothing(tmp_path):
    found, printed = warned(tmp_path, REAL)
    assert [(one.name, one.message) for one in found if one.outcome != "passed"] == []
    assert printed == []


def test_without_its_control_variate_its_tails_are_found_and_warned_of(tmp_path):
    """The same run with the infinite variance of a state without a cusp; what is printed is what the file says."""
    found, printed = warned(tmp_path, REAL + 'control_variate = "off"\n')
    faults = {one.name: one.message for one in found if one.outcome == "failed"}
    assert "tails" in faults
    assert printed == [f"parvmc: warning: {message}" for message in faults.values()]
