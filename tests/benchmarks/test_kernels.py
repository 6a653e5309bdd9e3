"""The kernels are as fast as promised, and the scalar loop they are compared with is right."""

import kernels
import lanes
import numpy as np
import pytest

LEAST_RATIO = 5.0


@pytest.mark.parametrize("size", [(2, 2, 2), (4, 3, 10)])
def test_scalar_loop_has_the_local_energies_of_the_kernels(size):
    """At the same positions, to rounding, with weights that are not small."""
    contest = kernels.Contest(*size, spread=0.7)
    _, energies = contest.loop("energies", 1)
    total = lanes.local_energy(contest.system, contest.state, np.ascontiguousarray(contest.walkers.T))[1]
    np.testing.assert_allclose(energies, total, rtol=1e-10, atol=1e-10)


def test_kernels_are_five_times_as_fast_as_the_scalar_loop():
    """Moves with a local energy after every sweep, both sides in turn in one run; both walk the same distribution."""
    contest = kernels.Contest(2, 2, 2)
    assert contest.disagreement(200) < 5.0
    rates = contest.race("moves and energies", repeats=9)
    assert rates["ratio"] > LEAST_RATIO, rates
