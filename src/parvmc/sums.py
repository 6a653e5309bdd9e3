"""Sums whose bits depend on nothing but their terms. Pure numpy."""

import math

import numpy as np

ROWS = 64


def folds(terms, bounds, count):
    """Return float64[2, ...], partial sums whose own sums over any grouping are exact: pre-rounding in two folds.

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
        found, high, rest = np.zeros((2, *np.shape(bounds))), np.empty_like(first), np.empty_like(first)
        for term in terms:
            np.add(term, first, out=high)
            high -= first
            found[0] += high
            np.subtract(term, high, out=rest)
            rest += second
            rest -= second
            found[1] += rest
            del term  # before the next one is made
    return found


def fixed_sum(values):
    """Return the sum of float64[n] in an order that is the same on all processors, however wide their vectors are."""
    whole = len(values) // ROWS * ROWS
    return math.fsum([*values[:whole].reshape(-1, ROWS).sum(axis=0), *values[whole:]])
