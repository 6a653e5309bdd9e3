"""The exchange-symmetric machine: a hidden layer over the pair distances, with the same weights for every pair."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Le, doc

from parvmc.declarations import (
    coordinates,
    cusp,
    initial_parameters,
    moved,
    parameter_notes,
    problems,
    state_pack,
)
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import pair_derivatives, pair_logarithm, pair_ratio, pair_slopes
from parvmc.states.pairs import pair_factor
from parvmc.vecmath import exp

GROUPS = {"hidden_bias": "b", "weights": "w"}
MOST_HIDDEN = 1_000_000
LARGEST_THETA = 600.0  # past this e^theta is too near overflow: a local energy that is not a number stops the run


@settings
class Settings:
    """psi = prod_{i<j} prod_j (1 + exp(b_j + w_j r_ij)): unchanged when two particles are exchanged.

    ln psi of a pair is convex in r whatever the parameters, so it cannot level off as a Jastrow factor does; for two
    electrons one hidden unit does nearly what many do.
    """

    kind: Literal["pair_rbm"] = "pair_rbm"
    hidden: Annotated[int, Ge(1), Le(MOST_HIDDEN), doc("number of hidden units")]
    initial: Annotated[str, doc('"random", or the result file of another run to start from')] = "random"
    initial_spread: Annotated[float, Ge(0), doc("standard deviation of the initial biases and weights")] = 0.1
    train: Annotated[
        tuple[Literal["hidden_bias", "weights"], ...], doc("parameter groups that the optimiser changes")
    ] = ("hidden_bias", "weights")


@pair_factor
class PairRbm(NamedTuple):
    """Pack of the machine; bias, weight: float64[hidden]."""

    count: int
    dimensions: int
    bias: np.ndarray
    weight: np.ndarray
    trains_bias: bool
    trains_weights: bool


@implements(problems, Settings)
def _problems(factor, space):
    if space.dimensions == 1:
        reason = "has a kink where two particles meet, which in one dimension is a delta function that no sample finds"
        return [("kind", f"pair_rbm {reason}; leave the factor out")]
    return []


@implements(initial_parameters, Settings)
def _initial(factor, space, generator):
    b, w = (factor.initial_spread * generator.standard_normal(factor.hidden) for _ in range(2))
    return {"b": b, "w": w}


@implements(parameter_notes, Settings)
def _notes(factor):
    return {"b": ("1", "biases of the hidden units"), "w": ("1 / bohr (hbar = m = e = 1)", "weights of the distance")}


@implements(coordinates, Settings)
def _coordinates(factor, parameters):
    parts = [parameters[name] for group, name in GROUPS.items() if group in factor.train]
    return np.concatenate(parts) if parts else np.empty(0)


@implements(moved, Settings)
def _moved(factor, parameters, vector):
    names = [name for group, name in GROUPS.items() if group in factor.train]
    return parameters | dict(zip(names, vector.reshape(len(names), factor.hidden).copy(), strict=True))


@implements(cusp, Settings)
def _cusp(factor, space, parameters):
    """sum_j w_j / (1 + e^-b_j)."""
    return float(parameters["w"] @ (1.0 / (1.0 + np.exp(-parameters["b"]))))


@implements(state_pack, Settings)
def _pack(factor, space, parameters):
    return PairRbm(
        coordinates(factor, parameters).size,
        space.dimensions,
        np.ascontiguousarray(parameters["b"]),
        np.ascontiguousarray(parameters["w"]),
        "hidden_bias" in factor.train,
        "weights" in factor.train,
    )


@row_function
def _multiply_square(b, w, distance, proposed, ratios):
    for lane in range(ratios.size):
        quotient = (1.0 + exp(b + w * proposed[lane])) / (1.0 + exp(b + w * distance[lane]))
        ratios[lane] *= quotient * quotient


@implements(pair_ratio, PairRbm)
def _pair_ratio(factor, first, second, distance, proposed, exponent, ratios):
    for j in range(factor.bias.size):
        _multiply_square(factor.bias[j], factor.weight[j], distance, proposed, ratios)


@row_function
def _add_slopes(b, w, distance, slope, curvature):
    """f' = w s, f'' = w^2 s (1 - s), s = 1 / (1 + e^-theta), without cancellation near saturation."""
    for lane in range(slope.size):
        theta = b + w * distance[lane]
        u = exp(theta) if theta < LARGEST_THETA else np.nan
        complement = 1.0 / (1.0 + u)
        derivative = w * (u * complement)
        slope[lane] += derivative / distance[lane]
        curvature[lane] += w * derivative * complement


@implements(pair_slopes, PairRbm)
def _pair_slopes(factor, first, second, distance, slope, curvature):
    slope[:] = 0.0
    curvature[:] = 0.0
    for j in range(factor.bias.size):
        _add_slopes(factor.bias[j], factor.weight[j], distance, slope, curvature)


@row_function
def _add_logarithm(b, w, distance, logarithms):
    for lane in range(logarithms.size):
        logarithms[lane] += np.log1p(exp(b + w * distance[lane]))


@implements(pair_logarithm, PairRbm)
def _pair_logarithm(factor, first, second, distance, logarithms):
    for j in range(factor.bias.size):
        _add_logarithm(factor.bias[j], factor.weight[j], distance, logarithms)


@row_function
def _add_bias_derivative(b, w, distance, row):
    for lane in range(row.size):
        row[lane] += 1.0 / (1.0 + exp(-b - w * distance[lane]))


@row_function
def _add_weight_derivative(b, w, distance, row):
    for lane in range(row.size):
        row[lane] += distance[lane] / (1.0 + exp(-b - w * distance[lane]))


@implements(pair_derivatives, PairRbm)
def _pair_derivatives(factor, first, second, distance, derivatives):
    """d f / d b_j = s_j, d f / d w_j = r s_j."""
    hidden, at = factor.bias.size, 0
    if factor.trains_bias:
        for j in range(hidden):
            _add_bias_derivative(factor.bias[j], factor.weight[j], distance, derivatives[j])
        at = hidden
    if factor.trains_weights:
        for j in range(hidden):
            _add_weight_derivative(factor.bias[j], factor.weight[j], distance, derivatives[at + j])
