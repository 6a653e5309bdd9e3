"""The Pade-Jastrow correlation factor."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Unit, doc

from parvmc.declarations import (
    coordinates,
    cusp,
    initial_parameters,
    moved,
    parameter_notes,
    problems,
    same_meaning,
    state_pack,
)
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import pair_derivatives, pair_logarithm, pair_ratio, pair_slopes
from parvmc.states.pairs import cusp_problems, cusp_slopes, pair_factor


@settings
class Settings:
    """psi = prod_{i<j} exp(c r_ij / (1 + beta r_ij)); c cancels the 1/r of the interaction, beta is trained."""

    kind: Literal["pade_jastrow"] = "pade_jastrow"
    beta: Annotated[float, Gt(0), Unit("1 / length"), doc("where the factor levels off: the value to start from")] = 1.0
    spin_up: Annotated[
        Annotated[int, Ge(0)] | None,
        doc("particles of one spin, the first ones; equal spins get the slope that suits a node; default: bosons"),
    ] = None
    initial: Annotated[str | None, doc("result file of another run to start from; default: the values here")] = None
    train: Annotated[tuple[Literal["beta"], ...], doc("parameters that the optimiser changes")] = ("beta",)


@pair_factor
class PadeJastrow(NamedTuple):
    """Pack of the factor; slopes: float64[particles, particles], c of each pair."""

    count: int
    dimensions: int
    beta: float
    slopes: np.ndarray


@implements(problems, Settings)
def _problems(factor, space):
    return cusp_problems(factor, space)


@implements(initial_parameters, Settings)
def _initial(factor, space, generator):
    return {"beta": np.array(factor.beta)}


@implements(parameter_notes, Settings)
def _notes(factor):
    return {"beta": ("1 / bohr (hbar = m = e = 1)", "where the factor levels off")}


@implements(same_meaning, Settings)
def _same_meaning(factor):
    return ("spin_up",)


@implements(coordinates, Settings)
def _coordinates(factor, parameters):
    """ln beta, so that no step makes it negative, which would give psi a pole."""
    return np.log(parameters["beta"].reshape(1)) if factor.train else np.empty(0)


@implements(moved, Settings)
def _moved(factor, parameters, vector):
    return {"beta": np.exp(vector[0]).reshape(())} if factor.train else parameters


@implements(cusp, Settings)
def _cusp(factor, space, parameters):
    return cusp_slopes(space, factor.spin_up)


@implements(state_pack, Settings)
def _pack(factor, space, parameters):
    slopes = cusp_slopes(space, factor.spin_up)
    return PadeJastrow(len(factor.train), space.dimensions, float(parameters["beta"]), slopes)


@row_function
def _add_change(c, beta, distance, proposed, exponent):
    """2 f(r') - 2 f(r) = 2 c (r' - r) / ((1 + beta r') (1 + beta r)): one division for both."""
    for lane in range(exponent.size):
        old, new = distance[lane], proposed[lane]
        exponent[lane] += 2.0 * c * (new - old) / ((1.0 + beta * new) * (1.0 + beta * old))


@implements(pair_ratio, PadeJastrow)
def _pair_ratio(factor, first, second, distance, proposed, exponent, ratios):
    _add_change(factor.slopes[first, second], factor.beta, distance, proposed, exponent)


@row_function
def _fill_slopes(c, beta, distance, slope, curvature):
    for lane in range(slope.size):
        shrink = 1.0 / (1.0 + beta * distance[lane])
        derivative = c * shrink * shrink
        slope[lane] = derivative / distance[lane]
        curvature[lane] = -2.0 * beta * derivative * shrink


@implements(pair_slopes, PadeJastrow)
def _pair_slopes(factor, first, second, distance, slope, curvature):
    _fill_slopes(factor.slopes[first, second], factor.beta, distance, slope, curvature)


@row_function
def _add_logarithm(c, beta, distance, logarithms):
    for lane in range(logarithms.size):
        logarithms[lane] += c * distance[lane] / (1.0 + beta * distance[lane])


@implements(pair_logarithm, PadeJastrow)
def _pair_logarithm(factor, first, second, distance, logarithms):
    _add_logarithm(factor.slopes[first, second], factor.beta, distance, logarithms)


@row_function
def _add_derivative(c, beta, distance, row):
    """d f / d ln beta = -c beta r^2 / (1 + beta r)^2."""
    for lane in range(row.size):
        part = distance[lane] / (1.0 + beta * distance[lane])
        row[lane] -= c * beta * part * part


@implements(pair_derivatives, PadeJastrow)
def _pair_derivatives(factor, first, second, distance, derivatives):
    if factor.count > 0:
        _add_derivative(factor.slopes[first, second], factor.beta, distance, derivatives[0])
