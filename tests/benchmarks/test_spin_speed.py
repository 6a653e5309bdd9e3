"""The kernels of spins are as fast as promised, and what they are compared with does the same."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import contests
import numpy as np
import pytest
import spins

LEAST_RATIOS = {"proposals": 5.0, "local energies": 10.0}  # beside the scalar loop
LEAST_NETKET_RATIOS = {"proposals": 10.0, "local energies": 20.0, "derivatives": 3.0}
CASES = [
    (model, parameters, symmetry, (8,))
    for model in spins.MODELS
    for parameters in ("real", "complex")
    for symmetry in ("none", "translation")
] + [("heisenberg", "real", "translation", (4, 4))]


@pytest.mark.parametrize(("model", "parameters", "symmetry", "lattice"), CASES)
def test_scalar_loop_has_the_local_energies_and_derivatives_of_the_kernels(model, parameters, symmetry, lattice):
    """At the same spins, to rounding, with weights that are not small."""
    contest = spins.Contest(model, 2, parameters, symmetry, lattice=lattice, spread=0.4)
    contest.walkers[:] = contest.positions.transpose(0, 2, 1).reshape(spins.WALKERS, -1)
    sums = np.zeros((spins.BATCHES, spins.LANES)), np.zeros(spins.WALKERS)
    contest.kernels("local energies", 1, sums[0])
    contest.loop("local energies", 1, sums[1])
    np.testing.assert_allclose(sums[1], sums[0].ravel(), rtol=1e-10, atol=1e-10)
    assert np.ptp(sums[1]) > 1.0
    assert contest.derivative_error() < contests.ROUNDING


@pytest.mark.parametrize(("model", "parameters"), [("ising", "real"), ("heisenberg", "complex")])
def test_kernels_are_many_times_as_fast_as_the_scalar_loop(model, parameters):
    """Both sides in turn in one run; both walk the same distribution, five errors being one false alarm in a
    million."""
    contest = spins.Contest(model, 1, parameters)
    assert contest.disagreements(20)["loop"] < contests.MOST_ERRORS
    for work, least in LEAST_RATIOS.items():
        rates = contest.race(work, seconds=0.1, repeats=5)
        assert rates["kernels"][0] > least * rates["loop"][0], (work, rates)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("netket") is None, reason="NetKet, the extra `netket`, is not installed")
def test_kernels_are_as_many_times_as_fast_as_netket_as_promised(tmp_path):
    """NetKet at its fastest settings, in a process bound to one core; the command stops where energies disagree."""
    script, file = Path(spins.__file__), tmp_path / "rates.json"
    command = [sys.executable, str(script), "--quick", "--netket", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    for row in json.loads(file.read_text())["rates"]:
        assert row["ratio_netket"] > LEAST_NETKET_RATIOS[row["work"]], row


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("netket") is None, reason="NetKet, the extra `netket`, is not installed")
@pytest.mark.parametrize(("model", "parameters"), [("ising", "complex"), ("heisenberg", "real")])
def test_netket_has_the_local_energies_of_the_kernels(model, parameters):
    """At the same spins, to rounding, with weights that are not small; the Hamiltonian and psi are then the same."""
    from netket_spins import Rival

    contest = spins.Contest(model, 1, parameters, lattice=(8,), spread=0.4)
    rival = Rival(*contest.machine[:3], (8,), tries=False)
    sums = np.zeros((spins.BATCHES, spins.LANES))
    contest.kernels("local energies", 1, sums)
    rows = contest.positions.transpose(0, 2, 1).reshape(spins.WALKERS, -1)[:20]
    np.testing.assert_allclose(rival.local_energies(rows).real, sums.ravel()[:20], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(rival.squared_norms(rows), _squared_norms(contest)[:20], rtol=1e-10)


def _squared_norms(contest):
    contest.kernels("derivatives", 1)
    return np.square(contest.rows["kernels"]).sum(axis=1).ravel()
