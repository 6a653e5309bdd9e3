"""The mean distance of two particles."""

from typing import Literal, NamedTuple

from parvmc.declarations import observable_pack, observed, problems
from parvmc.dispatch import implements, settings
from parvmc.observables.common import LENGTH, add_squared_difference, pair_problems, scalar, square_root, total
from parvmc.operations import measure


@settings
class Settings:
    """<r12> = <sum_{i<j} |x_i - x_j|> / (N (N - 1) / 2) (length)."""

    kind: Literal["pair_distance"] = "pair_distance"


class PairDistance(NamedTuple):
    """Pack of the mean distance of pairs; weight: one over their number."""

    size: int
    dimensions: int
    weight: float


@implements(problems, Settings)
def _problems(observable, space):
    return pair_problems(space)


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return PairDistance(1, space.dimensions, 2.0 / (space.particles * (space.particles - 1)))


@implements(measure, PairDistance)
def _measure(observable, state, work, positions, randoms, scratch, row):
    distance, dimensions = scratch[0], observable.dimensions
    for second in range(dimensions, positions.shape[0], dimensions):
        for first in range(0, second, dimensions):
            distance[:] = 0.0
            for axis in range(dimensions):
                add_squared_difference(positions[first + axis], positions[second + axis], distance)
            square_root(distance)
            row[0] += total(distance) * observable.weight / distance.size


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    return scalar(observable.kind, rows, LENGTH, "mean distance of two particles, <r12>")
