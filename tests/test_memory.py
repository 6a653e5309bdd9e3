"""The memory that `--check` states is what runs take: their peak over that of the same deck at its smallest."""

from dataclasses import replace

import peak_memory
import pytest

from parvmc import config, declarations
from parvmc.memory import memory
from parvmc.starting import starting_parameters
from parvmc.states.product import TrialState

WITHIN = 0.2
SMALLEST = """
[sampler]
lanes = 128
walkers = 256
equilibration = 2
[optimizer]
iterations = 2
samples = 256
[production]
samples = 5120
equilibration = 2
"""
TRAP = f"""
system = {{kind = "trap", particles = 20, dimensions = 3}}
state = [{{kind = "gaussian_rbm", hidden = 1}}]
{SMALLEST}"""
SPINS = f"""
system = {{kind = "ising", lattice = [20]}}
state = [{{kind = "spin_rbm", hidden = 1, parameters = "complex"}}]
{SMALLEST}"""
ONE = f"""
system = {{kind = "trap", particles = 1, dimensions = 2}}
state = [{{kind = "gaussian_rbm", hidden = 1}}]
{SMALLEST}"""
MANY = ["sampler.walkers=32768", "optimizer.samples=32768", "production.samples=524288"]
CASES = {
    "dense covariance": (TRAP, ['optimizer.method="dense"', "state.0.hidden=30"], "matrices"),
    "dense, complex": (SPINS, ['optimizer.method="dense"', "state.0.hidden=60"], "matrices"),
    "minsr": (TRAP, ['optimizer.method="minsr"', "optimizer.samples=3072"], "matrices_of_root"),
    "spins by cg": (SPINS, ['optimizer.method="cg"', "state.0.hidden=20", *MANY], "samples"),
    "a long series": (
        ONE,
        ["sampler.lanes=8", "optimizer.iterations=0", "production.samples=16_777_216"],
        "series_of_root",
    ),
}


def stated(text, changes, ranks):
    """Return the `Memory` of a deck."""
    deck = config.resolved(config.loads(text, changes))
    state = TrialState(deck.state, declarations.space(deck.system))
    return memory(deck, state, state.coordinates(starting_parameters(deck)).size, ranks)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.mpi)])
@pytest.mark.parametrize("case", CASES)
def test_memory_is_what_is_stated(tmp_path, case, ranks):
    """Of rank 0, which has most, within 20 %; the control is the statement without its largest part."""
    text, changes, largest = CASES[case]
    (tmp_path / "deck.toml").write_text(text)
    launched = None if ranks == 1 else ranks
    peak_memory.peaks(tmp_path, "deck.toml", *(f"--set={change}" for change in changes), ranks=launched)  # compiles
    few, many = (
        peak_memory.peaks(tmp_path, "deck.toml", *(f"--set={change}" for change in some), ranks=launched)
        for some in ([], changes)
    )
    low, high = stated(text, [], ranks), stated(text, changes, ranks)

    def said(found):
        return found.of_rank + found.of_root - low.of_rank - low.of_root

    measured = many[0] - few[0]
    assert measured > 80e6
    assert said(high) == pytest.approx(measured, rel=WITHIN)
    assert said(replace(high, **{largest: 0})) != pytest.approx(measured, rel=WITHIN)
