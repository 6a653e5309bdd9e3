"""How long a run will still take, from how long its parts took so far and what they cost by the deck."""

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple


def done(report):
    """Return how much of its phase is done, in the phase's own units, those of `of`."""
    return report.get("iteration", report.get("step", report.get("sweep", 0)))


def span(seconds):
    """Return a length of time for people: 45 s, 12 min, 3.5 h, 2.1 d."""
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    if seconds < 6000.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 172_800.0 else f"{seconds / 86_400.0:.1f} d"


class Left(NamedTuple):
    """What is known at a report, in seconds, None for what is not: of each unit of the phase, to the phase's end, to
    the run's."""

    each: float | None
    part: float | None
    run: float | None

    @property
    def text(self):
        """The same for people, "" where nothing is known or left."""
        part = "" if self.part is None else f"{span(self.part)} of this part"
        if self.run is None:
            return part and part.replace(" of", " left of")
        return f"{span(self.run)} left" + (f", {part}" if part else "") if self.run else ""


@dataclass(frozen=True)
class Plan:
    """What a run will do, as far as the deck tells.

    phases: {phase: (units, cost of one)} in their order, costs in a unit of their own; target_error: of the energy,
    at which production ends before its units are done, None without; first_look: the least step at which it may.
    """

    phases: dict = field(default_factory=dict)
    target_error: float | None = None
    first_look: int = 1

    def end(self, report):
        """Return at how many units the report's phase will end, None where that cannot be known yet.

        Where there is a target error the steps that it takes follow from error ~ 1/sqrt(steps); the run looks when they
        have doubled.
        """
        if report["phase"] != "production" or self.target_error is None:
            return report["of"]
        error = report.get("energy_error", math.nan)
        if not error > 0.0:  # nan: of a single batch
            return None
        needed = max(done(report) * (error / self.target_error) ** 2, done(report) + 1, self.first_look)
        return min(report["of"], 2 ** math.ceil(math.log2(needed)))

    def after(self, phase):
        """Return [(units, cost of one)] of the phases after this one, None where the units cannot be known yet."""
        names = list(self.phases)
        later = names[names.index(phase) + 1 :]
        if "production" in later and self.target_error is not None:
            return None
        return [self.phases[name] for name in later]


SIMILAR = ("settling", "equilibration", "optimization", "pretraining")


class Pace:
    """How long the rest of a phase and of a run will take.

    What is left of the phase that goes on takes as long for each unit as it took since its first report. A phase that
    has not begun takes its cost by the plan, that of its moves, measurements and steps, times the seconds that a unit
    of cost took in the first of SIMILAR that was measured: what is left then is mostly production, which walks, as
    settling and equilibration do. The plan's costs are good to a factor of two; of that drops out what is the same for
    both, such as the processor and the ranks.
    """

    def __init__(self, plan=None):
        self.plan = plan or Plan()
        self._phase, self._began, self._first = None, 0.0, 0
        self._measured = {}  # {phase: (seconds, units)}

    def left(self, report):
        """Return what is `Left` at this report."""
        now, count, phase = time.monotonic(), done(report), report["phase"]
        if phase != self._phase:
            self._phase, self._began, self._first = phase, now, count
        seconds, units = now - self._began, count - self._first
        each = seconds / units if units > 0 else None
        end = self.plan.end(report)
        part = None if each is None or end is None or count >= report["of"] else (end - count) * each
        if phase not in self.plan.phases:
            return Left(each, part, None)
        if units > 0:
            self._measured[phase] = seconds, units
        return Left(each, part, self._of_run(phase, part, end, count))

    def _of_run(self, phase, part, end, count):
        later, speed = self.plan.after(phase), self._seconds_per_cost()
        if later is None or end is None:
            return None
        if part is None:  # the phase is over, or has only just begun
            later = [(end - count, self.plan.phases[phase][1]), *later]
        cost = sum(units * cost for units, cost in later)
        if cost and speed is None:
            return None
        return (part or 0.0) + (cost * speed if cost else 0.0)

    def _seconds_per_cost(self):
        """Return the seconds that a unit of cost took, None where nothing has been measured."""
        for phase in SIMILAR:
            seconds, units = self._measured.get(phase, (0.0, 0))
            if cost := units * self.plan.phases.get(phase, (0, 0.0))[1]:
                return seconds / cost
        return None
