"""The energy of trial states against its variance, extrapolated by a straight line to an eigenstate's, zero."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from parvmc.statistics import CHI_SQUARED_99

ROUNDS = 8  # the weights depend on the slope, and converge in three or four


@dataclass(frozen=True, eq=False)
class Line:
    """E = energy + slope V, with standard errors; chi_squared of `freedom` degrees, none for two points.

    factor: distance from zero to the middle of the points in variance, in units of their extent: above 1 or so the
    intercept is far from the points and depends on the line being one.
    """

    energy: float
    error: float
    slope: float
    slope_error: float
    chi_squared: float
    freedom: int
    factor: float

    @property
    def limit(self):
        """The chi squared that one straight line in a hundred exceeds; None for two points."""
        if not self.freedom:
            return None
        if self.freedom <= len(CHI_SQUARED_99):
            return float(CHI_SQUARED_99[self.freedom - 1])
        ninth = 2.0 / (9.0 * self.freedom)  # Wilson and Hilferty, Proc. Natl. Acad. Sci. 17, 684 (1931)
        return self.freedom * (1.0 - ninth + NormalDist().inv_cdf(0.99) * ninth**0.5) ** 3

    @property
    def is_straight(self):
        """Whether the points lie on a line as far as their errors tell: one real line in a hundred is refused."""
        return self.limit is None or self.chi_squared <= self.limit


def line(variances, energies, covariances):
    """Return the `Line` of smallest chi^2 = sum r^2 / s^2, r = E - a - k V, s^2 = s_E^2 - 2 k s_EV + k^2 s_V^2.

    variances, energies: [points]; covariances: [points, 2, 2] of each point's (energy, variance). Near zero E - E_0 is
    proportional to V where the admixture to the ground state keeps its form (Kwon, Ceperley, Martin, Phys. Rev. B 48,
    12037 (1993)). The intercept is no upper bound. Raises ValueError for fewer than two different variances.
    """
    x, y = np.asarray(variances, float), np.asarray(energies, float)
    if len(x) < 2 or np.ptp(x) <= 1e-9 * np.abs(x).max():
        raise ValueError("a line needs finished runs with two different variances at least")
    squares, k = np.asarray(covariances, float), 0.0
    for _ in range(ROUNDS):
        square = squares[:, 0, 0] - 2.0 * k * squares[:, 0, 1] + k**2 * squares[:, 1, 1]
        # rounding alone may be left of the error of an exact energy
        w = 1.0 / np.maximum(square, (1e-14 * np.abs(y).max()) ** 2)
        middle, height = np.average(x, weights=w), np.average(y, weights=w)
        spread = (w * (x - middle) ** 2).sum()
        k = float((w * (x - middle) * y).sum() / spread)
    energy = float(height - k * middle)
    chi_squared = float((w * (y - energy - k * x) ** 2).sum())
    error = float(np.sqrt(1.0 / w.sum() + middle**2 / spread))
    return Line(energy, error, k, float(spread**-0.5), chi_squared, len(x) - 2, float(middle / np.ptp(x)))
