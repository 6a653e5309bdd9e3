"""What observables share: distances and counts on lanes, volumes of shells, and an error for every number."""

import math

import numpy as np

from parvmc import statistics
from parvmc.dispatch import row_function
from parvmc.values import Quantity

SYSTEM = "(hbar = m = e = 1)"
LENGTH = f"bohr {SYSTEM}"
AREA = f"bohr^2 {SYSTEM}"
AXES = ("x", "y", "z")
MOST_CELLS = 65_536  # of one observable: each has a series of its own in every batch


def per_volume(dimensions, power=1):
    """Return the unit of a density in D dimensions, or of its power."""
    return f"bohr^-{dimensions * power} {SYSTEM}"


# --- on lanes


@row_function
def add_square(row, total):
    """Add the square of a row."""
    for lane in range(total.size):
        total[lane] += row[lane] * row[lane]


@row_function
def add_squared_difference(first, second, total):
    """Add the square of the difference of two rows."""
    for lane in range(total.size):
        difference = first[lane] - second[lane]
        total[lane] += difference * difference


@row_function
def square_root(row):
    """Replace a row by its square root."""
    for lane in range(row.size):
        row[lane] = math.sqrt(row[lane])


@row_function
def radial_bins(squares, inverse_width, bins, row):
    """Fill row with the number of the bin in which r lies, `bins` where it lies beyond them; squares: r^2."""
    for lane in range(row.size):
        scaled = math.sqrt(squares[lane]) * inverse_width
        row[lane] = scaled if scaled < bins else bins  # also where it is not a number


@row_function
def add_axis(position, low, inverse_width, bins, row):
    """Go on with the numbers of cells by one axis, row <- row * bins + bin; infinite where the bin lies outside."""
    for lane in range(row.size):
        scaled = (position[lane] - low) * inverse_width
        inside = scaled >= 0.0 and scaled < bins
        row[lane] = row[lane] * bins + math.floor(scaled) if inside else np.inf


@row_function
def count(cells, last, weight, counts):
    """Add weight to the count of each lane's cell, to the last one's where the lane lies in none."""
    for lane in range(cells.size):
        cell = cells[lane]
        counts[int(cell) if cell < last else last] += weight


@row_function
def total(row):
    """Return the sum of a row."""
    result = 0.0
    for lane in range(row.size):
        result += row[lane]
    return result


# --- outside kernels


def grid_problems(bins, space, most):
    """Return the reason why a grid of so many bins along each axis has too many cells, as `problems` does."""
    side = int(most ** (1.0 / space.dimensions) + 1e-9)
    text = f"{bins} along each of {space.dimensions} axes are more than {most} cells; give at most {side}"
    return [("bins", text)] if bins > side else []


def pair_problems(space):
    """Return the reason why what needs a pair cannot be had of one particle, as `problems` does."""
    return [("kind", "needs a pair, and the system has one particle; leave it out")] if space.particles < 2 else []


def shell_volumes(edges, dimensions):
    """Return the volumes between spheres of radii edges float64[bins + 1]; in one dimension both sides count."""
    balls = {1: 2.0 * edges, 2: math.pi * edges**2, 3: 4.0 / 3.0 * math.pi * edges**3}
    return np.diff(balls[dimensions])


def errors(rows):
    """Return float64[size], the standard errors of the means of rows float64[rows, batches, size], by blocking.

    Each number has its own blocking analysis, pooled over the batches (`statistics.block`); where there are fewer rows
    than that needs, the error is the spread of the independent batches, and nan where there is one batch alone. It is
    nan too where a row is not finite, and where nothing was counted: that a bin was never hit is no error of zero.
    """
    count, batches, size = rows.shape
    if count < statistics.FEWEST_STEPS:
        if batches < 2:
            return np.full(size, np.nan)
        return rows.mean(axis=0).std(axis=0, ddof=1) / math.sqrt(batches)
    finite, varies = np.isfinite(rows).all(axis=(0, 1)), (rows != rows[0, 0]).any(axis=(0, 1))
    found = np.where(finite, 0.0, np.nan)
    found[(rows == 0.0).all(axis=(0, 1))] = np.nan
    for index in np.flatnonzero(finite & varies):  # what never varies, and is not nothing, has no error
        table = statistics.block(rows[:, :, index])
        found[index] = table.error[table.level]
    return found


def scalar(name, rows, unit, description):
    """Return {name: Quantity} of one number, from rows float64[rows, batches, 1]."""
    return {name: Quantity(rows.mean(), errors(rows)[0], unit, description)}


def shells(name, rows, edges, dimensions, what, number):
    """Return {name: Quantity} of counts in shells per volume, and of what lies beyond them.

    rows: float64[rows, batches, bins + 1], the last column counts what lies beyond; what: is counted; number: of all.
    """
    volumes = shell_volumes(edges, dimensions)
    means, spread = rows.mean(axis=(0, 1)), errors(rows)
    axis = (0.5 * (edges[:-1] + edges[1:]), LENGTH, "middle of the shell")
    text = f"{what} per volume; its integral over all space, what lies beyond the last shell included, is {number}"
    return {
        name: Quantity(means[:-1] / volumes, spread[:-1] / volumes, per_volume(dimensions), text, {"r": axis}),
        f"{name}_beyond": Quantity(means[-1], spread[-1], "1", f"{what} beyond r = {edges[-1]:.6g}"),
    }


def grid(extent, bins):
    """Return float64[dimensions, bins + 1], the edges of the cells of a box from -extent to extent along each axis."""
    return np.stack([np.linspace(-reach, reach, bins + 1) for reach in extent])
