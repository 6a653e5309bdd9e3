"""The binary-binary restricted Boltzmann machine of spins s_i = 1 or -1 (Carleo and Troyer, Science 355, 602 (2017)).

psi(s) = sum_h exp[sum_i a_i s_i + sum_j b_j h_j + sum_ij s_i W_ij h_j], their equation 2 with the hidden units summed:
e^(sum_i a_i s_i) prod_j 2 cosh(theta_j) for h in {-1, 1}, theta_j = b_j + sum_i W_ij s_i, and prod_j (1 + e^theta_j)
for h in {0, 1}. The kernels have one form of both: with theta'_j = s theta_j, u_j = e^theta'_j and t = 0, s = 1 for
{0, 1}, t = -1, s = 2 for {-1, 1},

    ln psi = sum_i a_i s_i + sum_j [t theta'_j / s + ln(1 + u_j)],

and d ln psi / d b_j = t + s u_j / (1 + u_j). All of it holds for complex parameters too: psi is holomorphic in them.

symmetry = "translation": the hidden unit of filter f and translation T_t has W[T_t(i), (f, t)] = w[i, f], b = b_f; psi
is invariant under all translations.
"""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, doc

from parvmc.declarations import (
    coordinates,
    filled,
    hidden_copies,
    initial_parameters,
    is_holomorphic,
    mixture,
    moved,
    parameter_notes,
    problems,
    same_meaning,
    spaces,
    state_pack,
)
from parvmc.dispatch import implements, settings
from parvmc.spaces import Spins
from parvmc.states import spin_rbm_blocks, spin_rbm_derivatives, spin_rbm_mirror  # noqa: F401  registers their kernels
from parvmc.states.spin_rbm_lanes import ComplexSpinRbm, SpinRbm
from parvmc.states.spin_rbm_rows import BLOCK

MOST_ENTRIES = 2**28  # of a table of moves by hidden units, 2 GB
GROUPS = {"visible_bias": "a", "hidden_bias": "b", "weights": "w"}


@settings
class Settings:
    """Spins coupled to hidden units that are summed over; psi itself is the marginal, no root is taken."""

    kind: Literal["spin_rbm"] = "spin_rbm"
    hidden: Annotated[Annotated[int, Ge(1)] | None, doc("number of hidden units; or give density")] = None
    density: Annotated[Annotated[float, Gt(0)] | None, doc("alpha, hidden units for each site; or give hidden")] = None
    hidden_values: Annotated[tuple[Literal[-1, 0], Literal[1]], doc("values of a hidden unit, [-1, 1] or [0, 1]")] = (
        -1,
        1,
    )
    parameters: Annotated[Literal["real", "complex"], doc("whether the parameters, and so psi, are complex")] = (
        "complex"
    )
    symmetry: Annotated[
        Literal["none", "translation"], doc('"translation": weights are shared, psi is the same at every translation')
    ] = "none"
    biases: Annotated[tuple[Literal["visible", "hidden"], ...], doc("biases that there are; the others are zero")] = (
        "hidden",
    )
    initial: Annotated[str, doc('"random", or the result file of another run to start from')] = "random"
    initial_spread: Annotated[
        float, Ge(0), doc("standard deviation of the initial parameters, of real and imaginary parts each")
    ] = 0.01
    train: Annotated[
        tuple[Literal["visible_bias", "hidden_bias", "weights"], ...],
        doc("parameter groups that the optimiser changes"),
    ] = ("visible_bias", "hidden_bias", "weights")

    @property
    def groups(self):
        """The names of the arrays that are trained, in the order of the coordinates."""
        present = {"visible_bias": "visible" in self.biases, "hidden_bias": "hidden" in self.biases, "weights": True}
        return [name for group, name in GROUPS.items() if present[group] and group in self.train]


def _hidden(factor, space):
    """Return how many hidden units are asked for, perhaps a fraction."""
    return factor.density * space.units if factor.hidden is None else factor.hidden


def _step(factor, space):
    """Return the number of which the hidden units must be a multiple: a filter has one for each translation."""
    return space.units if factor.symmetry == "translation" and space.lattice.periodic else 1


@implements(spaces, Settings)
def _spaces(factor):
    return (Spins,)


@implements(is_holomorphic, Settings)
def _is_holomorphic(factor):
    return factor.parameters == "complex"


@implements(problems, Settings)
def _problems(factor, space):
    found, sites = [], space.units
    if factor.symmetry == "translation" and not space.lattice.periodic:
        return [("symmetry", 'is "translation", and an open lattice has none; use "none", or periodic = true')]
    if factor.hidden is None and factor.density is None:
        return [("hidden", "and density are both missing; give one of them")]
    both = factor.hidden is not None and factor.density is not None
    if both and abs(factor.hidden - factor.density * sites) > 1e-9:
        return [
            ("density", f"is {factor.density}, and {factor.hidden} hidden units on {sites} sites are not; give one")
        ]
    hidden, step = _hidden(factor, space), _step(factor, space)
    below = max(int(hidden // step), 0) * step
    if abs(hidden / step - round(hidden / step)) > 1e-9 or round(hidden / step) < 1:
        key, unit = ("hidden", 1) if factor.density is None else ("density", sites)
        near = " or ".join(f"{number / unit:g}" for number in (below, below + step) if number > 0)
        what = f"filters of {step} hidden units each" if step > 1 else "hidden units"
        found.append((key, f"is {getattr(factor, key):g}, which gives no whole number of {what}; use {near}"))
    elif hidden * len(space.moves) > MOST_ENTRIES:
        text = f"gives tables of {hidden:g} hidden units by {len(space.moves)} moves"
        found.append(("hidden" if factor.density is None else "density", f"{text}, more than {MOST_ENTRIES} entries"))
    if factor.train and not factor.groups:
        found.append(("train", "names only biases that the machine does not have; add them to biases"))
    return found


@implements(filled, Settings)
def _filled(factor, space):
    if not isinstance(space, Spins) or (factor.hidden is None) == (factor.density is None):
        return factor
    hidden = _hidden(factor, space)
    if factor.density is None:
        return replace(factor, density=hidden / space.units)
    whole = abs(hidden - round(hidden)) < 1e-9 and round(hidden) > 0
    return replace(factor, hidden=round(hidden), density=round(hidden) / space.units) if whole else factor


@implements(initial_parameters, Settings)
def _initial(factor, space, generator):
    step = _step(factor, space)
    filters = round(_hidden(factor, space)) // step
    shapes = {"a": (space.units if factor.symmetry == "none" else 1,), "b": (filters,), "w": (space.units, filters)}
    found = {}
    for name, shape in shapes.items():
        values = factor.initial_spread * generator.standard_normal(shape)
        if is_holomorphic(factor):
            values = values + 1j * factor.initial_spread * generator.standard_normal(shape)
        absent = (name == "a" and "visible" not in factor.biases) or (name == "b" and "hidden" not in factor.biases)
        found[name] = np.zeros_like(values) if absent else values
    return found


@implements(parameter_notes, Settings)
def _notes(factor):
    shared = factor.symmetry == "translation"
    return {
        "a": ("1", "bias of the visible units, one for all" if shared else "biases of the visible units"),
        "b": ("1", "biases of the filters" if shared else "biases of the hidden units"),
        "w": ("1", "weights [site, filter]" if shared else "weights [site, hidden unit]"),
    }


@implements(same_meaning, Settings)
def _same_meaning(factor):
    return ("hidden_values", "parameters", "symmetry", "biases")


@implements(coordinates, Settings)
def _coordinates(factor, parameters):
    """Complex arrays viewed as numbers: re_0, im_0, re_1, ..."""
    parts = [np.ascontiguousarray(parameters[name]).ravel().view(np.float64) for name in factor.groups]
    return np.concatenate(parts) if parts else np.empty(0)


@implements(moved, Settings)
def _moved(factor, parameters, vector):
    changed, at = dict(parameters), 0
    for name in factor.groups:
        old = parameters[name]
        size = old.size * (2 if is_holomorphic(factor) else 1)
        values = np.array(vector[at : at + size], np.float64)
        changed[name] = values.view(old.dtype).reshape(old.shape)
        at += size
    return changed


def expanded(factor, space, parameters):
    """Return (a[sites], b[hidden], w[sites, hidden]) of all units, shared parameters copied to all that have them."""
    a, b, w = (np.asarray(parameters[name]) for name in ("a", "b", "w"))
    if factor.symmetry == "none":
        return a, b, w
    origins = space.lattice.places[:, space.lattice.inverses]  # from which site each translation comes to each site
    full = np.empty((space.units, w.shape[1], origins.shape[1]), w.dtype)
    for number in range(w.shape[1]):
        full[:, number] = w[origins, number]
    return np.repeat(a, space.units), np.repeat(b, origins.shape[1]), full.reshape(space.units, -1)


def _parts(values):
    """Return float64[parts, ...] of an array, its real and, where it is complex, its imaginary part."""
    return np.stack([values.real, values.imag]) if np.iscomplexobj(values) else np.ascontiguousarray(values)[np.newaxis]


@implements(state_pack, Settings)
def _pack(factor, space, parameters):
    scale, offset = (1.0, 0.0) if factor.hidden_values[0] == 0 else (2.0, -1.0)
    a, b, w = expanded(factor, space, parameters)
    slope = a + offset * w.sum(axis=1)
    first, second = space.moves[:, 0], space.moves[:, 1]
    both = second >= 0  # the second spin of an exchange is the opposite of the first
    step = -2.0 * scale * (w[first] - np.where(both[:, np.newaxis], w[second], 0.0))
    step = np.pad(step, ((0, 0), (0, -b.size % BLOCK)))
    change = -2.0 * (slope[first] - np.where(both, slope[second], 0.0))
    size = np.stack([change.real, -change.real])
    powers = np.floor(size / np.log(2.0))
    with np.errstate(over="ignore", invalid="ignore"):  # a bias this large leaves psi without a number anyway
        reflection = np.exp(2.0 * scale * b)
    shared = factor.symmetry == "translation"
    with np.errstate(over="ignore", invalid="ignore"):  # a local energy that is no number tells
        forward, backward = _parts(np.exp(step)), _parts(np.exp(-step))
    return (ComplexSpinRbm if is_holomorphic(factor) else SpinRbm)(
        count=coordinates(factor, parameters).size,
        hidden=b.size,
        scale=scale,
        offset=offset,
        even=factor.hidden_values[0] == -1 and not a.any() and not b.any(),
        trains_visible="a" in factor.groups,
        trains_hidden="b" in factor.groups,
        trains_weights="w" in factor.groups,
        constant=_parts(offset * b.sum(keepdims=True))[:, 0].copy(),
        visible=_parts(a if a.any() else a[:0]),
        slope=_parts(slope),
        bias=_parts(scale * b),
        reflection=_parts(reflection),
        coupling=_parts(np.ascontiguousarray(scale * w.T)),
        moves=space.moves,
        forward=forward,
        backward=backward,
        prefactors=np.exp(size - powers * np.log(2.0)),
        powers=powers.astype(np.int64),
        turn=np.stack([np.cos(change.imag), np.sin(change.imag)]),
        places=space.lattice.places if shared else np.empty((0, 0), np.int64),
    )


@implements(hidden_copies, Settings)
def _hidden_copies(factor):
    return None if is_holomorphic(factor) else (factor.hidden, 2)


@implements(mixture, Settings)
def _mixture(factor, space, parameters):
    return spin_rbm_blocks.log_weights(state_pack(factor, space, parameters))
