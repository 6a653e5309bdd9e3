"""Blocking errors, tau and R-hat against ArviZ, emcee and pyblock on the same series.

Where the definitions are the same the numbers agree to rounding. Estimators of tau that cut the sum elsewhere differ by
less than the statistical error that they have in common, tau sqrt(2 (2 W + 1) / N) with a window W = 5 tau and N values
(Madras and Sokal, J. Stat. Phys. 50, 109 (1988)).
"""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from parvmc import results, statistics

FIRST = Path(__file__).parent / "data" / "first_version.h5"
SEEN = 4.5  # standard errors: a false alarm in 150,000 of each comparison with the truth, with fixed seeds
STEPS, CHAINS = 1 << 14, 4
MEMORIES = (0.0, 0.5, 0.9)


def installed(name):
    """A library that these tests compare with, else they are skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries say of their own future
        return pytest.importorskip(name, reason=f"no {name}: pip install '.[independent]'")


def autoregressive(memory, steps=STEPS, chains=CHAINS):
    """x_t = memory x_{t-1} + noise, of variance 1: tau = (1 + memory) / (1 - memory); float64[steps, chains]."""
    random = np.random.default_rng(2024)
    found = random.normal(size=(steps, chains))
    found[1:] *= math.sqrt(1.0 - memory**2)
    for step in range(1, steps):
        found[step] += memory * found[step - 1]
    return found


def energies():
    """The production energies of a real run, float64[256, 2]."""
    with results.open(FIRST) as result:
        return result.series("energy")


def series():
    """{name: (series, its tau or None)}, what all is compared on."""
    made = {f"memory {memory}": (autoregressive(memory), (1.0 + memory) / (1.0 - memory)) for memory in MEMORIES}
    return {"real run": (energies(), None), **made}


SERIES = series()
CASES = pytest.mark.parametrize("case", SERIES)


def uncertainty(tau, size):
    """Standard error of an estimate of tau from so many values."""
    return tau * math.sqrt(2.0 * (10.0 * tau + 1.0) / size)


def assert_agree(tau, other, case):
    """Assert that two estimates of tau differ by less than their error, and that both are right where that is known."""
    values, exact = SERIES[case]
    error = uncertainty(exact or tau, values.size)
    assert abs(tau - other) < error
    if exact:
        assert abs(tau - exact) < SEEN * error
        assert abs(other - exact) < SEEN * error
    if (exact or tau) > 2.0:  # what has lost its order has tau = 1 (control)
        shuffled = np.random.default_rng(1).permuted(values, axis=0)
        assert abs(statistics.autocorrelation_time(shuffled) - other) > error


@CASES
def test_tau_is_that_of_emcee(case):
    """By emcee's own window, 5 tau too; for one chain to rounding, by the formula of our tau with emcee's rho."""
    autocorr = installed("emcee").autocorr
    values = SERIES[case][0]
    tau = statistics.autocorrelation_time(values)
    assert_agree(tau, float(autocorr.integrated_time(values, c=5, tol=0)[0]), case)
    rho, steps = autocorr.function_1d(values[:, 0]), len(values)
    for window in range(steps):
        found = 1.0 + 2.0 * rho[1:window].sum() + rho[window]
        if window >= 5.0 * max(found, 1.0):
            break
    found *= 1.0 + (1 + 2 * window - window * (window + 1) / steps) / steps  # what subtracting the mean has taken
    assert statistics.autocorrelation_time(values[:, :1]) == pytest.approx(found, rel=1e-10)


@CASES
def test_tau_is_that_of_arviz(case):
    """N / ess of the mean: ArviZ sums up to where neighbouring rho add up to less than zero (Geyer)."""
    arviz, (values, _) = installed("arviz"), SERIES[case]
    tau = values.size / float(arviz.ess(values.T, method="mean"))
    assert_agree(statistics.autocorrelation_time(values), tau, case)


@CASES
def test_r_hat_is_that_of_arviz(case):
    """Rank-normalised, the larger of bulk and folded; and split without ranks. Both see a chain that sits elsewhere or
    is wider."""
    arviz, (values, _) = installed("arviz"), SERIES[case]
    shifted, wider, odd = values.copy(), values.copy(), values[:101].round(1)  # rounded: with many ties
    shifted[:, 0] += 2.0 * values.std()
    wider[:, 0] = values.mean() + 4.0 * (values[:, 0] - values.mean())
    for chains in (values, odd, shifted, wider):
        assert statistics.split_r_hat(chains) == pytest.approx(float(arviz.rhat(chains.T, method="rank")), rel=1e-10)
        half = len(chains) // 2
        halves = np.concatenate([chains[:half], chains[-half:]], axis=1)
        assert statistics._r_hat(halves) == pytest.approx(float(arviz.rhat(chains.T, method="split")), rel=1e-10)
    assert statistics.split_r_hat(shifted) > 1.1
    assert statistics.split_r_hat(wider) > 1.1


@CASES
def test_the_blocking_table_is_that_of_pyblock(case):
    """One chain: errors and their errors, row by row. Several: variances of pyblock, pooled with those of the means."""
    pyblock, (values, _) = installed("pyblock"), SERIES[case]
    one = statistics.block(values[:, :1])
    for level, row in enumerate(pyblock.blocking.reblock(values[:, 0])[: len(one.error)]):
        assert row.ndata == one.blocks[level]
        assert one.error[level] == pytest.approx(float(row.std_err), rel=1e-10)
        assert one.error_of_error[level] == pytest.approx(float(row.std_err_err), rel=1e-10)
    table, chains = statistics.block(values), values.shape[1]
    rows = pyblock.blocking.reblock(values.T)[: len(table.error)]
    assert len(rows) >= 6
    for level, row in enumerate(rows):
        blocks, total = row.ndata, row.ndata * chains
        squares = (blocks - 1) * np.trace(row.cov) + blocks * np.square(row.mean - row.mean.mean()).sum()
        assert table.error[level] == pytest.approx(math.sqrt(squares / (total - 1) / total), rel=1e-10)


@CASES
def test_the_error_that_is_quoted_is_the_one_pyblock_would_choose(case):
    """Within 3 of both errors' errors, which know each other; where the truth is known, both within 4.5 of theirs. The
    naive error of a correlated series is not (control)."""
    pyblock, (values, tau) = installed("pyblock"), SERIES[case]
    chain = values[:, 0]
    table, rows = statistics.block(chain[:, np.newaxis]), pyblock.blocking.reblock(chain)
    (best,) = pyblock.blocking.find_optimal_block(len(chain), rows)
    ours = table.error[table.level], table.error_of_error[table.level]
    theirs = float(rows[best].std_err), float(rows[best].std_err_err)
    assert abs(ours[0] - theirs[0]) < 3.0 * math.hypot(ours[1], theirs[1])
    if tau:
        exact = math.sqrt(tau / len(chain))
        for error, of_error in (ours, theirs):
            assert abs(error - exact) < SEEN * of_error
        if tau > 1.0:
            assert abs(table.error[0] - exact) > SEEN * max(ours[1], theirs[1])
