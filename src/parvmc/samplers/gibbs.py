"""Gibbs sampling: all hidden units given the visible ones, then all visible units given the hidden ones."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, doc

from parvmc.declarations import conflicts, problems, sampler_pack, spaces
from parvmc.dispatch import implements, settings
from parvmc.operations import draw_hidden, draw_visible, sweep
from parvmc.samplers.common import Walkers, block_conflicts, block_problems
from parvmc.spaces import Space, Spins


@settings
class Settings(Walkers):
    """Draw h from P(h|x), then x from P(x|h), for states that are one machine alone: nothing is ever rejected.

    |psi|^2 = P(x) is the marginal of P(x, h) for amplitude = "sqrt"; for "full", |psi|^2 = P(x)^2 is the marginal of a
    machine that has every hidden unit twice.
    """

    kind: Literal["gibbs"] = "gibbs"
    thinning: Annotated[int, Ge(1), doc("sweeps between measurements; a sweep redraws all units once")] = 1


class Gibbs(NamedTuple):
    """Pack of Gibbs sampling."""

    particles: int


@implements(sampler_pack, Settings)
def _pack(sampler, state, parameters, step):
    return Gibbs(state.space.particles)


@implements(spaces, Settings)
def _spaces(sampler):
    return (Space, Spins)


@implements(problems, Settings)
def _problems(sampler, space):
    return block_problems(sampler.kind, space)


@implements(conflicts, Settings)
def _conflicts(sampler, factors):
    return block_conflicts(sampler.kind, factors)


@implements(sweep, Gibbs)
def _sweep(sampler, state, work, positions, randoms, scratch):
    draw_hidden(state, work, randoms)
    draw_visible(state, work, positions, randoms, scratch[:2])
    return sampler.particles * positions.shape[1]
