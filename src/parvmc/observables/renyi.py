"""The second Renyi entropy of a block of sites."""

import math
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, doc

from parvmc.declarations import filled, observable_pack, observed, problems, replicas, spaces
from parvmc.dispatch import implements, row_function, settings
from parvmc.observables.spins import errors
from parvmc.operations import is_complex, log_amplitude, measure, phase, rebuild, workspace
from parvmc.spaces import Spins
from parvmc.values import Quantity
from parvmc.vecmath import copy, exp, sine_and_cosine

TURN = 0.15915494309189535  # 1 / (2 pi)


@settings
class Settings:
    """S_2 = -ln Tr rho_A^2 of a block A of sites, by the swap of A between two independent walkers.

    With B all other sites and walkers (A1, B1), (A2, B2) of one batch, lane l and lane l + lanes / 2,

        Tr rho_A^2 = < psi(A2, B1) psi(A1, B2) / (psi(A1, B1) psi(A2, B2)) >,

    of which the real part is taken, the mean of the imaginary one is zero (Hastings, Gonzalez, Kallin and Melko, Phys.
    Rev. Lett. 104, 157201 (2010)). Where the system keeps its magnetisation psi is zero outside, and so is a
    swap that leaves it. Turning the spins of a sublattice (marshall) leaves S_2 as it is. The variance grows like
    1 / Tr rho_A^2, e^(S_2): large blocks need many samples, and -ln of a noisy mean lies high by half its relative
    error squared. Walkers of one batch are independent, so batches need an even number of lanes.
    """

    kind: Literal["renyi"] = "renyi"
    sites: Annotated[
        Annotated[int, Ge(1)] | tuple[Annotated[int, Ge(0)], ...] | None,
        doc("the block: how many sites from the first on, or a list of sites; default: the first half"),
    ] = None


class Renyi(NamedTuple):
    """Pack of the swap; sites: int64[block]; kept: whether psi is zero outside of one magnetisation."""

    size: int
    sites: np.ndarray
    kept: bool


@implements(spaces, Settings)
def _spaces(observable):
    return (Spins,)


@implements(filled, Settings)
def _filled(observable, space):
    return replace(observable, sites=space.units // 2) if observable.sites is None else observable


def _block(observable, space):
    sites = filled(observable, space).sites
    return np.array(sites, np.int64) if isinstance(sites, tuple) else np.arange(sites)


@implements(problems, Settings)
def _problems(observable, space):
    if isinstance(observable.sites, int) and observable.sites >= space.units:
        text = f"is a block of {observable.sites} of {space.units} sites, and has no other side"
        return [("sites", f"{text}; give at least one site and not all of them")]
    block = _block(observable, space)
    if isinstance(observable.sites, tuple) and (block >= space.units).any():
        text = f"names site {block.max()}, and the {space.units} sites are numbered from 0 to {space.units - 1}"
        return [("sites", text)]
    if len(set(block.tolist())) < block.size:
        return [("sites", "names a site twice")]
    if not 0 < block.size < space.units:
        text = f"is a block of {block.size} of {space.units} sites, and has no other side"
        return [("sites", f"{text}; give at least one site and not all of them")]
    return []


@implements(replicas, Settings)
def _replicas(observable):
    return 2


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return Renyi(1, _block(observable, space), space.magnetisation is not None)


@row_function
def _swap(row, swapped):
    half = row.size // 2
    for lane in range(half):
        swapped[lane] = row[lane + half]
        swapped[lane + half] = row[lane]


@row_function
def _subtract(first, second):
    for lane in range(first.size):
        first[lane] -= second[lane]


@row_function
def _mean_swap(logarithms, phases, excess, row):
    """Add the mean over pairs of lanes of e^logarithm cos(phase), sums over both lanes of a pair."""
    half, found = excess.size // 2, 0.0
    for lane in range(half):
        size = exp(logarithms[lane] + logarithms[lane + half])
        cosine = sine_and_cosine(TURN * (phases[lane] + phases[lane + half]))[1]
        found += size * cosine if excess[lane] == 0.0 else 0.0
    row[0] += found / half


@row_function
def _add_excess(row, swapped, excess):
    for lane in range(excess.size):
        excess[lane] += swapped[lane] - row[lane]


@implements(measure, Renyi)
def _measure(observable, state, work, positions, randoms, scratch, row):
    units, lanes = positions.shape
    if lanes % 2 == 1:
        row[0] = np.nan
        return
    swapped, rows = scratch[:units], scratch[units : units + 5]
    rows[:] = 0.0
    logarithms, present, phases, present_phases, excess = rows[0], rows[1], rows[2], rows[3], rows[4]
    for site in range(units):
        copy(positions[site], swapped[site])
    for site in observable.sites:
        _swap(positions[site], swapped[site])
        if observable.kept:
            _add_excess(positions[site], swapped[site], excess)
    # a workspace of its own: that of the walk stays as it is, to the bit
    own = workspace(state, lanes)
    rebuild(state, own, positions)
    log_amplitude(state, own, positions, present)
    if is_complex(state):
        phase(state, own, positions, present_phases)
    rebuild(state, own, swapped)
    log_amplitude(state, own, swapped, logarithms)
    if is_complex(state):
        phase(state, own, swapped, phases)
    _subtract(logarithms, present)
    _subtract(phases, present_phases)
    _mean_swap(logarithms, phases, excess, row)


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    block, name = _block(observable, space), observable.kind
    mean, error = float(rows.mean()), float(errors(rows)[0])
    entropy, spread = (-math.log(mean), error / mean) if mean > 0.0 else (math.nan, math.nan)
    text = f"of {block.size} sites, {', '.join(map(str, block[:8]))}{', ...' if block.size > 8 else ''}"
    return {
        name: Quantity(np.float64(entropy), np.float64(spread), "1", f"second Renyi entropy, -ln Tr rho^2, {text}"),
        f"{name}_swap": Quantity(np.float64(mean), np.float64(error), "1", f"Tr rho^2, mean of the swap, {text}"),
    }
