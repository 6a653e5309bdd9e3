"""What samplers have in common: how many walkers there are and when they are measured, and the accept step on lanes."""

from typing import Annotated

from annotated_types import Ge, doc

from parvmc.declarations import hidden_copies, is_holomorphic, spaces
from parvmc.dispatch import row_function, settings
from parvmc.spaces import Spins


@settings
class Walkers:
    """The fields that the settings of every sampler begin with."""

    walkers: Annotated[int, Ge(1), doc("walkers over all ranks, a multiple of lanes")] = 8192
    lanes: Annotated[int, Ge(1), doc("walkers of one batch, which move together through the vector units")] = 128
    equilibration: Annotated[int, Ge(0), doc("sweeps before the first measurement")] = 500
    thinning: Annotated[
        int, Ge(1), doc("sweeps between measurements; a sweep proposes one move per particle, or as many as sites")
    ] = 2


def block_conflicts(kind, factors):
    """Return why a sampler that draws visible units given hidden ones cannot sample these factors, as `conflicts`."""
    if len(factors) == 1 and hidden_copies(factors[0]) is not None:
        return []
    need = "draws the visible units given the hidden ones, so psi must be one gaussian_rbm, or one spin_rbm with real"
    state = " times ".join(factor.kind for factor in factors)
    if any(map(is_holomorphic, factors)):
        state += " with complex parameters"
    others = '"metropolis"' if all(Spins in spaces(factor) for factor in factors) else '"metropolis" or "langevin"'
    return [("kind", f"{kind} {need} parameters, and nothing else, and here it is {state}; use {others}")]


def block_problems(kind, space):
    """Return why a sampler that draws all visible units anew cannot work in a space, as `problems`."""
    if not isinstance(space, Spins) or space.magnetisation is None:
        return []
    reason = f"{kind} draws every spin by itself, and the system keeps their sum at {space.magnetisation}"
    return [("kind", f'{reason}; use "metropolis", or system.magnetisation = "any"')]


@row_function
def decide(ratios, threshold, mask):
    """Set the mask to 1 where the uniform threshold is below the ratio, 0 elsewhere, and return how many are 1.

    A zero or a NaN is never above.
    """
    accepted = 0
    for lane in range(mask.size):
        is_above = threshold[lane] < ratios[lane]
        mask[lane] = 1.0 if is_above else 0.0
        accepted += is_above
    return accepted


@row_function
def move(mask, displacement, position):
    """Displace a coordinate where the mask is 1; elsewhere the displacement may be anything, also no number."""
    for lane in range(position.size):
        present = position[lane]
        moved = present + displacement[lane]
        position[lane] = moved if mask[lane] > 0.5 else present
