"""The pair correlation as a function of the distance of two particles."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le, Lt, Unit, doc

from parvmc.declarations import observable_pack, observed, problems
from parvmc.dispatch import implements, settings
from parvmc.observables.common import MOST_CELLS, add_squared_difference, count, pair_problems, radial_bins, shells
from parvmc.operations import measure


@settings
class Settings:
    """g(r) = <sum_{i<j} delta(r - r_ij)>, averaged over the directions of r: its integral is N (N - 1) / 2.

    The mean over a shell, 1 / length^D; in one dimension a shell has two sides. What is found beyond the last shell is
    reported too, and the integral of g and that add up to the number of pairs.
    """

    kind: Literal["pair_correlation"] = "pair_correlation"
    bins: Annotated[int, Ge(1), Le(MOST_CELLS), doc("number of shells of equal width")] = 100
    range: Annotated[
        Annotated[float, Gt(1e-6), Lt(1e6)] | None,
        Unit("length"),
        doc("outer radius of the last shell; default: 2.5 x the farthest particle"),
    ] = None


class PairCorrelation(NamedTuple):
    """Pack of the pair correlation; size: shells and one more; inverse_width: shells per length."""

    size: int
    dimensions: int
    inverse_width: float


def _edges(observable, extent):
    return np.linspace(0.0, observable.range or 2.0 * extent.max(), observable.bins + 1)


@implements(problems, Settings)
def _problems(observable, space):
    return pair_problems(space)


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return PairCorrelation(
        observable.bins + 1, space.dimensions, observable.bins / float(_edges(observable, extent)[-1])
    )


@implements(measure, PairCorrelation)
def _measure(observable, state, work, positions, randoms, scratch, row):
    squares, cells = scratch[0], scratch[1]
    bins, dimensions = observable.size - 1, observable.dimensions
    for second in range(dimensions, positions.shape[0], dimensions):
        for first in range(0, second, dimensions):
            squares[:] = 0.0
            for axis in range(dimensions):
                add_squared_difference(positions[first + axis], positions[second + axis], squares)
            radial_bins(squares, observable.inverse_width, bins, cells)
            count(cells, bins, 1.0 / cells.size, row)


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    pairs = space.particles * (space.particles - 1) // 2
    number = f"N (N - 1) / 2 = {pairs}"
    return shells(observable.kind, rows, _edges(observable, extent), space.dimensions, "pairs", number)
