"""The one-body density on a Cartesian grid."""

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, doc

from parvmc.declarations import filled, observable_pack, observed, problems
from parvmc.dispatch import implements, settings
from parvmc.observables.common import AXES, LENGTH, MOST_CELLS, add_axis, count, errors, grid, grid_problems, per_volume
from parvmc.operations import measure
from parvmc.values import Quantity

BINS = {1: 100, 2: 64, 3: 20}


@settings
class Settings:
    """n(x) = <sum_i delta(x - x_i)>, the mean over each cell (1 / length^D): its integral over all space is N.

    The grid covers 1.25 times what the walkers reach along each axis when production begins. What is found outside is
    reported too, and the integral of n and that add up to N.
    """

    kind: Literal["cartesian_density"] = "cartesian_density"
    bins: Annotated[
        Annotated[int, Ge(1)] | None,
        doc(f"cells along each axis; default: {BINS[1]}, {BINS[2]}, {BINS[3]} by dimension"),
    ] = None


class CartesianDensity(NamedTuple):
    """Pack of the density on a grid; size: cells and one more; low, inverse_width: float64[dimensions]."""

    size: int
    bins: int
    low: np.ndarray
    inverse_width: np.ndarray


@implements(filled, Settings)
def _filled(observable, space):
    return replace(observable, bins=observable.bins or BINS[space.dimensions])


@implements(problems, Settings)
def _problems(observable, space):
    return grid_problems(filled(observable, space).bins, space, MOST_CELLS)


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    bins = filled(observable, space).bins
    return CartesianDensity(bins**space.dimensions + 1, bins, -extent, 0.5 * bins / extent)


@implements(measure, CartesianDensity)
def _measure(observable, state, work, positions, randoms, scratch, row):
    cells, dimensions = scratch[0], observable.low.size
    for first in range(0, positions.shape[0], dimensions):
        cells[:] = 0.0
        for axis in range(dimensions):
            low, inverse_width = observable.low[axis], observable.inverse_width[axis]
            add_axis(positions[first + axis], low, inverse_width, observable.bins, cells)
        count(cells, observable.size - 1, 1.0 / cells.size, row)


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    bins, name = filled(observable, space).bins, observable.kind
    edges, shape = grid(extent, bins), (bins,) * space.dimensions
    volume = np.prod(2.0 * extent / bins)
    means, spread = rows.mean(axis=(0, 1)), errors(rows)
    axes = {
        axis: (0.5 * (row[:-1] + row[1:]), LENGTH, f"middle of the cell along {axis}")
        for axis, row in zip(AXES, edges, strict=False)
    }
    values, deviations = ((column[:-1] / volume).reshape(shape) for column in (means, spread))
    whole = f"its integral over all space, what lies outside the grid included, is N = {space.particles}"
    return {
        name: Quantity(values, deviations, per_volume(space.dimensions), f"particles per volume; {whole}", axes),
        f"{name}_beyond": Quantity(means[-1], spread[-1], "1", "particles outside the grid"),
    }
