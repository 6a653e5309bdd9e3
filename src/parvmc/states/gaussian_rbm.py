"""The Gaussian-binary restricted Boltzmann machine.

F(x) = sum_h exp[-sum_i (x_i - a_i)^2 / (k sigma_i^2) + sum_j b_j h_j + sum_ij x_i w_ij h_j / sigma_i^c], psi = F^p.

The hidden units are summed in closed form. Both sets of hidden values become one in the kernels: with
theta'_j = s (b_j + sum_i x_i w_ij / sigma_i^c) and t = 0, s = 1 for h in {0, 1}, t = -1, s = 2 for h in {-1, 1},

    ln psi = -1/2 sum_i curvature_i (x_i - a_i)^2 + p sum_j [t theta'_j / s + ln(1 + e^theta'_j)],

curvature_i = 2p / (k sigma_i^2), and the mean of h_j given x is g_j = t + s / (1 + e^-theta'_j).
"""

import math
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Unit, doc

from parvmc.declarations import (
    confines,
    coordinates,
    filled,
    hidden_copies,
    initial_parameters,
    mixture,
    moved,
    parameter_notes,
    problems,
    same_meaning,
    state_pack,
)
from parvmc.dispatch import implements, settings
from parvmc.states import gaussian_rbm_blocks, gaussian_rbm_derivatives, gaussian_rbm_slopes  # noqa: F401  kernels
from parvmc.states.gaussian_rbm_lanes import GaussianRbm

MOST_WEIGHTS = 2**24  # 128 MB
GROUPS = {"visible_bias": "a", "hidden_bias": "b", "weights": "w", "sigma": "sigma"}
CONVENTIONS = {"course": (2.0, 2.0), "lecture": (1.0, 0.0)}  # (gaussian_factor k, coupling_power c)


@settings
class Settings:
    """The trial state of an energy-based model: |psi|^2 or psi is the marginal P(x) of P(x, h) = e^-E(x, h) / Z."""

    kind: Literal["gaussian_rbm"] = "gaussian_rbm"
    hidden: Annotated[int, Ge(0), doc("number of hidden units")]
    hidden_values: Annotated[tuple[Literal[-1, 0], Literal[1]], doc("values of a hidden unit, [0, 1] or [-1, 1]")] = (
        0,
        1,
    )
    amplitude: Annotated[Literal["sqrt", "full"], doc('"sqrt": |psi|^2 = P; "full": psi = P')] = "sqrt"
    sigma: Annotated[
        Literal["trap"] | Annotated[float, Gt(0)] | tuple[Annotated[float, Gt(0)], ...],
        Unit("length"),
        doc('width of the visible units: "trap", exact without interaction, or a number, or one per unit'),
    ] = "trap"
    sigma_shared: Annotated[bool, doc("train one sigma for all units")] = False
    convention: Annotated[
        Literal["course", "lecture"],
        doc('"course": -(x-a)^2/(2 sigma^2) + b h + x w h/sigma^2; "lecture": -(x-a)^2/sigma^2 + b h + x w h'),
    ] = "course"
    gaussian_factor: Annotated[
        Annotated[float, Gt(0)] | None, doc("k of -(x-a)^2/(k sigma^2); default: the convention's")
    ] = None
    coupling_power: Annotated[
        Annotated[float, Ge(0)] | None, doc("c of x w h / sigma^c; default: the convention's")
    ] = None
    beta: Annotated[
        float, Gt(0), doc("factor of the whole exponent; absorbed by sigma, b and w, so not a parameter of its own")
    ] = 1.0
    initial: Annotated[str, doc('"random", or the result file of another run to start from')] = "random"
    initial_spread: Annotated[float, Ge(0), doc("standard deviation of the initial biases and weights")] = 0.1
    train: Annotated[
        tuple[Literal["visible_bias", "hidden_bias", "weights", "sigma"], ...],
        doc("parameter groups that the optimiser changes"),
    ] = ("visible_bias", "hidden_bias", "weights", "sigma")

    @property
    def power(self):
        """p of psi = F^p."""
        return 0.5 if self.amplitude == "sqrt" else 1.0

    @property
    def exponents(self):
        """(k, c), the factor under sigma^2 and the power of sigma in the coupling."""
        k, c = CONVENTIONS[self.convention]
        return (
            k if self.gaussian_factor is None else self.gaussian_factor,
            c if self.coupling_power is None else self.coupling_power,
        )


@implements(problems, Settings)
def _problems(factor, space):
    found = []
    if isinstance(factor.sigma, tuple) and len(factor.sigma) != space.units:
        found.append(("sigma", f"has {len(factor.sigma)} values for {space.units} visible units; give one per unit"))
    if isinstance(factor.sigma, tuple) and factor.sigma_shared and len(set(factor.sigma)) > 1:
        found.append(("sigma", "has different values although sigma_shared is true; give one number"))
    if factor.hidden * space.units > MOST_WEIGHTS:
        text = f"gives {factor.hidden} x {space.units} weights, and {MOST_WEIGHTS} are the most"
        found.append(("hidden", f"{text}; give {MOST_WEIGHTS // space.units} or fewer"))
    if factor.sigma_shared and len(set(space.omega)) > 1 and factor.sigma == "trap":
        found.append(("sigma_shared", 'cannot be true with a different omega along each axis and sigma = "trap"'))
    return found


@implements(filled, Settings)
def _filled(factor, space):
    k, c = factor.exponents
    return replace(factor, gaussian_factor=k, coupling_power=c)


@implements(initial_parameters, Settings)
def _initial(factor, space, generator):
    k, c = factor.exponents
    if factor.sigma == "trap":
        sigma = np.tile([math.sqrt(2.0 * factor.power / (k * omega)) for omega in space.omega], space.particles)
    else:
        sigma = np.full(space.units, 1.0) * np.asarray(factor.sigma) / math.sqrt(factor.beta)
    normal = [generator.standard_normal(n) for n in (space.units, factor.hidden, space.units * factor.hidden)]
    a, b, w = (factor.initial_spread * values for values in normal)
    # beta multiplies the exponent; a sigma that was asked to fit the trap already accounts for it
    b *= factor.beta
    w = w.reshape(space.units, factor.hidden) * factor.beta ** (1.0 - c / 2.0)
    return {"a": a, "b": b, "w": w, "sigma": sigma}


@implements(parameter_notes, Settings)
def _notes(factor):
    length = "bohr (hbar = m = e = 1)"
    return {
        "a": (length, "centres of the visible units"),
        "b": ("1", "biases of the hidden units"),
        "w": (f"({length})^(c - 1)", "weights [visible, hidden], divided by sigma^c in the exponent"),
        "sigma": (length, "widths of the visible units"),
    }


@implements(same_meaning, Settings)
def _same_meaning(factor):
    return ("hidden_values", "amplitude", "gaussian_factor", "coupling_power", "sigma_shared")


def _groups(factor):
    return [(group, name) for group, name in GROUPS.items() if group in factor.train]


@implements(coordinates, Settings)
def _coordinates(factor, parameters):
    """The width enters as ln sigma, so that no step makes it negative."""
    parts = []
    for group, name in _groups(factor):
        values = parameters[name]
        if group == "sigma":
            values = np.log(values[:1] if factor.sigma_shared else values)
        parts.append(values.ravel())
    return np.concatenate(parts) if parts else np.empty(0)


@implements(moved, Settings)
def _moved(factor, parameters, vector):
    changed, at = dict(parameters), 0
    for group, name in _groups(factor):
        old = parameters[name]
        size = 1 if group == "sigma" and factor.sigma_shared else old.size
        values = vector[at : at + size]
        changed[name] = np.full(old.shape, np.exp(values)) if group == "sigma" else values.reshape(old.shape).copy()
        at += size
    return changed


@implements(state_pack, Settings)
def _pack(factor, space, parameters):
    k, c = factor.exponents
    p, sigma, b, w = factor.power, parameters["sigma"], parameters["b"], parameters["w"]
    scale, offset = (1.0, 0.0) if factor.hidden_values[0] == 0 else (2.0, -1.0)
    inverse_width = sigma**-c
    coupling = np.ascontiguousarray(scale * w * inverse_width[:, np.newaxis])
    return GaussianRbm(
        count=coordinates(factor, parameters).size,
        dimensions=space.dimensions,
        power=p,
        scale=scale,
        offset=offset,
        coupling_power=c,
        constant=p * offset * b.sum(),
        center=parameters["a"],
        curvature=2.0 * p / (k * sigma**2),
        slope=p * offset * (w * inverse_width[:, np.newaxis]).sum(axis=1),
        inverse_width=inverse_width,
        bias=scale * b,
        coupling=coupling,
        coupling_square=np.square(coupling).sum(axis=0),
        trains_visible="visible_bias" in factor.train,
        trains_hidden="hidden_bias" in factor.train,
        trains_weights="weights" in factor.train,
        trains_sigma="sigma" in factor.train,
        sigma_shared=factor.sigma_shared,
    )


@implements(confines, Settings)
def _confines(factor):
    return True


@implements(hidden_copies, Settings)
def _hidden_copies(factor):
    return factor.hidden, 1 if factor.amplitude == "sqrt" else 2


@implements(mixture, Settings)
def _mixture(factor, space, parameters):
    return gaussian_rbm_blocks.log_weights(state_pack(factor, space, parameters))
