"""The parts of an optimisation step are all measured, and NetKet's step is the same work."""

import importlib.util

import contests
import pytest
import steps


@pytest.mark.slow
def test_parts_of_a_step_make_up_the_step(tmp_path):
    """They are timed apart from it, so that they need not add up to it; half of it is the least, twice the most."""
    row = steps.measure("two electrons, H = 2", tmp_path, False, repeats=1)
    parts = [row[part] for part in steps.PARTS if part != "rest"]
    assert min(parts) >= 0.0
    assert min(row[part] for part in ("move", "sums", "solve")) > 0.0
    assert 0.5 < sum(parts) / row["whole"] < 2.0
    assert (tmp_path / "run.ckpt.h5").exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("netket") is None, reason="NetKet, the extra `netket`, is not installed")
@pytest.mark.parametrize("name", steps.SYSTEMS)
def test_netket_begins_with_the_same_energy(name, tmp_path):
    """At the same parameters: then psi, the Hamiltonian and the distribution of the walkers are the same."""
    from netket_steps import rival_of

    run = steps.Run(*steps.SYSTEMS[name], tmp_path)
    assert steps.errors_apart(run, rival_of(run.simulation, run.start)) < contests.MOST_ERRORS
