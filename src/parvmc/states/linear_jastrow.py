"""The correlation factor of Taut's exact states."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, doc

from parvmc.declarations import cusp, problems, state_pack
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import pair_derivatives, pair_logarithm, pair_ratio, pair_slopes
from parvmc.states.pairs import cusp_problems, cusp_slopes, pair_factor


@settings
class Settings:
    """psi = prod_{i<j} (1 + c r_ij); c cancels the 1/r of the interaction, nothing is trained.

    Times a Gaussian it is the exact ground state of two electrons in two dimensions at omega = 1 and in three at 1/2
    (M. Taut, Phys. Rev. A 48, 3561 (1993); J. Phys. A 27, 1045 (1994)).
    """

    kind: Literal["linear_jastrow"] = "linear_jastrow"
    spin_up: Annotated[
        Annotated[int, Ge(0)] | None,
        doc("particles of one spin, the first ones; equal spins get the slope that suits a node; default: bosons"),
    ] = None


@pair_factor
class LinearJastrow(NamedTuple):
    """Pack of the factor; slopes: float64[particles, particles], c of each pair."""

    count: int
    dimensions: int
    slopes: np.ndarray


@implements(problems, Settings)
def _problems(factor, space):
    return cusp_problems(factor, space)


@implements(cusp, Settings)
def _cusp(factor, space, parameters):
    return cusp_slopes(space, factor.spin_up)


@implements(state_pack, Settings)
def _pack(factor, space, parameters):
    return LinearJastrow(0, space.dimensions, cusp_slopes(space, factor.spin_up))


@row_function
def _multiply_square(c, distance, proposed, ratios):
    for lane in range(ratios.size):
        quotient = (1.0 + c * proposed[lane]) / (1.0 + c * distance[lane])
        ratios[lane] *= quotient * quotient


@implements(pair_ratio, LinearJastrow)
def _pair_ratio(factor, first, second, distance, proposed, exponent, ratios):
    _multiply_square(factor.slopes[first, second], distance, proposed, ratios)


@row_function
def _fill_slopes(c, distance, slope, curvature):
    """f' = c / (1 + c r), f'' = -f'^2."""
    for lane in range(slope.size):
        derivative = c / (1.0 + c * distance[lane])
        slope[lane] = derivative / distance[lane]
        curvature[lane] = -derivative * derivative


@implements(pair_slopes, LinearJastrow)
def _pair_slopes(factor, first, second, distance, slope, curvature):
    _fill_slopes(factor.slopes[first, second], distance, slope, curvature)


@row_function
def _add_logarithm(c, distance, logarithms):
    for lane in range(logarithms.size):
        logarithms[lane] += np.log1p(c * distance[lane])


@implements(pair_logarithm, LinearJastrow)
def _pair_logarithm(factor, first, second, distance, logarithms):
    _add_logarithm(factor.slopes[first, second], distance, logarithms)


@implements(pair_derivatives, LinearJastrow)
def _pair_derivatives(factor, first, second, distance, derivatives):
    pass
