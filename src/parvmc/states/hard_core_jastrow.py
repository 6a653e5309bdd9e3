"""The correlation factor of hard spheres."""

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Gt, Unit, doc

from parvmc.declarations import core, filled, problems, state_pack
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import pair_derivatives, pair_logarithm, pair_ratio, pair_slopes
from parvmc.states.pairs import pair_factor


@settings
class Settings:
    """psi = prod_{i<j} (1 - a / r_ij) for r_ij > a, and zero where a pair is closer; nothing is trained.

    In three dimensions it is the s wave of two spheres at zero energy (DuBois and Glyde, Phys. Rev. A 63, 023602
    (2001)). In one and two it is not: the local energy grows like 1 / (r - a) at contact, its variance is finite but
    the error of that variance is not, and error bars are less certain.
    """

    kind: Literal["hard_core_jastrow"] = "hard_core_jastrow"
    diameter: Annotated[
        Annotated[float, Gt(0)] | None,
        Unit("length"),
        doc("a; default: the diameter of the interaction's hard spheres"),
    ] = None


@pair_factor
class HardCoreJastrow(NamedTuple):
    """Pack of the factor; diameter in units of length."""

    count: int
    dimensions: int
    diameter: float


@implements(filled, Settings)
def _filled(factor, space):
    return replace(factor, diameter=space.core) if factor.diameter is None and space.core else factor


@implements(problems, Settings)
def _problems(factor, space):
    if filled(factor, space).diameter is None:
        return [("diameter", "is missing, and the interaction has no hard spheres to take it from; give a length")]
    return []


@implements(core, Settings)
def _core(factor, space):
    return filled(factor, space).diameter


@implements(state_pack, Settings)
def _pack(factor, space, parameters):
    return HardCoreJastrow(0, space.dimensions, core(factor, space))


@row_function
def _multiply_square(a, distance, proposed, ratios):
    """(1 - a/r')^2 / (1 - a/r)^2 with one division, zero where spheres would overlap."""
    for lane in range(ratios.size):
        old, new = distance[lane], proposed[lane]
        quotient = (new - a) * old / (new * (old - a))
        ratios[lane] *= quotient * quotient if new > a else 0.0


@implements(pair_ratio, HardCoreJastrow)
def _pair_ratio(factor, first, second, distance, proposed, exponent, ratios):
    _multiply_square(factor.diameter, distance, proposed, ratios)


@row_function
def _fill_slopes(a, distance, slope, curvature):
    """f' = a / (r (r - a)), f'' = -f' (2 r - a) / (r (r - a))."""
    for lane in range(slope.size):
        r = distance[lane]
        inverse = 1.0 / (r * (r - a))
        slope[lane] = a * inverse / r
        curvature[lane] = -a * inverse * inverse * (2.0 * r - a)


@implements(pair_slopes, HardCoreJastrow)
def _pair_slopes(factor, first, second, distance, slope, curvature):
    _fill_slopes(factor.diameter, distance, slope, curvature)


@row_function
def _add_logarithm(a, distance, logarithms):
    for lane in range(logarithms.size):
        logarithms[lane] += np.log1p(-a / distance[lane]) if distance[lane] > a else -np.inf


@implements(pair_logarithm, HardCoreJastrow)
def _pair_logarithm(factor, first, second, distance, logarithms):
    _add_logarithm(factor.diameter, distance, logarithms)


@implements(pair_derivatives, HardCoreJastrow)
def _pair_derivatives(factor, first, second, distance, derivatives):
    pass
