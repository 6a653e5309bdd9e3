"""What method = "auto" goes by in a run; tests/test_reconfiguration.py has the rule."""

from dataclasses import fields

import pytest
from conftest import TWO_ELECTRONS
from ranks import on_ranks

from parvmc import config, optimization
from parvmc.simulation import Simulation
from parvmc.starting import starting_parameters
from parvmc.values import Sizes


@pytest.mark.mpi
def test_auto_knows_neither_ranks_nor_time(monkeypatch):
    """Whatever the number of ranks and the clocks say, a deck's route is that of its parameters, samples and memory.

    The choice is asked for on worlds of 1 to 4 ranks with clocks that raise; other samples or memory change it
    (control).
    """
    assert {field.name for field in fields(Sizes)} == {"parameters", "samples", "is_complex"}

    def no_clock(*arguments):
        raise AssertionError("a clock was asked")

    def chosen(world, *overrides):
        deck = config.resolved(config.loads(f"{TWO_ELECTRONS}hidden = 40\n[sampler]\nwalkers = 512\n", overrides))
        simulation = Simulation(deck, world, starting_parameters(deck))
        return optimization.method(deck, simulation.state, simulation.vector.size).method

    less = ("optimizer.memory=0.01", "sampler.lanes=16", "sampler.walkers=64")
    expected = {(): "dense", less[1:]: "minsr", less[:1]: "dense", ("optimizer.memory=1e-4",): "cg"}
    for name in ("time", "monotonic", "perf_counter", "process_time"):
        monkeypatch.setattr(f"parvmc.optimization.time.{name}", no_clock)
    for overrides, method in expected.items():
        for size in (1, 2, 4):
            found = on_ranks(size, lambda world, given=overrides: chosen(world, *given))
            assert found == [method] * size
