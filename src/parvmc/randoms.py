"""Random streams, one per lane, seeded by (seed, purpose, batch): a batch's walk is the same wherever it runs.

The generator is xoshiro256++ (Blackman and Vigna, ACM Trans. Math. Softw. 47, 36 (2021)): additions, shifts and
exclusive ors on four 64-bit words, which vectorise over the lanes.
"""

import math
from enum import IntEnum

import numpy as np

from parvmc.dispatch import row_function
from parvmc.vecmath import float_of, log, sine_and_cosine


class Purpose(IntEnum):
    """What a stream is for; streams of different purpose never meet."""

    PARAMETERS = 0
    WALKERS = 1
    OPTIMIZATION = 2
    PRODUCTION = 3
    PRETRAINING = 4


def generator(seed, purpose, batch=0):
    """Return a numpy Generator for work outside kernels, keyed by (seed, purpose, batch)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose), batch)))


def streams(seed, purpose, batches, lanes):
    """Return uint64[batches, 4, lanes], the state of one stream per lane; batches: the run's numbers of the batches
    wanted."""
    states = np.empty((len(batches), 4, lanes), np.uint64)
    for row, batch in enumerate(batches):
        sequence = np.random.SeedSequence(seed, spawn_key=(int(purpose), batch))
        states[row] = sequence.generate_state(4 * lanes, np.uint64).reshape(4, lanes)
    return states


_ROTATION_23, _ROTATION_41 = np.uint64(23), np.uint64(41)
_ROTATION_45, _ROTATION_19 = np.uint64(45), np.uint64(19)
_SHIFT_17, _SHIFT_12 = np.uint64(17), np.uint64(12)
_ONE = np.uint64(0x3FF0000000000000)  # the bits of 1.0


@row_function
def _next(s0, s1, s2, s3):
    """Return a number uniform in [0, 1) and the state that follows."""
    total = s0 + s3
    word = ((total << _ROTATION_23) | (total >> _ROTATION_41)) + s0
    shifted = s1 << _SHIFT_17
    s2 ^= s0
    s3 ^= s1
    value = float_of(np.int64((word >> _SHIFT_12) | _ONE)) - 1.0
    return value, s0 ^ s3, s1 ^ s2, s2 ^ shifted, (s3 << _ROTATION_45) | (s3 >> _ROTATION_19)


@row_function
def _draw(first, second, third, fourth, row):
    for lane in range(row.size):
        value, s0, s1, s2, s3 = _next(first[lane], second[lane], third[lane], fourth[lane])
        row[lane] = value
        first[lane], second[lane], third[lane], fourth[lane] = s0, s1, s2, s3


@row_function
def _draw_two(first, second, third, fourth, row, other):
    for lane in range(row.size):
        value, s0, s1, s2, s3 = _next(first[lane], second[lane], third[lane], fourth[lane])
        row[lane] = value
        value, s0, s1, s2, s3 = _next(s0, s1, s2, s3)
        other[lane] = value
        first[lane], second[lane], third[lane], fourth[lane] = s0, s1, s2, s3


@row_function
def uniform(randoms, row):
    """Fill row float64[lanes] with numbers uniform in [0, 1), multiples of 2^-52, and advance randoms uint64[4,
    lanes]."""
    _draw(randoms[0], randoms[1], randoms[2], randoms[3], row)


@row_function
def uniform_two(randoms, first, second):
    """Fill two rows, as two calls of `uniform` would, but with the state read and written once."""
    _draw_two(randoms[0], randoms[1], randoms[2], randoms[3], first, second)


@row_function
def _box_muller(first, second):
    for lane in range(first.size):
        radius = math.sqrt(-2.0 * log(1.0 - first[lane]))
        sine, cosine = sine_and_cosine(second[lane])
        first[lane] = radius * cosine
        second[lane] = radius * sine


@row_function
def normal(randoms, first, second):
    """Fill two rows float64[lanes] with independent standard normal numbers, from two uniform ones for each lane.

    r cos(2 pi v) and r sin(2 pi v), r^2 = -2 ln(1 - u) (Box and Muller, Ann. Math. Stat. 29, 610 (1958)); none is
    beyond 8.5, since 1 - u is 2^-52 or more.
    """
    uniform_two(randoms, first, second)
    _box_muller(first, second)
