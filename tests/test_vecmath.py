"""Functions that vectorise: right to one or two units in the last place."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numba
import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from parvmc.vecmath import exp, inverse_root, log, sine_and_cosine


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


def test_exp_is_right_to_the_last_place():
    """Against rational arithmetic at random arguments where numbers are smallest, largest and usual."""
    generator = np.random.default_rng(1)
    arguments = np.concatenate([generator.uniform(-40, 40, 300), generator.uniform(-1e-3, 1e-3, 100)])
    worst = -4.489645168536567  # of ten million
    for x, value in zip([*arguments, worst], exps(np.append(arguments, worst)), strict=True):
        exact = exact_exp(x)
        assert abs(Fraction(value) - exact) <= Fraction(101, 100) * Fraction(math.ulp(value))


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


@numba.njit
def log_row(values, results):
    """Fill results with log of values, in a loop that is vectorised."""
    for index in range(values.size):
        results[index] = log(values[index])


def test_log_is_right_to_one_unit_in_the_last_place():
    """Against decimal arithmetic of 40 digits: in (0, 1], near 1 from both sides, and over the whole range."""
    generator = np.random.default_rng(1)
    parts = [generator.random(4000), 1.0 + 1e-6 * generator.uniform(-1, 1, 2000), generator.uniform(0.5, 2.0, 4000)]
    ends = [1.0, 2.0**-52, 2.0**-1022, math.sqrt(0.5), math.nextafter(math.sqrt(0.5), 0.0), 1.7e308]
    arguments = np.concatenate([*parts, np.exp(generator.uniform(-700.0, 700.0, 2000)), ends])
    results = np.empty_like(arguments)
    log_row(arguments, results)
    with localcontext(prec=40):
        for x, value in zip(arguments.tolist(), results.tolist(), strict=True):
            expected = Decimal(x).ln()
            assert abs(Decimal(value) - expected) <= Decimal(math.ulp(float(expected)))


UNITS = Decimal("1.01" if get_host_cpu_features()["fma"] else "1.5")


@numba.njit
def inverse_root_row(values, results):
    """Fill results with 1 / sqrt of values, in a loop that is vectorised."""
    for index in range(values.size):
        results[index] = inverse_root(values[index])


def test_inverse_root_is_right_to_the_last_place():
    """Against decimal arithmetic of 40 digits: two binades, where the first guess is what it ever is, the whole range,
    and above one, where rounding shows most."""
    generator = np.random.default_rng(1)
    parts = [1.0 + 3.0 * generator.random(20_000), np.exp(generator.uniform(-707.0, 707.0, 4000))]
    near = [1.0, 4.0, math.nextafter(1.0, 0.0), 1.0002545502531686, 2.0**-1021, 2.0**1021]
    arguments = np.concatenate([*parts, 1.0 + 0.02 * generator.random(20_000), near])
    results = np.empty_like(arguments)
    inverse_root_row(arguments, results)
    with localcontext(prec=40):
        for x, value in zip(arguments.tolist(), results.tolist(), strict=True):
            expected = 1 / Decimal(x).sqrt()
            assert abs(Decimal(value) - expected) <= UNITS * Decimal(math.ulp(float(expected)))


def test_inverse_root_at_its_ends():
    """Two particles in one place make a number beyond all measure; what is no number stays so."""
    results = np.empty(2)
    inverse_root_row(np.array([0.0, np.nan]), results)
    assert 1e154 < results[0] < np.inf
    assert math.isnan(results[1])


@numba.njit
def sine_and_cosine_rows(values, sines, cosines):
    """Fill both rows, in a loop that is vectorised."""
    for index in range(values.size):
        sines[index], cosines[index] = sine_and_cosine(values[index])


TWO_PI = Fraction("6.28318530717958647692528676655900576839433879875021164194988918461563281257241799725607")


def exact_sine(turns):
    """Return sin of 2 pi times a fraction: its series, exactly, after folding the angle into [-pi / 2, pi / 2]."""
    turns -= round(turns)
    turns = turns if abs(turns) <= Fraction(1, 4) else (1 if turns > 0 else -1) * Fraction(1, 2) - turns
    y = TWO_PI * turns
    term, total = y, y
    for n in range(1, 20):
        term = Fraction(round(-term * y * y / (2 * n * (2 * n + 1)) * 2**200), 2**200)
        total += term
    return total


def test_sine_and_cosine_are_right_to_two_units_in_the_last_place():
    """Against rational arithmetic in [0, 1), at the multiples of 1/64 and just above those of 1/8 among them."""
    generator = np.random.default_rng(1)
    parts = [generator.random(3000), np.arange(64) / 64, np.arange(8) / 8 + 1e-15, 1e-10 * generator.random(100)]
    arguments = np.concatenate(parts)
    sines, cosines = np.empty_like(arguments), np.empty_like(arguments)
    sine_and_cosine_rows(arguments, sines, cosines)
    for turns, *values in zip(arguments.tolist(), sines.tolist(), cosines.tolist(), strict=True):
        exact = exact_sine(Fraction(turns)), exact_sine(Fraction(turns) + Fraction(1, 4))
        for value, expected in zip(values, exact, strict=True):
            assert abs(Fraction(value) - expected) <= 2 * Fraction(math.ulp(float(expected)))
