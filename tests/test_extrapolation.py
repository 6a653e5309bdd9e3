"""The energy at zero variance: on made-up lines within its errors, and refused where there is no line."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))

from extrapolation import line

VARIANCES = np.array([0.05, 0.1, 0.2, 0.3, 0.5])
ENERGY, SLOPE, BEND = 3.0, 0.25, 0.25
SEEDS = 2000
COVARIANCE = np.array([[1e-6, 0.6e-6], [0.6e-6, 9e-6]])
"""Of (energy, variance) of each run: what the variance's error adds, SLOPE^2 9e-6, is half of the energy's own."""


def fits(bend=0.0, covariance=COVARIANCE, points=slice(None)):
    """Return a `Line` of each seed, through runs whose energies and variances scatter by COVARIANCE."""
    random, found = np.random.default_rng(7), []
    x = VARIANCES[points]
    for _ in range(SEEDS):
        noise = random.normal(size=(len(x), 2)) @ np.linalg.cholesky(COVARIANCE).T
        energies = ENERGY + SLOPE * x + bend * x**2 + noise[:, 0]
        found.append(line(x + noise[:, 1], energies, [covariance] * len(x)))
    return found


def coverage(found):
    """Return the parts of intercepts within one and two errors of the truth, and of lines refused."""
    scores = np.array([(one.energy - ENERGY) / one.error for one in found])
    refused = np.mean([not one.is_straight for one in found])
    return np.mean(np.abs(scores) < 1.0), np.mean(np.abs(scores) < 2.0), refused


def test_intercept_and_alarms_on_a_line_are_as_often_as_promised():
    """2,000 seeds: 68.3 % within an error, 95.4 % within two, 1 % refused; four standard deviations of these counts."""
    one, two, refused = coverage(fits())
    assert one == pytest.approx(0.683, abs=0.042)
    assert two == pytest.approx(0.954, abs=0.019)
    assert 0.001 < refused < 0.019


def test_without_the_errors_of_the_variances_it_would_not_be_so():
    """Control: the same runs, whose variances pass for exact, leave errors too small and many false alarms."""
    _, two, refused = coverage(fits(covariance=np.diag([COVARIANCE[0, 0] / 4, 0.0])))
    assert two < 0.85
    assert refused > 0.1


def test_a_bent_curve_is_refused():
    """Control: a bend that lifts the middle by ten errors is seen in nearly all seeds, and moves the intercept."""
    one, _, refused = coverage(fits(bend=BEND))
    assert refused > 0.95
    assert one < 0.3


def test_points_without_noise_give_the_line_itself():
    found = line(VARIANCES, ENERGY + SLOPE * VARIANCES, [COVARIANCE] * 5)
    assert (found.energy, found.slope) == pytest.approx((ENERGY, SLOPE), rel=1e-9)
    assert found.chi_squared < 1e-9
    assert found.freedom == 3
    assert found.limit == pytest.approx(11.345, abs=1e-3)


def test_the_quantile_beyond_the_table():
    """Of 58 degrees of freedom, by Wilson and Hilferty: scipy.stats.chi2.ppf(0.99, 58) is 85.9502."""
    x = np.linspace(0.1, 1.0, 60)
    assert line(x, x, [COVARIANCE] * 60).limit == pytest.approx(85.9502, rel=3e-4)


def test_two_points_are_a_line_and_say_so():
    found = line([0.1, 0.2], [3.1, 3.2], [np.diag([1e-6, 0.0])] * 2)
    assert found.energy == pytest.approx(3.0)
    assert (found.freedom, found.limit, found.is_straight) == (0, None, True)
    assert found.error == pytest.approx(np.hypot(2e-3, 1e-3))  # 2 E_1 - E_2


@pytest.mark.parametrize("variances", [[0.1], [0.1, 0.1], []])
def test_no_line_without_two_variances(variances):
    with pytest.raises(ValueError, match="two different variances"):
        line(variances, [3.0] * len(variances), [COVARIANCE] * len(variances))
