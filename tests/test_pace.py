"""How long a run will still take, on clocks that are moved by hand."""

import itertools
import math

import pytest
from conftest import ROOT

from parvmc import config, pace
from parvmc.estimate import plan
from parvmc.pace import Left, Pace, Plan
from parvmc.starting import starting_parameters

COUNTERS = {"pretraining": "iteration", "optimization": "iteration", "production": "step"}
PLAN = Plan(
    {"equilibration": (500, 1.0), "optimization": (300, 20.0), "settling": (500, 1.0), "production": (800, 10.0)}
)


@pytest.fixture
def clock(monkeypatch):
    """Return a list with the time that passes by hand."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def report(phase, count, of, **more):
    """Return a stage's report."""
    return {"phase": phase, COUNTERS.get(phase, "sweep"): count, "of": of} | more


def estimates(own, clock, seconds, each=20):
    """Return [(part of the run that has passed, Left, seconds truly left)] of a run with these seconds for a unit of
    each phase, which reports after so many units."""
    units = {phase: count for phase, (count, _) in own.plan.phases.items()}
    whole = sum(count * seconds[phase] for phase, count in units.items())
    began, found = clock[0], []
    for phase, count in units.items():
        start = clock[0]
        for reached in range(0 if phase == "production" else 1, count + 1, each):
            clock[0] = start + reached * seconds[phase]
            passed = clock[0] - began
            found.append((passed / whole, own.left(report(phase, reached, count)), whole - passed))
        clock[0] = start + count * seconds[phase]
    return found


def test_the_rest_of_a_phase_takes_as_long_as_it_took_so_far(clock):
    """Counted from the phase's first report, which a resumed run begins in the middle; without a plan that is all."""
    own = Pace()
    assert own.left(report("production", 100, 200)) == (None, None, None)
    clock[0] += 5.0
    assert own.left(report("production", 110, 200)) == (0.5, pytest.approx(45.0), None)
    assert own.left(report("production", 200, 200)).part is None
    assert own.left(report("settling", 10, 20)) == (None, None, None)


def test_a_run_that_costs_what_it_should_is_known_from_the_second_report(clock):
    """Costs in any unit: what a unit of cost takes is measured, and the same for all phases here."""
    seconds = {phase: 0.003 * cost for phase, (_, cost) in PLAN.phases.items()}
    found = estimates(Pace(PLAN), clock, seconds)
    assert found[0][1].run is None
    for _, left, truth in found[1:]:
        assert left.run == pytest.approx(truth, rel=1e-9, abs=1e-9)


PHASES = ("equilibration", "optimization", "settling", "production")
SOMEWHAT = list(itertools.product(PHASES, (0.85, 1.15)))


@pytest.mark.parametrize(("slower", "factor"), [*SOMEWHAT, ("optimization", 3.0), ("production", 4.0)])
def test_from_the_middle_on_a_run_is_known_to_a_fifth(clock, slower, factor):
    """Also where a phase takes more or less than it should beside the others, and much more if it is the one in which
    the middle of such a run lies."""
    speeds = {phase: 0.003 * cost * (factor if phase == slower else 1.0) for phase, (_, cost) in PLAN.phases.items()}
    found = estimates(Pace(PLAN), clock, speeds)
    late = [(left.run, truth) for passed, left, truth in found if passed > 0.5 and truth > 0.01]
    assert len(late) > 15
    for told, truth in late:
        assert told == pytest.approx(truth, rel=0.2)


def test_before_the_middle_a_run_can_be_other_than_it_seems(clock):
    """A control: that production is four times as slow as its cost says cannot be known before it begins."""
    speeds = {phase: 0.003 * cost * (4.0 if phase == "production" else 1.0) for phase, (_, cost) in PLAN.phases.items()}
    early = [(left.run, truth) for passed, left, truth in estimates(Pace(PLAN), clock, speeds) if 0.01 < passed < 0.1]
    assert early
    for told, truth in early:
        assert told < 0.6 * truth


def test_a_resumed_run_counts_what_is_left(clock):
    """In the middle of the optimisation: the rest of it, and what follows."""
    own = Pace(PLAN)
    assert own.left(report("compilation", 1, 1)).run is None
    own.left(report("optimization", 200, 300))
    clock[0] += 10 * 0.02
    left = own.left(report("optimization", 210, 300))
    assert left.part == pytest.approx(90 * 0.02)
    assert left.run == pytest.approx(90 * 0.02 + 0.001 * (500 * 1.0 + 800 * 10.0))


def test_a_target_error_is_reached_where_the_error_has_fallen_to_it(clock):
    """Error ~ 1/sqrt(steps), looked at when the steps have doubled; before production has an error nobody knows."""
    own = Pace(Plan({"optimization": (10, 1.0), "production": (2**20, 1.0)}, target_error=1e-3, first_look=1024))
    own.left(report("optimization", 1, 10))
    clock[0] += 1.0
    assert own.left(report("optimization", 2, 10))[1:] == (pytest.approx(8.0), None)
    assert own.left(report("production", 0, 2**20)).run is None
    clock[0] += 100.0
    left = own.left(report("production", 100, 2**20, energy=1.0, energy_error=5e-3))  # needs 2,500 steps: 4,096
    assert left.run == left.part == pytest.approx(3996.0)
    assert own.left(report("production", 100, 2**20, energy_error=1e-4)).run == pytest.approx(924.0)
    assert own.left(report("production", 100, 2**20, energy_error=1.0)).run == pytest.approx(2**20 - 100)
    assert own.left(report("production", 100, 2**20, energy_error=math.nan)).run is None


def test_what_is_left_in_words():
    """Of the run first; nothing at its end."""
    assert Left(0.1, 42.0, 600.0).text == "10 min left, 42 s of this part"
    assert Left(0.1, None, 7200.0).text == "2.0 h left"
    assert Left(0.1, 42.0, None).text == "42 s left of this part"
    assert Left(None, None, None).text == Left(0.1, None, 0.0).text == ""


@pytest.mark.parametrize("name", ["two_electrons", "pretrained", "heisenberg_chain_20", "ising_small"])
def test_the_plan_has_what_a_run_will_report(name):
    """Counts are the deck's; listing all configurations needs no walk, and its cost is in the optimisation."""
    deck = config.resolved(config.load(ROOT / f"inputs/{name}.toml"))
    found = plan(deck, starting_parameters(deck))
    units = {phase: count for phase, (count, _) in found.phases.items()}
    assert list(units) == ["pretraining", "equilibration", "optimization", "settling", "production"]
    assert units["pretraining"] == deck.pretrain.iterations
    assert units["optimization"] == deck.optimizer.iterations
    assert units["settling"] == deck.production.equilibration
    assert units["production"] * deck.sampler.walkers == deck.production.samples
    walks = deck.sampler.kind != "enumerate"
    for phase, (count, cost) in found.phases.items():
        assert cost > 0.0 or (not walks and phase in ("equilibration", "settling"))
        assert walks or phase not in ("equilibration", "settling") or count == 0
