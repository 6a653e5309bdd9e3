"""Random streams: the published generator, one independent stream per lane."""

import numba
import numpy as np

from parvmc.randoms import Purpose, generator, streams, uniform


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
