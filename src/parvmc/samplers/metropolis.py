"""Metropolis sampling: moves of single particles, or flips and exchanges of spins."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Gt, Lt, Unit, doc

from parvmc.declarations import first_step, problems, sampler_pack, spaces, target_acceptance
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import accept, ratio, sweep
from parvmc.randoms import uniform, uniform_two
from parvmc.samplers.common import Walkers, decide, move
from parvmc.samplers.spin_moves import spin_moves
from parvmc.spaces import Space, Spins


@settings
class Settings(Walkers):
    """Move each particle in turn by a step uniform in a cube; accept with min(1, |psi(x')|^2 / |psi(x)|^2).

    On a lattice: flip spins, or exchange those of two sites, at sites chosen by chance.
    """

    kind: Literal["metropolis"] = "metropolis"
    step: Annotated[
        Annotated[float, Gt(0)] | Literal["auto"],
        Unit("length"),
        doc('of particles: half the edge of the cube, or "auto": tuned during equilibration, then frozen'),
    ] = "auto"
    acceptance: Annotated[float, Gt(0), Lt(1), doc("of particles: acceptance that the step is tuned to")] = 0.5
    moves: Annotated[
        Literal["auto", "flip", "exchange"],
        doc('of spins: one flip, or an exchange of two; "auto": exchanges where the system keeps a magnetisation'),
    ] = "auto"
    global_flip: Annotated[
        bool,
        doc("of spins: after each sweep propose to flip all, in every second walker, where their sum allows it"),
    ] = True


class Metropolis(NamedTuple):
    """Pack of the Metropolis sampler; step: half the edge of the cube (length)."""

    step: float
    particles: int
    dimensions: int


@implements(spaces, Settings)
def _spaces(sampler):
    return (Space, Spins)


@implements(problems, Settings)
def _problems(sampler, space):
    if isinstance(space, Spins):
        reason = "is for displacements of particles, and spins are flipped; leave it out"
        foreign = ("step", "acceptance")
    else:
        reason = "is for spins, and the particles of a trap are displaced; leave it out"
        foreign = ("moves", "global_flip")
    found = [(key, reason) for key in foreign if getattr(sampler, key) != getattr(Settings(), key)]
    if isinstance(space, Space) or sampler.moves == "auto":
        return found
    if sampler.moves == "exchange" and space.magnetisation is None:
        reason = 'is "exchange", which never changes the magnetisation, and the system does not keep one'
        found.append(("moves", f'{reason}; use "flip", or give system.magnetisation a number if it has that key'))
    if sampler.moves == "flip" and space.magnetisation is not None:
        reason = f'is "flip", which changes the magnetisation, and the system keeps it at {space.magnetisation}'
        found.append(("moves", f'{reason}; use "exchange", or system.magnetisation = "any"'))
    return found


@implements(sampler_pack, Settings)
def _pack(sampler, state, parameters, step):
    space = state.space
    if isinstance(space, Spins):
        return spin_moves(space, space.magnetisation is not None, sampler.global_flip)
    return Metropolis(step, space.particles, space.dimensions)


@implements(first_step, Settings)
def _first_step(sampler, space):
    """A length of the order of the trap's."""
    if isinstance(space, Spins):
        return 0.0
    return 1.0 / space.inverse_length if sampler.step == "auto" else sampler.step


@implements(target_acceptance, Settings)
def _target_acceptance(sampler, space):
    return sampler.acceptance if sampler.step == "auto" and isinstance(space, Space) else None


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
        for axis in range(0, sampler.dimensions - 1, 2):
            uniform_two(randoms, displacement[axis], displacement[axis + 1])
        if sampler.dimensions % 2:
            uniform_two(randoms, displacement[sampler.dimensions - 1], threshold)
        else:
            uniform(randoms, threshold)
        for axis in range(sampler.dimensions):
            _centre(sampler.step, displacement[axis])
        ratios[:] = 1.0
        ratio(state, work, positions, particle, displacement, ratios)
        accepted += decide(ratios, threshold, mask)
        for axis in range(sampler.dimensions):
            move(mask, displacement[axis], positions[particle * sampler.dimensions + axis])
        accept(state, work, mask)
    return accepted
