"""Sums whose bits depend on nothing but their terms. Pure numpy."""

import math

import numpy as np

ROWS = 64
CACHED = 2**19  # bytes of terms that are added at a time


def in_groups(terms):
    """Yield the terms of an array float64[n, ...], as many at a time as stay in the cache."""
    each = per_group(terms[:1].nbytes)
    for first in range(0, len(terms), each):
        yield terms[first : first + each]


def per_group(size):
    """Return how many terms of so many bytes make a group; no bit depends on it."""
    return max(1, CACHED // max(size, 1))


def folds(groups, bounds, count):
    """Return float64[2, ...], partial sums whose own sums over any grouping are exact: pre-rounding in two folds.

    groups: an iterable of arrays float64[n, ...] of n terms each; count: at least of all terms on all ranks.

    sigma = 1.5 * 2^e with 2^e >= count * bound: (x + sigma) - sigma is a multiple of 2^(e - 52), of which any
    partial sum is exact, so that their order cannot matter; the remainders are summed in the same way. Both
    together are off by 2^-52 of the largest sum of magnitudes, at the most.
    Demmel and Nguyen, Fast Reproducible Floating-Point Summation, ARITH 21 (2013); Rump, Ogita and Oishi, SIAM J.
    Sci. Comput. 31, 189 (2008).
    """
    with np.errstate(invalid="ignore", over="ignore"):
        exponent = np.maximum(np.frexp(bounds * count)[1], -900)  # terms below 2^-900 leave no bits to keep
        first = np.where(np.isfinite(bounds), np.ldexp(1.5, exponent), np.nan)
        second = np.ldexp(1.5, exponent - 53 + math.ceil(math.log2(count)) + 1)
        del exponent  # bounds can be as many as the elements of a large matrix
        found = np.zeros((2, *np.shape(bounds)))
        for group in groups:
            high = group + first
            high -= first
            found[0] += _total(high)
            np.subtract(group, high, out=high)
            high += second
            high -= second
            found[1] += _total(high)
            del group, high  # before the next ones are made
    return found


def _total(terms):
    """Return the sum over the first axis, without one more array where there is nothing to add."""
    return terms[0] if len(terms) == 1 else terms.sum(axis=0)


def fixed_sum(values):
    """Return the sum of float64[n] in an order that is the same on all processors, however wide their vectors are."""
    whole = len(values) // ROWS * ROWS
    return math.fsum([*values[:whole].reshape(-1, ROWS).sum(axis=0), *values[whole:]])
