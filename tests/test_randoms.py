"""Random streams: the published generator, one independent stream per lane."""

import math

import numba
import numpy as np

from parvmc.randoms import Purpose, generator, normal, streams, uniform


@numba.njit
def draw(states, rows):
    """Fill each row with the next uniform numbers of all lanes."""
    for index in range(rows.shape[0]):
        uniform(states, rows[index])


def xoshiro(words, count):
    """Yield the 64-bit outputs of xoshiro256++ as its authors' C code has it, with Python's integers."""
    mask = 2**64 - 1

    def rotated(x, k):
        return ((x << k) | (x >> (64 - k))) & mask

    s = [int(word) for word in words]
    for _ in range(count):
        yield (rotated((s[0] + s[3]) & mask, 23) + s[0]) & mask
        t = (s[1] << 17) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotated(s[3], 45)


def test_generator_is_the_published_one():
    """Every lane gives the top 52 bits of xoshiro256++."""
    states = streams(7, Purpose.WALKERS, [3], 8)[0]
    words = states.copy()
    rows = np.empty((20, 8))
    draw(states, rows)
    for lane in range(8):
        expected = [(output >> 12) / 2**52 for output in xoshiro(words[:, lane], 20)]
        np.testing.assert_array_equal(rows[:, lane], expected)


def test_streams_depend_on_seed_purpose_batch_and_lane_alone():
    """A batch's streams are the same whichever batches are asked for with it, and no two are alike."""
    together = streams(7, Purpose.OPTIMIZATION, range(4), 16)
    np.testing.assert_array_equal(together[2:], streams(7, Purpose.OPTIMIZATION, [2, 3], 16))
    others = [streams(7, Purpose.PRODUCTION, range(4), 16), streams(8, Purpose.OPTIMIZATION, range(4), 16)]
    words = np.concatenate([together, *others]).transpose(0, 2, 1).reshape(-1, 4)
    assert len({tuple(row) for row in words.tolist()}) == len(words)
    assert generator(1, Purpose.WALKERS, 0).random() != generator(1, Purpose.WALKERS, 1).random()


def test_numbers_are_uniform_and_lanes_are_independent():
    """Chi-square of 64 bins and the largest correlation of 120 pairs of lanes, each with a false-alarm rate below
    1e-4."""
    states = streams(1, Purpose.PRODUCTION, [0], 16)[0]
    rows = np.empty((20_000, 16))
    draw(states, rows)
    counts = np.bincount((rows.ravel() * 64).astype(int), minlength=64)
    chi_square = ((counts - rows.size / 64) ** 2).sum() / (rows.size / 64)
    assert chi_square < 63 + 4.5 * np.sqrt(2 * 63)
    correlations = np.corrcoef(rows.T)[np.triu_indices(16, 1)] * np.sqrt(len(rows))
    assert np.abs(correlations).max() < 5.0
    serial = ((rows[1:] - 0.5) * (rows[:-1] - 0.5)).mean() * 12 * np.sqrt(rows.size)
    assert abs(serial) < 4.0


@numba.njit
def draw_normal(states, first, second):
    """Fill each pair of rows with the next normal numbers of all lanes."""
    for index in range(first.shape[0]):
        normal(states, first[index], second[index])


def normals(count, lanes):
    """Return float64[2, count, lanes], what `normal` fills its two rows with."""
    rows = np.empty((2, count, lanes))
    draw_normal(streams(1, Purpose.PRODUCTION, [0], lanes)[0], rows[0], rows[1])
    return rows


def test_normal_numbers_are_normal():
    """Four moments, and Kolmogorov and Smirnov's distance, of 2^20 numbers; false alarms below 1e-4 in all."""
    values = normals(8192, 64).ravel()
    for power, mean, square in ((1, 0.0, 1.0), (2, 1.0, 3.0), (3, 0.0, 15.0), (4, 3.0, 105.0)):
        error = math.sqrt((square - mean**2) / values.size)
        assert abs((values**power).mean() - mean) < 4.5 * error
    values.sort()
    expected = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in values])
    steps = np.arange(values.size + 1) / values.size
    distance = max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max())
    assert distance * math.sqrt(values.size) < 2.4  # 2 exp(-2 2.4^2) = 2e-5


def test_normal_numbers_are_independent():
    """Of each other, of their squares, and from draw to draw, row to row and lane to lane: below 5 standard errors."""
    rows = normals(8192, 16)
    columns = np.concatenate([rows[0].T, rows[1].T])
    for values in (columns, columns**2, np.abs(columns[:, 1:]) * np.sign(columns[:, :-1])):
        scores = np.corrcoef(values)[np.triu_indices(32, 1)] * math.sqrt(values.shape[1])
        assert np.abs(scores).max() < 5.0
    for power in (1, 2):
        values = columns**power
        deviations = values - values.mean()
        serial = (deviations[:, 1:] * deviations[:, :-1]).mean() / deviations.var()
        assert abs(serial) * math.sqrt(values.size) < 4.5


def test_normal_numbers_are_box_and_mullers():
    """From the same uniform numbers by the library's functions."""
    states = streams(7, Purpose.WALKERS, [3], 8)[0]
    uniforms, found = np.empty((2, 8)), np.empty((2, 8))
    draw(states.copy(), uniforms)
    draw_normal(states, found[:1], found[1:])
    radius = np.sqrt(-2.0 * np.log(1.0 - uniforms[0]))
    expected = [radius * np.cos(2.0 * np.pi * uniforms[1]), radius * np.sin(2.0 * np.pi * uniforms[1])]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
