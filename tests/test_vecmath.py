"""Functions that vectorise: right to one unit in the last place."""

import math
from fractions import Fraction

import numba
import numpy as np
import pytest

from parvmc.vecmath import exp


@numba.njit
def exp_row(values, results):
    """Fill results with exp of values, in a loop that is vectorised."""
    for index in range(values.size):
        results[index] = exp(values[index])


def exps(values):
    """Return the compiled exp of an array."""
    results = np.empty_like(values)
    exp_row(values, results)
    return results


def exact_exp(x):
    """Return e^x as a fraction good to 2^-120 relative: exp(x / 2^k) by its series, squared k times."""
    reduced, squarings = Fraction(x), 0
    while abs(reduced) > Fraction(1, 2):
        reduced, squarings = reduced / 2, squarings + 1
    total, term = Fraction(1), Fraction(1)
    for n in range(1, 45):
        term *= reduced / n
        total += term
    for _ in range(squarings):
        total = Fraction(round(total * total * 2**1200 / 2**0), 2**1200) if total > 2**-500 else total * total
    return total


def test_exp_is_right_to_one_unit_in_the_last_place():
    """Against rational arithmetic at random arguments where numbers are smallest, largest and usual."""
    generator = np.random.default_rng(1)
    arguments = np.concatenate([generator.uniform(-40, 40, 300), generator.uniform(-1e-3, 1e-3, 100)])
    for x, value in zip(arguments, exps(arguments), strict=True):
        exact = exact_exp(x)
        assert abs(Fraction(value) - exact) <= Fraction(math.ulp(value))


def test_exp_agrees_with_the_library_over_its_range():
    """The C library's exp is right to less than one unit; two of them may differ by two."""
    arguments = np.linspace(-707.9, 708.9, 200_001)
    expected = np.array([math.exp(x) for x in arguments])
    np.testing.assert_allclose(exps(arguments), expected, rtol=4.5e-16)


def test_exp_at_its_ends():
    """Beyond the range the value at the nearer end; not a number stays so; exp(0) is 1."""
    values = exps(np.array([-np.inf, -800.0, 0.0, 800.0, np.inf, np.nan]))
    assert values[0] == values[1] == pytest.approx(math.exp(-708.0))
    assert values[2] == 1.0
    assert values[3] == values[4] == pytest.approx(math.exp(709.0))
    assert math.isnan(values[5])
