"""The magnetisation, its size and moments, and Binder's cumulant."""

from typing import Literal, NamedTuple

import numpy as np

from parvmc.declarations import observable_pack, observed, problems, spaces
from parvmc.dispatch import implements, row_function, settings
from parvmc.observables.spins import errors
from parvmc.operations import measure
from parvmc.spaces import Spins
from parvmc.values import Quantity


@settings
class Settings:
    """<m>, <|m|>, <m^2> of m = sum_i s_i / N, s = 1 or -1 along z, and U = 1 - <m^4> / (3 <m^2>^2).

    U is 2/3 where all spins are parallel, up or down, and goes to 0 as 1/N where they are independent (K. Binder, Z.
    Phys. B 43, 119 (1981)).
    """

    kind: Literal["magnetisation"] = "magnetisation"


class Magnetisation(NamedTuple):
    """Pack of the magnetisation; size: m, |m|, m^2 and m^4."""

    size: int


@implements(spaces, Settings)
def _spaces(observable):
    return (Spins,)


@implements(problems, Settings)
def _problems(observable, space):
    if space.magnetisation is None:
        return []
    text = f"the system keeps its magnetisation, all configurations have {space.magnetisation}"
    return [("kind", f'{text}; leave it out, or give system.magnetisation = "any"')]


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    return Magnetisation(4)


@row_function
def _add(row, total):
    for lane in range(total.size):
        total[lane] += row[lane]


@row_function
def _add_moments(sums, sites, row):
    """The sums are whole numbers, and so is what is added of the first three: nothing is lost."""
    first, size, second, fourth = 0.0, 0.0, 0.0, 0.0
    for lane in range(sums.size):
        square = sums[lane] * sums[lane]
        first += sums[lane]
        size += abs(sums[lane])
        second += square
        fourth += square * square
    row[0] += first / (sites * sums.size)
    row[1] += size / (sites * sums.size)
    row[2] += second / (sites**2 * sums.size)
    row[3] += fourth / (sites**4 * sums.size)


@implements(measure, Magnetisation)
def _measure(observable, state, work, positions, randoms, scratch, row):
    sums = scratch[0]
    sums[:] = 0.0
    for site in range(positions.shape[0]):
        _add(positions[site], sums)
    _add_moments(sums, float(positions.shape[0]), row)


def _cumulant(rows):
    """Return (U, its error) from rows float64[rows, batches, 4].

    To first order U changes by d<m^2> 2 <m^4> / (3 <m^2>^3) - d<m^4> / (3 <m^2>^2), whose error blocking gives.
    """
    second, fourth = rows[:, :, 2].mean(), rows[:, :, 3].mean()
    if second == 0.0:
        return np.float64(np.nan), np.float64(np.nan)
    slopes = 2.0 * fourth / (3.0 * second**3), -1.0 / (3.0 * second**2)
    change = slopes[0] * rows[:, :, 2:3] + slopes[1] * rows[:, :, 3:4]
    return 1.0 - fourth / (3.0 * second**2), errors(change)[0]


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    means, spread, name = rows.mean(axis=(0, 1)), errors(rows), observable.kind
    texts = {
        name: "mean magnetisation per site, <m>, m = sum_i s_i / N",
        f"{name}_absolute": "mean size of the magnetisation per site, <|m|>",
        f"{name}_squared": "mean square of the magnetisation per site, <m^2>",
    }
    found = {key: Quantity(means[k], spread[k], "1", text) for k, (key, text) in enumerate(texts.items())}
    value, error = _cumulant(rows)
    text = "Binder's cumulant, 1 - <m^4> / (3 <m^2>^2); error to first order"
    return found | {f"{name}_binder": Quantity(value, error, "1", text)}
