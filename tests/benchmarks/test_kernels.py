"""The kernels are as fast as promised, and the scalar loops they are compared with are right."""

import contests
import correlated
import lanes
import native_loop
import numpy as np
import pytest

LEAST_RATIOS = {(2, 2, 2): 10.0, (2, 2, 8): 10.0, (2, 2, 32): 8.0, (10, 3, 10): 8.0, (50, 3, 20): 7.0}
"""Times the loop in C++, by (N, D, H): moves with a local energy after every sweep."""
LEAST_RATIO_ANYWHERE = 5.0


@pytest.mark.parametrize("size", [(2, 2, 2), (4, 3, 10)])
def test_scalar_loops_have_the_local_energies_and_derivatives_of_the_kernels(size):
    """At the same positions, to rounding, with weights that are not small."""
    contest = contests.electrons(*size, spread=0.7)
    for side, walkers in contest.walkers.items():
        _, energies = contest.work(side, "energies", 1)
        total = lanes.local_energy(contest.system, contest.state, np.ascontiguousarray(walkers.T))[1]
        np.testing.assert_allclose(energies, total, rtol=1e-10, atol=1e-10)
    assert contest.derivative_error() < contests.ROUNDING


@pytest.mark.parametrize("make", [lambda: correlated.pade(spread=0.5), correlated.hard_spheres])
def test_scalar_loop_over_pairs_has_the_local_energies_of_the_kernels(make):
    """At the same positions, to rounding, with a Pade-Jastrow factor and with that of hard spheres."""
    contest = make()
    _, energies = contest.work("scalar", "energies", 1)
    total = lanes.local_energy(contest.system, contest.state, np.ascontiguousarray(contest.walkers["scalar"].T))[1]
    np.testing.assert_allclose(energies, total, rtol=1e-10, atol=1e-10)
    assert contest.disagreement(100) < contests.MOST_ERRORS


def test_kernels_are_five_times_as_fast_as_the_scalar_loop():
    """Moves with a local energy after every sweep, all sides in turn in one run; all walk the same distribution."""
    contest = contests.electrons(2, 2, 2)
    assert contest.disagreement(200) < contests.MOST_ERRORS
    rates = contest.race("moves and energies", repeats=9)
    assert rates["ratio_scalar"] > LEAST_RATIO_ANYWHERE, rates


@pytest.mark.slow
@pytest.mark.skipif(native_loop.compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("size", LEAST_RATIOS)
def test_kernels_are_many_times_as_fast_as_a_loop_in_cpp(size):
    """With vectors of 512 bits; a machine with narrower ones has less to gain.

    The best of three medians, a few seconds each: what else runs on a shared machine slows vectors more than scalars,
    at times for minutes on end.
    """
    contest = contests.electrons(*size)
    assert contest.disagreement(200) < contests.MOST_ERRORS
    found = [contest.race("moves and energies", repeats=9)["ratio_native"] for _ in range(3)]
    assert max(found) > LEAST_RATIOS[size], found
