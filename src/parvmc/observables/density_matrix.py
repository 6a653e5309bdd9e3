"""The one-body density matrix on a small grid, and its natural occupations."""

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Lt, Unit, doc

from parvmc.declarations import filled, observable_pack, observed, problems
from parvmc.dispatch import implements, row_function, settings
from parvmc.observables.common import AXES, LENGTH, add_axis, errors, grid, grid_problems, per_volume
from parvmc.operations import measure, ratio
from parvmc.randoms import uniform
from parvmc.values import Quantity

BINS = {1: 24, 2: 8, 3: 6}
MOST_CELLS = 256
REACH = 0.6  # half the box's default edge, in units of how far observables must look: few particles are farther out


@settings
class Settings:
    """rho(x, x') = N int psi(x, X) psi(x', X) dX, the mean over pairs of cells, and its eigenvalues, the occupations.

    At every step each particle i is tried at one place x' uniform in the grid's box of volume V, and with c and c' the
    cells of x_i and x',

        int_c int_c' rho dx dx' = < sum_i V 2 q / (1 + q^2) >,  q = psi(x') / psi(x),  over those pairs in either order.

    McMillan's estimator (Phys. Rev. 138, A442 (1965)) has q for 2 q / (1 + q^2): the mean of either with x and x'
    exchanged is the same, and this one is bounded. q is the root of the ratio of |psi|^2, which holds for the positive
    psi that all factors here make. The occupations are the eigenvalues of rho among the functions that are constant in
    each cell, the mean over cells times a cell's volume: without noise each is a lower bound, which rises to the true
    one as cells get smaller. Noise spreads the small ones about zero, by about the root of the number of cells times
    their error. Their sum is reported, to be compared with N. The random numbers are the walk's own: a run with this
    observable takes another walk.
    """

    kind: Literal["density_matrix"] = "density_matrix"
    bins: Annotated[
        Annotated[int, Ge(1)] | None,
        doc(f"cells along each axis; default: {BINS[1]}, {BINS[2]}, {BINS[3]} by dimension"),
    ] = None
    range: Annotated[
        Annotated[float, Gt(1e-6), Lt(1e6)] | None,
        Unit("length"),
        doc("the box reaches from -range to range along each axis; default: from where walkers are"),
    ] = None


class DensityMatrix(NamedTuple):
    """Pack of the density matrix; size: pairs of cells, without order; low, width, inverse_width (of cells):
    float64[dimensions]; volume: of the box."""

    size: int
    bins: int
    cells: int
    low: np.ndarray
    width: np.ndarray
    inverse_width: np.ndarray
    volume: float


@implements(filled, Settings)
def _filled(observable, space):
    return replace(observable, bins=observable.bins or BINS[space.dimensions])


def _box(observable, extent):
    return REACH * extent if observable.range is None else np.full(extent.size, observable.range)


@implements(problems, Settings)
def _problems(observable, space):
    return grid_problems(filled(observable, space).bins, space, MOST_CELLS)


@implements(observable_pack, Settings)
def _pack(observable, space, extent):
    bins, box = filled(observable, space).bins, _box(observable, extent)
    cells, width = bins**space.dimensions, 2.0 * box / bins
    volume = float(np.prod(2.0 * box))
    return DensityMatrix(cells * (cells + 1) // 2, bins, cells, -box, width, 1.0 / width, volume)


@row_function
def _scale(place, bins):
    for lane in range(place.size):
        place[lane] *= bins


@row_function
def _displace(place, low, width, position, displacement):
    """Fill the displacement to a place that is counted in cells from the box's edge."""
    for lane in range(position.size):
        displacement[lane] = low + width * place[lane] - position[lane]


@row_function
def _count_pairs(present, tried, ratios, cells, weight, sums):
    """Add what the amplitudes' ratios q are worth, 2 q / (1 + q^2), to the pairs of cells, a triangle row by row."""
    for lane in range(present.size):
        if present[lane] < cells and tried[lane] < cells:
            one, other = int(present[lane]), int(tried[lane])
            low, high = min(one, other), max(one, other)
            amplitude = np.sqrt(ratios[lane])
            share = 2.0 / (amplitude + 1.0 / amplitude) if amplitude > 0.0 else 0.0  # zero where it overflows too
            sums[low * cells - low * (low - 1) // 2 + high - low] += weight * share


@implements(measure, DensityMatrix)
def _measure(observable, state, work, positions, randoms, scratch, row):
    displacement, ratios, present, tried, place = scratch[:3], scratch[3], scratch[4], scratch[5], scratch[6]
    bins, dimensions = observable.bins, observable.low.size
    displacement[:] = 0.0
    for particle in range(positions.shape[0] // dimensions):
        present[:] = 0.0
        tried[:] = 0.0
        for axis in range(dimensions):
            position = positions[particle * dimensions + axis]
            low, inverse_width = observable.low[axis], observable.inverse_width[axis]
            uniform(randoms, place)
            _scale(place, bins)
            add_axis(position, low, inverse_width, bins, present)
            add_axis(place, 0.0, 1.0, bins, tried)
            _displace(place, low, observable.width[axis], position, displacement[axis])
        ratios[:] = 1.0
        ratio(state, work, positions, particle, displacement, ratios)
        _count_pairs(present, tried, ratios, observable.cells, observable.volume / ratios.size, row)


@implements(observed, Settings)
def _observed(observable, space, extent, rows):
    bins, dimensions, name = filled(observable, space).bins, space.dimensions, observable.kind
    box = _box(observable, extent)
    cells, volume = bins**dimensions, np.prod(2.0 * box / bins)
    upper = np.triu_indices(cells)
    share = np.where(upper[0] == upper[1], 1.0, 0.5)  # of a pair of different cells, half is due to either order

    def matrix(triangle):
        full = np.zeros((cells, cells))
        full[upper] = full.T[upper] = share * triangle
        return full

    integrals, spread = matrix(rows.mean(axis=(0, 1))), matrix(errors(rows))
    occupations, orbitals = (part[..., ::-1] for part in np.linalg.eigh(integrals / volume))
    # to first order an eigenvalue changes by v . (d rho) v, so that its error is that of the mean of v . rho v
    products = orbitals[upper[0]] * orbitals[upper[1]] / volume
    trace = rows[:, :, upper[0] == upper[1]].sum(axis=2, keepdims=True) / volume
    axes = {}
    for suffix in ("", "_prime"):
        for axis, edges in zip(AXES, grid(box, bins), strict=False):
            axes[axis + suffix] = (0.5 * (edges[:-1] + edges[1:]), LENGTH, f"middle of the cell along {axis}{suffix}")
    shape = (bins,) * (2 * dimensions)
    text = "one-body density matrix, the mean over pairs of cells; its trace is N less what the grid misses"
    number = (np.arange(1, cells + 1), "1", "natural orbital, the most occupied first")
    return {
        name: Quantity(
            (integrals / volume**2).reshape(shape),
            (spread / volume**2).reshape(shape),
            per_volume(dimensions),
            text,
            axes,
        ),
        f"{name}_occupations": Quantity(
            occupations,
            errors(rows @ products),
            "1",
            "natural occupations on the grid; those below a few errors are noise; errors to first order",
            {"orbital": number},
        ),
        f"{name}_trace": Quantity(
            trace.mean(), errors(trace)[0], "1", f"sum of the occupations on the grid, below N = {space.particles}"
        ),
    }
