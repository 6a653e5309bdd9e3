"""Error bars against exact results for AR(1) series, x_t = phi x_{t-1} + noise, of unit variance.

All seeds are fixed, so a test that passes keeps passing; where a band is given in standard errors, the chance that
another seed fails is stated: 4 standard errors are 6e-5 per comparison.
"""

from itertools import permutations
from statistics import NormalDist

import numpy as np
import pytest

from parvmc import statistics
from parvmc.statistics import autocorrelation_time, block, split_r_hat, walker_outliers

BAND = 4.0


def ar1(seed, phi, steps, chains, replicas=1):
    """Stationary AR(1) series of unit variance, float64[replicas, steps, chains]."""
    noise = np.random.default_rng(seed).standard_normal((replicas, steps, chains))
    noise[:, 1:] *= np.sqrt(1.0 - phi**2)
    for t in range(1, steps):
        noise[:, t] += phi * noise[:, t - 1]
    return noise


def exact_variance_of_mean(phi, steps, chains):
    t = np.arange(1, steps)
    return (1.0 + 2.0 * np.sum((1.0 - t / steps) * phi**t)) / (steps * chains)


# --- blocking -------------------------------------------------------------------------------------------------------

# (phi, steps, chains): from one chain to many, correlated from not at all to 1/40 of the series
AR1_CASES = [(0.0, 4096, 1), (0.5, 4096, 1), (0.9, 4096, 8), (0.99, 8192, 8), (0.5, 122, 64), (0.9, 1000, 64)]


@pytest.mark.parametrize(("phi", "steps", "chains"), AR1_CASES)
def test_blocking_finds_the_exact_error_of_the_mean(phi, steps, chains):
    replicas = 200
    exact = exact_variance_of_mean(phi, steps, chains)
    series = ar1(int(1000 * phi) + chains, phi, steps, chains, replicas)
    tables = [block(x) for x in series]
    assert np.mean([table.plateau for table in tables]) > 0.97

    def agrees(squared_errors):
        ratio = squared_errors / exact
        mean, standard_error = np.mean(ratio), np.std(ratio) / np.sqrt(replicas)
        # Correlation that the level test cannot see leaves error^2 up to 5 % small; besides that, 4 standard errors.
        unbiased = -0.06 - BAND * standard_error < mean - 1.0 < BAND * standard_error
        inside = np.mean(series.mean(axis=(1, 2)) ** 2 < squared_errors)
        return bool(unbiased), bool(abs(inside - 0.6827) < BAND * np.sqrt(0.6827 * 0.3173 / replicas))

    assert agrees(np.array([table.error[table.level] for table in tables]) ** 2) == (True, True)
    naive = series.var(axis=(1, 2)) / (steps * chains)
    assert agrees(naive) == ((True, True) if phi == 0.0 else (False, False))


@pytest.mark.parametrize("phi", [0.5, 0.9, 0.99])
def test_the_row_of_chain_means_is_right_however_long_the_correlation(phi):
    replicas, steps, chains = 200, 61, 32
    rows = [block(x) for x in ar1(7, phi, steps, chains, replicas)]
    assert all(row.block_size[-1] == steps and row.blocks[-1] == 1 for row in rows)
    ratio = np.array([row.error[-1] ** 2 for row in rows]) / exact_variance_of_mean(phi, steps, chains)
    assert abs(np.mean(ratio) - 1.0) < BAND * np.sqrt(2.0 / (chains - 1) / replicas)


def test_the_error_of_the_error_is_the_scatter_of_the_error():
    rows = [block(x) for x in ar1(8, 0.0, 64, 8, 400)]
    for level in range(len(rows[0].error)):
        scatter = np.std([row.error[level] for row in rows])
        # The scatter of 400 values is known to 1/sqrt(800) = 3.5 %.
        assert abs(scatter / np.mean([row.error_of_error[level] for row in rows]) - 1.0) < BAND / np.sqrt(800)


def naive_block(series):
    """Blocking in plain loops: the rows (block size, blocks, error^2) and the first level that passes."""
    steps, chains = len(series), len(series[0])
    rows, scores, pairs = [], [], []
    columns, size = [[row[c] for row in series] for c in range(chains)], 1
    while size == 1 or (len(columns[0]) >= 2 and len(columns[0]) * chains >= 9):
        n = len(columns[0])
        total = n * chains
        mean = sum(sum(column) for column in columns) / total
        squares = products = 0.0
        for column in columns:
            for t in range(n):
                squares += (column[t] - mean) ** 2
                if t + 1 < n:
                    products += (column[t] - mean) * (column[t + 1] - mean)
        rows.append((size, n, squares / (total - 1) * size / (steps * chains)))
        if total >= 32:
            p = (n - 1) * chains
            first = -p / (total * (total - 1))
            second = (p - 4 * chains * (n - 1.5) / total + 3 * p * p / total**2) / (total**2 - 1)
            scores.append((products / squares - first) / (second - first**2) ** 0.5)
            pairs.append(p)
        columns = [column[n % 2 :] for column in columns]
        columns = [[(c[2 * i] + c[2 * i + 1]) / 2 for i in range(n // 2)] for c in columns]
        size *= 2
    if chains >= 9:
        means = [sum(row[c] for row in series) / steps for c in range(chains)]
        mean = sum(means) / chains
        rows.append((steps, 1, sum((m - mean) ** 2 for m in means) / (chains - 1) / chains))
    return rows, naive_first_to_pass(scores, pairs)


def naive_first_to_pass(scores, pairs):
    passed = -1
    for k in range(len(scores) - 1, -1, -1):
        top = range(k, len(scores))
        correlation = [[2.0 ** -abs(i - j) * (pairs[max(i, j)] / pairs[min(i, j)]) ** 0.5 for j in top] for i in top]
        statistic = np.dot(scores[k:], np.linalg.solve(correlation, scores[k:]))
        if statistic < statistics.CHI_SQUARED_99[len(scores) - k - 1]:
            passed = k
    return passed


def test_the_level_test_is_that_of_the_inverted_correlation_matrix():
    pairs = np.array([61, 30, 14, 6, 2, 1]) * 64  # 62 blocks in each of 64 chains, and so on down
    for scores in 2.0 * np.random.default_rng(21).standard_normal((500, 6)):
        assert statistics._first_to_pass(scores, pairs) == naive_first_to_pass(scores, pairs)


@pytest.mark.parametrize(("steps", "chains"), [(4, 1), (4, 64), (5, 3), (16, 64), (61, 1), (122, 12), (333, 2)])
def test_the_table_is_that_of_plain_loops(steps, chains):
    for phi in (0.0, 0.6):
        series = 3.0 + 0.1 * ar1(steps + chains, phi, steps, chains)[0]
        table = block(series)
        rows, passed = naive_block(series.tolist())
        assert list(zip(table.block_size, table.blocks, strict=True)) == [(size, n) for size, n, _ in rows]
        np.testing.assert_allclose(table.error**2, [variance for _, _, variance in rows], rtol=1e-12)
        np.testing.assert_allclose(table.error_of_error, table.error / np.sqrt(2 * (table.blocks * chains - 1)))
        assert table.passed == passed
        assert table.plateau == (passed >= 0)
        assert table.level == (min(passed + 2, len(rows) - 1) if passed >= 0 else np.argmax(table.error))


SHAPES = [(32, 1), (256, 1), (4096, 1), (16, 8), (122, 8), (4, 64), (16, 64), (122, 64)]


def rejections(series):
    """How often the first level fails its test, over replicas[replicas, steps, chains]."""
    return float(np.mean([block(x).passed != 0 for x in series]))


def averaged(series, size):
    replicas, steps, chains = series.shape
    return series.reshape(replicas, steps // size, size, chains).mean(axis=2)


@pytest.mark.parametrize(("steps", "chains"), [(256, 1), (64, 8), (16, 64)])
def test_one_percent_of_uncorrelated_series_are_rejected(steps, chains):
    replicas = 2000
    rate = rejections(ar1(31, 0.0, steps, chains, replicas))
    # Measured 0.0100, 0.0075 and 0.0100; 4 standard errors of the binomial are 0.0089.
    assert abs(rate - 0.01) < BAND * np.sqrt(0.01 * 0.99 / replicas)
    # The control: with a correlation of 0.5 between neighbours no series passes at its first level.
    assert rejections(ar1(32, 0.5, steps, chains, 100)) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("blocks", "chains"), SHAPES)
def test_one_percent_of_uncorrelated_series_are_rejected_to_three_digits(blocks, chains):
    part, parts = 200, 100
    rate = np.mean([rejections(ar1([33, i], 0.0, blocks, chains, part)) for i in range(parts)])
    # Measured, in the order of SHAPES: 0.0086, 0.0089, 0.0100, 0.0080, 0.0095, 0.0087, 0.0093, 0.0097.
    assert abs(rate - 0.01) < BAND * np.sqrt(0.01 * 0.99 / (part * parts))  # 0.0028


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "size"), [(0.5, 128), (0.8, 256)])
@pytest.mark.parametrize(("blocks", "chains"), [(64, 1), (32, 8), (16, 64)])
def test_one_percent_of_ar1_series_are_rejected_where_their_correlation_is_gone(phi, size, blocks, chains):
    # What is left between blocks, phi/(1 - phi^2)/size < 0.009, shifts no score by more than 0.3.
    # Measured for 64 x 1, 32 x 8 and 16 x 64: 0.0105, 0.0093, 0.0105 (phi 0.5) and 0.0065, 0.0090, 0.0115 (phi 0.8).
    part, parts = 50, 80
    rate = np.mean([rejections(averaged(ar1([34, i], phi, size * blocks, chains, part), size)) for i in range(parts)])
    assert abs(rate - 0.01) < BAND * np.sqrt(0.01 * 0.99 / (part * parts))  # 0.0063


@pytest.mark.slow
def test_without_the_correlation_between_levels_the_test_would_reject_too_often():
    replicas, steps, chains = 6000, 1024, 4
    plain = 0
    for i in range(replicas):
        x, statistic, levels = ar1([35, i], 0.0, steps, chains)[0], 0.0, 0
        while len(x) >= 8:
            statistic += statistics._lag_one_score(x - x.mean()) ** 2
            levels += 1
            x = 0.5 * (x[::2] + x[1::2])
        plain += statistic > statistics.CHI_SQUARED_99[levels - 1]
    assert plain / replicas > 0.01 + BAND * np.sqrt(0.01 * 0.99 / replicas)


def test_the_lag_one_score_has_mean_zero_and_variance_one():
    # Exactly zero on average over all orders of six skewed numbers, in one chain and in two.
    values = np.array([0.0, 1.0, 2.0, 4.0, 9.0, 20.0])
    for shape in ((6, 1), (3, 2)):
        scores = [statistics._lag_one_score((np.array(p) - 6.0).reshape(shape)) for p in permutations(values)]
        assert abs(np.mean(scores)) < 1e-12
    # Three normal numbers lie anywhere on a circle about their mean with equal chance: the variance is exactly one.
    angles = 2.0 * np.pi / 16 * (np.arange(16)[:, None, None] + np.array([0.0, 1 / 3, 2 / 3])[:, None] * 16)
    scores = [statistics._lag_one_score(d) for d in np.cos(angles)]
    assert abs(np.mean(scores)) < 1e-12
    assert abs(np.var(scores) - 1.0) < 1e-12
    # For more numbers, to 4 standard errors; the kurtosis of so few blocks stays below 4.
    for steps, chains in ((8, 1), (3, 4), (2, 16)):
        x = ar1(35, 0.0, steps, chains, 20000)
        scores = [statistics._lag_one_score(y - y.mean()) for y in x]
        assert abs(np.var(scores) - 1.0) < BAND * np.sqrt(3.0 / 20000)


def test_quantiles_of_chi_squared():
    scipy_stats = pytest.importorskip("scipy.stats")
    np.testing.assert_allclose(statistics.CHI_SQUARED_99, scipy_stats.chi2.ppf(0.99, np.arange(1, 41)), atol=6e-9)


def test_a_chain_stuck_elsewhere_leaves_no_plateau_and_the_error_of_the_chain_means():
    series = ar1(36, 0.5, 1024, 64)[0] + np.random.default_rng(37).standard_normal(64)
    table = block(series)
    assert not table.plateau
    assert table.passed == -1
    assert table.level == len(table.error) - 1
    assert table.error[table.level] == pytest.approx(np.std(series.mean(axis=0), ddof=1) / 8.0, rel=1e-12)


# --- autocorrelation time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(("steps", "chains", "replicas"), [(16384, 1, 16), (4096, 8, 16)])
def test_the_autocorrelation_time_of_ar1_is_that_of_its_formula(phi, steps, chains, replicas):
    exact = (1.0 + phi) / (1.0 - phi)
    taus = np.array([autocorrelation_time(x) for x in ar1(41, phi, steps, chains, replicas)])
    # The finite window loses less than 1 % (positive phi) or 3 % (negative phi); besides, 4 standard errors.
    allowed = BAND * np.std(taus, ddof=1) / np.sqrt(replicas) + (0.01 if phi >= 0 else 0.05) * exact
    assert abs(np.mean(taus) - exact) < allowed
    assert (abs(1.0 - exact) < allowed) == (phi == 0.0)  # the control: tau = 1 fails wherever there is correlation


@pytest.mark.parametrize(("phi", "steps", "chains"), [(0.3, 50, 1), (0.8, 200, 5), (0.95, 20, 12)])
def test_the_autocorrelation_time_is_that_of_plain_loops(phi, steps, chains):
    series = 5.0 + ar1(42, phi, steps, chains)[0]
    d = series - series.mean()
    rho = [sum(d[i, c] * d[i + t, c] for c in range(chains) for i in range(steps - t)) for t in range(steps)]
    rho = [r / rho[0] for r in rho]
    for window in range(steps):
        tau = 1.0 + 2.0 * sum(rho[1:window]) + rho[window]
        if window >= 5.0 * max(tau, 1.0):
            break
    lost = sum((1.0 - abs(t) / steps) / (steps * chains) for t in range(-window, window + 1))
    assert autocorrelation_time(series) == pytest.approx(tau * (1.0 + lost), rel=1e-12)
    function, width, time = statistics.autocorrelation(series)
    assert function == pytest.approx(rho, rel=1e-9, abs=1e-12)
    assert (width, time) == (window, autocorrelation_time(series))


def test_the_transform_in_groups_of_chains_is_the_transform_at_once(monkeypatch):
    series = ar1(43, 0.7, 300, 10)[0]
    at_once = autocorrelation_time(series)
    monkeypatch.setattr(statistics, "VALUES_PER_TRANSFORM", 3 * 1024)
    assert autocorrelation_time(series) == pytest.approx(at_once, rel=1e-12)


def test_an_alternating_series_has_a_short_but_positive_time():
    alternating = np.tile([[1.0], [-1.0]], (50, 3))
    assert 0.0 < autocorrelation_time(alternating) < 0.1


# --- split R-hat ----------------------------------------------------------------------------------------------------


def naive_r_hat(series):
    """Eqs. 1-4 and 14 of Vehtari et al. (2021) in plain loops."""
    steps, half = len(series), len(series) // 2
    chains = [[row[c] for row in series] for c in range(len(series[0]))]
    chains = [part for chain in chains for part in (chain[:half], chain[steps - half :])]
    everything = sorted(x for chain in chains for x in chain)
    size = len(everything)
    median = (everything[(size - 1) // 2] + everything[size // 2]) / 2
    answers = []
    for values in (chains, [[abs(x - median) for x in chain] for chain in chains]):
        everything = [x for chain in values for x in chain]
        z = []
        for chain in values:
            z.append([])
            for x in chain:
                rank = sum(y < x for y in everything) + (sum(y == x for y in everything) + 1) / 2
                z[-1].append(NormalDist().inv_cdf((rank - 3 / 8) / (size + 1 / 4)))
        means = [sum(chain) / half for chain in z]
        mean = sum(means) / len(means)
        between = half / (len(means) - 1) * sum((m - mean) ** 2 for m in means)
        within = 0.0
        for chain, m in zip(z, means, strict=True):
            within += sum((x - m) ** 2 for x in chain) / (half - 1) / len(means)
        answers.append((((half - 1) / half * within + between / half) / within) ** 0.5)
    return max(answers)


@pytest.mark.parametrize(("steps", "chains"), [(4, 1), (17, 3), (60, 4)])
@pytest.mark.parametrize("ties", [False, True])
def test_r_hat_is_that_of_plain_loops(steps, chains, ties):
    series = 2.0 * ar1(51, 0.5, steps, chains)[0]
    if ties:
        series = np.round(series)
    assert split_r_hat(series) == pytest.approx(naive_r_hat(series.tolist()), rel=1e-12)


def test_r_hat_is_one_for_good_chains_and_not_for_bad_ones():
    good = ar1(52, 0.5, 4000, 8)[0]
    assert abs(split_r_hat(good) - 1.0) < 0.003
    assert abs(split_r_hat(np.exp(5.0 * good)) - 1.0) < 0.003  # ranks do not mind heavy tails

    shifted, wide, drifting = good.copy(), good.copy(), good[:, :1].copy()
    shifted[:, 3] += 1.0
    wide[:, 3] *= 2.0
    drifting[:, 0] += np.linspace(0.0, 1.0, 4000)
    assert split_r_hat(shifted) > 1.01
    assert split_r_hat(wide) > 1.01
    assert split_r_hat(drifting) > 1.01
    bulk = statistics._r_hat(statistics._normal_scores(np.concatenate([wide[:2000], wide[2000:]], axis=1)))
    assert bulk < 1.005  # only the folded half sees a difference in width


def test_a_short_series_makes_r_hat_large_by_itself():
    # tau = 3. With n = 61 steps per half, R-hat^2 is about 1 + tau/n - 1/n = 1.033; with n = 8, 1.17.
    assert 1.010 < split_r_hat(ar1(53, 0.5, 122, 64)[0]) < 1.025
    assert 1.05 < split_r_hat(ar1(54, 0.5, 16, 64)[0]) < 1.20
    assert split_r_hat(ar1(55, 0.5, 6000, 64)[0]) < 1.001


def test_chains_that_do_not_move():
    assert split_r_hat(np.full((10, 3), 0.1)) == 1.0
    assert split_r_hat(np.tile([1.0, 2.0], (10, 1))) > 1e6


# --- short series, stuck walkers, unusual input -----------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "chains"), [(122, 64), (16, 64)])
def test_short_series_give_sane_errors(steps, chains):
    replicas = 200
    series = ar1(61, 0.5, steps, chains, replicas)
    exact = exact_variance_of_mean(0.5, steps, chains)
    tables = [block(x) for x in series]
    assert np.mean([table.plateau for table in tables]) > 0.9
    assert abs(np.mean([table.error[table.level] ** 2 for table in tables]) / exact - 1.0) < 0.08
    # tau of the mean of a short series is smaller than that of a long one: 2.75 instead of 3 at 16 steps.
    taus = [autocorrelation_time(x) for x in series]
    assert abs(np.mean(taus) / (exact * steps * chains) - 1.0) < 0.05


def test_a_stuck_walker_is_found_among_thousands():
    means = np.random.default_rng(71).standard_normal(8192)
    z, _ = walker_outliers(means)
    assert 3.0 < z < 6.0  # of 8,192 normal numbers the largest lies here but once in 10^4
    means[4321] = -20.0
    z, index = walker_outliers(5.0 + 1e-3 * means)
    assert index == 4321
    assert z == pytest.approx(20.0, rel=0.05)
    assert walker_outliers(means.reshape(64, 128).mean(axis=1))[0] < 4.0  # the means of 64 batches hide it
    assert walker_outliers(np.full(5, 0.1)) == (0.0, 0)
    assert walker_outliers([1.0, 1.0, 2.0, 1.0]) == (np.inf, 2)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e300])
def test_a_constant_series_has_no_error(value):
    series = np.full((1000, 7), value)
    table = block(series)
    assert (table.plateau, table.level, table.passed) == (True, 0, 0)
    assert not table.error.any()
    assert not table.error_of_error.any()
    assert autocorrelation_time(series) == 1.0
    assert split_r_hat(series) == 1.0


def test_results_scale_with_the_series():
    series = ar1(81, 0.5, 256, 8)[0]
    table = block(series)
    for factor in (2.0**-600, 2.0**600):
        scaled = block(factor * series)
        np.testing.assert_allclose(scaled.error, factor * table.error, rtol=1e-12)
        assert (scaled.level, scaled.passed) == (table.level, table.passed)
        assert autocorrelation_time(factor * series) == pytest.approx(autocorrelation_time(series))


def test_the_same_series_gives_the_same_bits_in_any_layout():
    series = ar1(82, 0.8, 500, 20)[0]
    for same in (series.copy(), np.asfortranarray(series), np.repeat(series, 2, axis=1)[:, ::2]):
        assert block(same).error.tobytes() == block(series).error.tobytes()
        assert autocorrelation_time(same) == autocorrelation_time(series)
        assert split_r_hat(same) == split_r_hat(series)


@pytest.mark.parametrize("function", [block, autocorrelation_time, split_r_hat])
def test_series_that_cannot_be_judged_are_refused(function):
    with pytest.raises(ValueError, match=r"3 steps.*measure more steps"):
        function(np.zeros((3, 64)))
    with pytest.raises(ValueError, match=r"series\[:, None\]"):
        function(np.zeros(100))
    for bad in (np.nan, np.inf):
        series = np.zeros((10, 4))
        series[7, 2] = bad
        with pytest.raises(ValueError, match=r"1 of 40 values.*\[7, 2\]"):
            function(series)


def test_walker_means_that_cannot_be_judged_are_refused():
    with pytest.raises(ValueError, match="per-walker means"):
        walker_outliers(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="not finite"):
        walker_outliers([0.0, np.nan])
