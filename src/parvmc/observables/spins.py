"""What observables of spins share: correlations by displacement, errors of numbers that may be exactly constant.

A displacement d is r_k - r_i of two sites, along each axis the shorter way round where the lattice is periodic (of two
that are equally short the positive one). d and -d are the same pairs in either order and are measured once.
"""

from typing import NamedTuple

import numpy as np

from parvmc.dispatch import implements, row_function
from parvmc.observables import common
from parvmc.operations import measure

MOST_SITES = 4096  # measuring takes the square of it


def errors(rows):
    """Return float64[size], errors as `common.errors` has them, but zero for what is zero in every row: spins are
    never counted in vain, a sum that symmetry keeps at zero is known."""
    return np.where((rows == 0.0).all(axis=(0, 1)), 0.0, common.errors(rows))


def size_problems(space):
    """Return the reason why a lattice is too large, as `problems` does."""
    text = f"measures all pairs of sites, for at most {MOST_SITES} sites, and there are {space.units}; leave it out"
    return [("kind", text)] if space.units > MOST_SITES else []


class Displacements:
    """All displacements of a lattice and which of them are the same but for their sign.

    sides: (1, N) for a chain; steps: int64[...] along each side, rising; grid: int64[all, 2], all pairs of steps, the
    last axis fastest; number: int64[all], the class of each; first: int64[classes, 2], one of each class; pairs:
    int64[classes], ordered pairs of sites (i, k) with exactly this displacement.
    """

    def __init__(self, lattice):
        """List them."""
        self.sides = (1,) * (2 - len(lattice.shape)) + lattice.shape
        self.steps = [
            np.arange(-((side - 1) // 2), side // 2 + 1) if lattice.periodic else np.arange(1 - side, side)
            for side in self.sides
        ]
        counts = [steps.size for steps in self.steps]
        self.grid = np.stack(np.meshgrid(*self.steps, indexing="ij"), axis=-1).reshape(-1, 2)
        lowest = np.array([steps[0] for steps in self.steps])
        opposite = np.ravel_multi_index(((-self.grid - lowest) % counts).T, counts)
        chosen, self.number = np.unique(np.maximum(np.arange(len(self.grid)), opposite), return_inverse=True)
        self.first = self.grid[chosen]
        whole = np.full(self.first.shape, self.sides)
        self.pairs = (whole if lattice.periodic else whole - np.abs(self.first)).prod(axis=1)


class Correlations(NamedTuple):
    """Pack of the mean of s_i s_k over the pairs of each class; sides: int64[2]; first: int64[classes, 2]; pairs:
    int64[classes]."""

    size: int
    periodic: bool
    sides: np.ndarray
    first: np.ndarray
    pairs: np.ndarray


def correlations(lattice):
    """Return the pack that measures correlations by displacement."""
    found = Displacements(lattice)
    return Correlations(len(found.first), lattice.periodic, np.array(found.sides), found.first, found.pairs)


@row_function
def _add_product(first, second, total):
    for lane in range(total.size):
        total[lane] += first[lane] * second[lane]


@implements(measure, Correlations)
def _measure(observable, state, work, positions, randoms, scratch, row):
    products = scratch[0]
    width, height = observable.sides
    for index in range(observable.size):
        products[:] = 0.0
        for x in range(width):
            end_x = x + observable.first[index, 0]
            if observable.periodic:
                end_x %= width
            for y in range(height):
                end_y = y + observable.first[index, 1]
                if observable.periodic:
                    end_y %= height
                if 0 <= end_x < width and 0 <= end_y < height:
                    _add_product(positions[x * height + y], positions[end_x * height + end_y], products)
        # products of spins are whole numbers and so is their sum: s_i^2 = 1 and the sum rule hold exactly
        row[index] += common.total(products) / (observable.pairs[index] * products.size)
