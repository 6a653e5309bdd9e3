"""The mean distance of a particle from the trap's centre."""

from typing import Literal, NamedTuple

from parvmc.declarations import observable_pack, observed
from parvmc.dispatch import implements, settings
from parvmc.observables.common import LENGTH, add_square, scalar, square_root, total
from parvmc.operations import measure


@settings
class Settings:
    """<r> = <sum_i |x_i|> / N (length)."""

    kind: Literal["radius"] = "radius"


class Radius(NamedTuple):
    """Pack of the mean radius."""

    size: int
    dimensions: int


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return Radius(1, space.dimensions)


@implements(measure, Radius)
def _measure(observable, state, work, positions, randoms, scratch, row):
    distance = scratch[0]
    for first in range(0, positions.shape[0], observable.dimensions):
        distance[:] = 0.0
        for axis in range(observable.dimensions):
            add_square(positions[first + axis], distance)
        square_root(distance)
        row[0] += total(distance) * observable.dimensions / positions.size


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    return scalar(observable.kind, rows, LENGTH, "mean distance of a particle from the centre, <r>")
