"""Error bars of correlated series: blocking, autocorrelation time, split R-hat, stuck walkers.

A series is `float64[steps, chains]`: axis 0 is Monte Carlo time, axis 1 independent chains of one stationary
distribution (one chain per batch of walkers). Chains are pooled, never joined end to end: a product of two values from
different chains would count the seam as correlation. Deviations are from the mean over all chains, so a chain that sits
somewhere else than the others adds to every variance and every autocovariance.

The same input gives the same bits: sums run in a fixed order and no BLAS routine is called.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

FEWEST_STEPS = 4
# A row of the blocking table needs this many blocks: with nine the error is known to 1/sqrt(2 (9 - 1)) = 25 %.
FEWEST_BLOCKS = 9
# The level test needs more, since it takes the lag-1 autocorrelation for normal: alone at the last level, in one chain
# of white noise, it rejected 0.4 % of the time with 8 blocks, 0.6 % with 16 and 0.9 % with 32, instead of 1 %.
FEWEST_BLOCKS_TO_TEST = 32
# Levels between the first one that passes the test and the one that is quoted; `block` says why.
LEVELS_BEYOND = 2
WINDOW = 5.0
# Chains go through the FFT in groups of about this many values, so that its complex copy stays below 200 MB.
VALUES_PER_TRANSFORM = 1 << 22

# 99 % quantiles of chi squared for 1, 2, ..., 40 degrees of freedom.
CHI_SQUARED_99 = np.array([
    6.63489660, 9.21034037, 11.34486673, 13.27670414, 15.08627247, 16.81189383, 18.47530691, 20.09023503,
    21.66599433, 23.20925116, 24.72497031, 26.21696731, 27.68824961, 29.14123774, 30.57791417, 31.99992691,
    33.40866361, 34.80530573, 36.19086913, 37.56623479, 38.93217268, 40.28936044, 41.63839812, 42.97982014,
    44.31410490, 45.64168267, 46.96294212, 48.27823577, 49.58788447, 50.89218131, 52.19139483, 53.48577184,
    54.77553976, 56.06090875, 57.34207343, 58.61921450, 59.89250005, 61.16208676, 62.42812102, 63.69073975,
])  # fmt: skip


@dataclass(frozen=True, eq=False)
class BlockingTable:
    """Error of the mean over all chains, one row per block size, and the row to quote.

    Arrays [levels]: block_size (steps), blocks (per chain), error and error_of_error (units of the series). passed: the
    first level at which no correlation is seen, -1 if there is none; level: the row to quote; plateau: whether a level
    passed. Without a plateau the quoted error is the largest of the table and may still be too small.
    """

    block_size: np.ndarray
    blocks: np.ndarray
    error: np.ndarray
    error_of_error: np.ndarray
    passed: int
    level: int
    plateau: bool


def block(series):
    """Blocking analysis of the mean of a series, pooled over its chains, with an automatic choice of the block size.

    A level averages neighbours of the level before; if their number is odd, the oldest is dropped. With n blocks of b
    steps in each of C chains, N = n C, deviations d from the mean of these N blocks and T steps in all,

        s = sum d^2 / (N - 1),    error^2 = s b / (T C),    error of error = error / sqrt(2 (N - 1)).

    (Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989), eqs. 27 and 28; b/(T C) is 1/N unless blocks were dropped.)
    Rows go on while n >= 2 and N >= 9. From 9 chains on, the last row has one block per chain, all of its steps: its
    error is right whatever the correlation along a chain.

    A level passes if M_k = sum_{i >= k} e_i^2 is below the 99 % quantile of chi squared, with one degree of freedom for
    each level summed (Jonsson, Phys. Rev. E 98, 043304 (2018)). Summed are levels with n >= 2 and N >= 32. Jonsson's
    terms, N (gamma/s)^2, are not independent, since an adjacent pair of blocks contains an adjacent pair of the level
    before; white noise is then rejected up to 2 % of the time. Here z_i, the standard score of gamma/s
    (`_lag_one_score`), has correlation rho_i = sqrt(P_{i+1}/P_i)/2 with z_{i+1}, rho_i rho_{i+1} with z_{i+2}, and so
    on, P = (n - 1) C being the number of adjacent pairs; so

        e_i = (z_i - rho_i z_{i+1}) / sqrt(1 - rho_i^2),    e_last = z_last

    are independent, and the test rejects 1 % of the time from 1 to 64 chains (tests/test_statistics.py).

    The quoted level lies two beyond the first that passes, or is the last. A level passes with a correlation r of up to
    2.6/sqrt(N) left, which makes error^2 too small by a fraction 2 r = 5.2/sqrt(N), while its own uncertainty is
    1.4/sqrt(N). One level on, r is halved and N too: the bias first falls below the uncertainty at the second.
    On AR(1) series error^2 was 6 to 24 % too small at the first level, at most 6 % two beyond. If all chains together
    are shorter than 50 tau, a plateau means little: with one chain of 20 tau error^2 was half of the truth.

    series: float64[steps, chains]. Raises ValueError for fewer than 4 steps, or if a value is not finite.
    """
    deviations, scale = _deviations(_checked(series))
    steps, chains = deviations.shape
    sizes, counts, variances, scores, pairs = [], [], [], [], []
    blocks, size = deviations, 1
    while not sizes or (len(blocks) >= 2 and blocks.size >= FEWEST_BLOCKS):
        blocks = blocks - blocks.mean()
        sizes.append(size)
        counts.append(len(blocks))
        variances.append(np.sum(blocks * blocks) / (blocks.size - 1))
        if blocks.size >= FEWEST_BLOCKS_TO_TEST:
            scores.append(_lag_one_score(blocks))
            pairs.append((len(blocks) - 1) * chains)
        blocks = blocks[len(blocks) % 2 :]
        blocks = 0.5 * (blocks[::2] + blocks[1::2])
        size *= 2
    if chains >= FEWEST_BLOCKS:
        sizes.append(steps)
        counts.append(1)
        variances.append(deviations.mean(axis=0).var(ddof=1))

    block_size, counts = np.array(sizes), np.array(counts)
    error = scale * np.sqrt(np.array(variances) * block_size / (steps * chains))
    error_of_error = error / np.sqrt(2.0 * (counts * chains - 1))
    passed = 0 if scale == 0.0 else _first_to_pass(np.array(scores), np.array(pairs))
    plateau = passed >= 0
    if scale == 0.0:
        level = 0
    elif plateau:
        level = min(passed + LEVELS_BEYOND, len(error) - 1)
    else:
        level = int(np.argmax(error))
    return BlockingTable(block_size, counts, error, error_of_error, passed, level, plateau)


def autocorrelation(series):
    """Return (rho: float64[steps], window W, tau), the autocorrelation function and its integral up to the window.

        tau = 1 + 2 sum_{t=1}^{W-1} rho(t) + rho(W),    rho(t) = sum_{chain, i} d_i d_{i+t} / sum_{chain, i} d_i^2

    with deviations d from the mean over all N = T C values of C chains, and W the first window with W >= 5 max(tau, 1)
    (Sokal, in Functional Integration (1997), p. 131, section 3). The last term counts half and W is at least 5 (or all
    there is), so that an alternating series gives a tau below 1 and not a negative one. Subtracting the sample mean
    lowers every rho(t) by (1 - t/T) tau/N; the sum is put right to first order (Wolff, Comput. Phys. Commun. 156, 143
    (2004), eq. 49, for finite T). tau is at least 1/T, what is left when all but one of T steps cancel. A constant
    series gives rho = 0 beyond rho(0) = 1, W = 0 and tau = 1.

    series: float64[steps, chains]. Raises ValueError for fewer than 4 steps, or if a value is not finite.
    """
    deviations, scale = _deviations(_checked(series))
    steps, chains = deviations.shape
    if scale == 0.0:
        return np.append(1.0, np.zeros(steps - 1)), 0, 1.0
    length = 1 << (2 * steps - 1).bit_length()  # zeros behind the series keep its end from meeting its beginning
    group = max(1, VALUES_PER_TRANSFORM // length)
    power = np.zeros(length // 2 + 1)
    for first in range(0, chains, group):
        transform = np.fft.rfft(deviations[:, first : first + group], n=length, axis=0)
        power += np.sum(transform.real**2 + transform.imag**2, axis=1)
    rho = np.fft.irfft(power, n=length)[:steps]
    rho /= rho[0]
    lags = np.arange(steps)
    tau = 2.0 * np.cumsum(rho) - 1.0 - rho
    wide_enough = np.flatnonzero(lags >= WINDOW * np.maximum(tau, 1.0))
    window = int(wide_enough[0]) if len(wide_enough) else steps - 1
    lost = (1 + 2 * window - window * (window + 1) / steps) / (steps * chains)
    return rho, window, float(max(tau[window] * (1.0 + lost), 1.0 / steps))


def autocorrelation_time(series):
    """Integrated autocorrelation time tau in steps, 1 for independent values: the mean's variance is tau s / N."""
    return autocorrelation(series)[2]


def split_r_hat(series):
    """Rank-normalised split R-hat, the larger of bulk and folded; 1 when all chains agree, doubtful above 1.01.

    Each chain is cut in halves (the middle step of an odd number is left out): M chains of n steps, S = M n values in
    all. A value of rank r, ties sharing their average rank, becomes z = Phi^-1((r - 3/8)/(S + 1/4)); then

        B = n var_m(mean_m z),   W = mean_m(var_m z),   R-hat = sqrt(((n - 1)/n W + B/n) / W).

    Folded means the same for |x - median|: it finds chains that differ in width. (Vehtari, Gelman, Simpson, Carpenter,
    Buerkner, Bayesian Analysis 16, 667 (2021), eqs. 1-4 and 14, with the S + 1/4 of Blom's normal scores.) A constant
    series gives 1, different constants give infinity or nearly so. A short series gives a large value by itself: with
    tau = 3 and 64 chains 1.017 for 122 steps, 1.13 for 16.

    series: float64[steps, chains]. Raises ValueError for fewer than 4 steps, or if a value is not finite.
    """
    series = _checked(series)
    half = len(series) // 2
    halves = np.concatenate([series[:half], series[-half:]], axis=1)
    folded = np.abs(halves - np.median(halves))
    return max(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded)))


def walker_outliers(means):
    """The largest robust z-score of per-walker means and the walker it belongs to: it finds one stuck walker.

        z_w = |m_w - median| / (1.4826 median |m - median|)

    (Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993).) With 1.4826 the denominator is the standard
    deviation of normal means. Of W such means the largest z is about sqrt(2 ln W), 4.2 for 8,192: only well above that
    it means something. A median of zero (half of the means equal) gives infinity, or 0 if all are equal.

    means: float64[walkers] -> (z, index). Raises ValueError if there are none, or one is not finite.
    """
    means = np.ascontiguousarray(means, dtype=np.float64)
    if means.ndim != 1 or means.size == 0:
        raise ValueError(
            f"per-walker means have shape {means.shape}, but a list of one or more is needed: pass means[walkers]"
        )
    _refuse_non_finite(means, "per-walker means")
    distance = np.abs(means - np.median(means))
    index = int(np.argmax(distance))
    spread = 1.4826 * np.median(distance)
    if spread == 0.0:
        return (float("inf") if distance[index] > 0.0 else 0.0), index
    return float(distance[index] / spread), index


def _checked(series):
    """The series as float64[steps, chains] in C order: one layout, one order of summation."""
    series = np.ascontiguousarray(series, dtype=np.float64)
    if series.ndim != 2 or series.shape[1] == 0:
        raise ValueError(
            f"the series has shape {series.shape}, but [steps, chains] is needed: pass one chain as series[:, None]"
        )
    if len(series) < FEWEST_STEPS:
        raise ValueError(
            f"the series has {len(series)} steps, and correlation along a chain cannot be seen in fewer than "
            f"{FEWEST_STEPS}: measure more steps"
        )
    _refuse_non_finite(series, "the series")
    return series


def _refuse_non_finite(values, name):
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"{name}: {len(bad)} of {values.size} values are not finite (the first at [{where}]), and a mean over them "
            "means nothing: look for the walker or the parameters that made them"
        )


def _deviations(series):
    """Deviations from the mean in units of the largest one, and that unit; all zero and 0.0 for a constant series.

    The first value is subtracted before the mean is formed, so that a constant series leaves exact zeros.
    """
    shifted = series - series[0, 0]
    shifted -= shifted.mean()
    scale = float(np.max(np.abs(shifted)))
    return (shifted / scale if scale > 0.0 else shifted), scale


def _lag_one_score(d):
    """Standard score of the pooled lag-1 autocorrelation r = sum d_t d_{t+1} / sum d_t^2, d: float64[n, chains].

    For N = n C independent values with mean zero in the sample and P = (n - 1) C adjacent pairs,

        E r = -P / (N (N - 1)),    E r^2 = (P - 4 C (n - 3/2)/N + 3 P^2/N^2) / (N^2 - 1):

    the first for any distribution (r is minus the sum over the other pairs), the second for a normal one (moments of a
    quadratic form on the sphere; one chain gives Moran, Biometrika 35, 255 (1948)).
    """
    n, chains = d.shape
    total, pairs = d.size, (n - 1) * chains
    squares = np.sum(d * d)
    if squares == 0.0:
        return 0.0
    expected = -pairs / (total * (total - 1))
    second = (pairs - 4 * chains * (n - 1.5) / total + 3 * (pairs / total) ** 2) / (total**2 - 1)
    return (np.sum(d[1:] * d[:-1]) / squares - expected) / np.sqrt(second - expected**2)


def _first_to_pass(scores, pairs):
    """The first level whose sum of squared independent scores, itself and all above, is below the quantile; or -1."""
    if len(scores) == 0:
        return -1
    rho = 0.5 * np.sqrt(pairs[1:] / pairs[:-1])
    independent = np.append((scores[:-1] - rho * scores[1:]) / np.sqrt(1.0 - rho**2), scores[-1])
    statistic = np.cumsum(independent[::-1] ** 2)[::-1]
    passes = np.flatnonzero(statistic < CHI_SQUARED_99[: len(scores)][::-1])
    return int(passes[0]) if len(passes) else -1


def _normal_scores(x):
    """Normal quantiles of the average ranks of x, in x's shape."""
    order = np.argsort(x, axis=None)
    ordered = x.ravel()[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    ends = np.append(starts[1:], x.size)
    ranks = 0.5 * (starts + 1 + ends)
    quantile = NormalDist().inv_cdf
    distinct = np.array([quantile(p) for p in ((ranks - 0.375) / (x.size + 0.25)).tolist()])
    scores = np.empty(x.size)
    scores[order] = np.repeat(distinct, ends - starts)
    return scores.reshape(x.shape)


def _r_hat(z):
    """Potential scale reduction of z: float64[n, chains]; 1 if all values are equal."""
    n = len(z)
    between = z.mean(axis=0).var(ddof=1)
    within = z.var(axis=0, ddof=1).mean()
    if within == 0.0:
        return 1.0 if between == 0.0 else float("inf")
    return float(np.sqrt((n - 1) / n + between / within))
