"""Metropolis sampling with single-particle moves."""

import math
from typing import Annotated, Literal, NamedTuple

from annotated_types import Gt, Lt, doc

from parvmc.declarations import first_step, sampler_pack, target_acceptance
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import accept, ratio, sweep
from parvmc.randoms import uniform
from parvmc.samplers.common import Walkers, count, decide, move


@settings
class Settings(Walkers):
    """Move each particle in turn by a step uniform in a cube; accept with min(1, |psi(x')|^2 / |psi(x)|^2)."""

    kind: Literal["metropolis"] = "metropolis"
    step: Annotated[
        Annotated[float, Gt(0)] | Literal["auto"],
        doc('half the edge of the cube (length), or "auto": tuned during equilibration, then frozen'),
    ] = "auto"
    acceptance: Annotated[float, Gt(0), Lt(1), doc("acceptance that the step is tuned to")] = 0.5


class Metropolis(NamedTuple):
    """Pack of the Metropolis sampler; step: half the edge of the cube (length)."""

    step: float
    particles: int
    dimensions: int


@implements(sampler_pack, Settings)
def _pack(sampler, state, parameters, step):
    return Metropolis(step, state.space.particles, state.space.dimensions)


@implements(first_step, Settings)
def _first_step(sampler, space):
    """A length of the order of the trap's."""
    return 1.0 / math.sqrt(max(space.omega)) if sampler.step == "auto" else sampler.step


@implements(target_acceptance, Settings)
def _target_acceptance(sampler):
    return sampler.acceptance if sampler.step == "auto" else None


@row_function
def _centre(step, row):
    for lane in range(row.size):
        row[lane] = step * (2.0 * row[lane] - 1.0)


@implements(sweep, Metropolis)
def _sweep(sampler, state, work, positions, randoms, scratch):
    displacement, ratios, threshold, mask = scratch[:3], scratch[3], scratch[4], scratch[5]
    displacement[:] = 0.0
    accepted = 0
    for particle in range(sampler.particles):
        for axis in range(sampler.dimensions):
            uniform(randoms, displacement[axis])
            _centre(sampler.step, displacement[axis])
        ratios[:] = 1.0
        ratio(state, work, positions, particle, displacement, ratios)
        uniform(randoms, threshold)
        decide(ratios, threshold, mask)
        accepted += count(mask)
        for axis in range(sampler.dimensions):
            move(mask, displacement[axis], positions[particle * sampler.dimensions + axis])
        accept(state, work, mask)
    return accepted
