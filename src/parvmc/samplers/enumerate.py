"""No sampling at all: every configuration of a small lattice once, with its weight |psi|^2."""

import functools
import math
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, doc

from parvmc.declarations import filled, listed, problems, sampler_pack, spaces
from parvmc.dispatch import implements, settings
from parvmc.operations import sweep
from parvmc.samplers.common import Walkers
from parvmc.spaces import Spins

MOST_SITES = 16


@settings
class Settings(Walkers):
    """List all configurations of at most 16 spins: expectation values are exact, sums weighted by |psi|^2.

    A walker stands for each configuration (of the system's magnetisation, where that is kept) and never moves. Nothing
    is random but the initial parameters: for tests, and to tell what sampling does to a run.
    """

    kind: Literal["enumerate"] = "enumerate"
    walkers: Annotated[
        Annotated[int, Ge(1)] | None, doc("left out: all configurations, rounded up to whole batches of lanes")
    ] = None
    equilibration: Annotated[int, Ge(0), doc("of no meaning, there is nothing to walk")] = 0
    thinning: Annotated[int, Ge(1), doc("of no meaning, there is nothing to walk")] = 1


class Enumerate(NamedTuple):
    """Pack of listing all configurations."""

    particles: int


def _number(space):
    """Return how many configurations there are."""
    if space.magnetisation is None:
        return 2**space.units
    return math.comb(space.units, max((space.units + space.magnetisation) // 2, 0))  # none where it cannot be


def _walkers(sampler, space):
    return -(-_number(space) // sampler.lanes) * sampler.lanes


@implements(spaces, Settings)
def _spaces(sampler):
    return (Spins,)


@implements(filled, Settings)
def _filled(sampler, space):
    few = isinstance(space, Spins) and space.units <= MOST_SITES
    walkers = sampler.walkers or (_walkers(sampler, space) if few else sampler.lanes)
    return replace(sampler, walkers=walkers)


@implements(problems, Settings)
def _problems(sampler, space):
    if space.units > MOST_SITES:
        text = f'"enumerate" lists all configurations of at most {MOST_SITES} sites, and there are {space.units}'
        return [("kind", f'{text}; use "metropolis"')]
    if sampler.walkers != _walkers(sampler, space):
        text = f"has {_number(space)} configurations to list, {_walkers(sampler, space)} in whole batches of lanes"
        return [("walkers", f"{text}; leave it out")]
    return []


@functools.cache
def _configurations(sites, magnetisation):
    spins = 1.0 - 2.0 * (np.arange(2**sites)[:, np.newaxis] >> np.arange(sites) & 1)
    return spins if magnetisation is None else spins[spins.sum(axis=1) == magnetisation]


@implements(listed, Settings)
def _listed(sampler, space):
    return _configurations(space.units, space.magnetisation)


@implements(sampler_pack, Settings)
def _pack(sampler, state, parameters, step):
    return Enumerate(state.space.particles)


@implements(sweep, Enumerate)
def _sweep(sampler, state, work, positions, randoms, scratch):
    return sampler.particles * positions.shape[1]
