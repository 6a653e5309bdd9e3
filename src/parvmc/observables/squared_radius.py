"""The mean square of a particle's distance from the trap's centre."""

from typing import Literal, NamedTuple

from parvmc.declarations import observable_pack, observed
from parvmc.dispatch import implements, settings
from parvmc.observables.common import AREA, add_square, scalar, total
from parvmc.operations import measure


@settings
class Settings:
    """<r^2> = <sum_i |x_i|^2> / N (length squared)."""

    kind: Literal["squared_radius"] = "squared_radius"


class SquaredRadius(NamedTuple):
    """Pack of the mean squared radius."""

    size: int
    dimensions: int


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return SquaredRadius(1, space.dimensions)


@implements(measure, SquaredRadius)
def _measure(observable, state, work, positions, randoms, scratch, row):
    squares = scratch[0]
    squares[:] = 0.0
    for unit in range(positions.shape[0]):
        add_square(positions[unit], squares)
    row[0] += total(squares) * observable.dimensions / positions.size


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    return scalar(observable.kind, rows, AREA, "mean square of a particle's distance from the centre, <r^2>")
