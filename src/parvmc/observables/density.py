"""The one-body density as a function of the distance from the trap's centre."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le, Lt, Unit, doc

from parvmc.declarations import observable_pack, observed
from parvmc.dispatch import implements, settings
from parvmc.observables.common import MOST_CELLS, add_square, count, radial_bins, shells
from parvmc.operations import measure


@settings
class Settings:
    """n(r) = <sum_i delta(x - x_i)>, averaged over the directions of x: its integral over all space is N.

    The mean over a shell, 1 / length^D; in one dimension r = |x| and a shell has two sides. What is found beyond the
    last shell is reported too, and the integral of n and that add up to N.
    """

    kind: Literal["density"] = "density"
    bins: Annotated[int, Ge(1), Le(MOST_CELLS), doc("number of shells of equal width")] = 100
    range: Annotated[
        Annotated[float, Gt(1e-6), Lt(1e6)] | None,
        Unit("length"),
        doc("outer radius of the last shell; default: 1.25 x the farthest"),
    ] = None


class Density(NamedTuple):
    """Pack of the radial density; size: shells and one more; inverse_width: shells per length."""

    size: int
    dimensions: int
    inverse_width: float


def _edges(observable, extent):
    return np.linspace(0.0, observable.range or extent.max(), observable.bins + 1)


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return Density(observable.bins + 1, space.dimensions, observable.bins / float(_edges(observable, extent)[-1]))


@implements(measure, Density)
def _measure(observable, state, work, positions, randoms, scratch, row):
    squares, cells = scratch[0], scratch[1]
    bins = observable.size - 1
    for first in range(0, positions.shape[0], observable.dimensions):
        squares[:] = 0.0
        for axis in range(observable.dimensions):
            add_square(positions[first + axis], squares)
        radial_bins(squares, observable.inverse_width, bins, cells)
        count(cells, bins, 1.0 / cells.size, row)


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    edges = _edges(observable, extent)
    return shells(observable.kind, rows, edges, space.dimensions, "particles", f"N = {space.particles}")
