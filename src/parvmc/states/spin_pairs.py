"""What spin Jastrow factors share: psi = prod_{i<k} e^(J_ik s_i s_k), J_ik one parameter for each class of pairs."""

import functools
from typing import Annotated, Literal

import numpy as np
from annotated_types import doc

from parvmc.declarations import (
    coordinates,
    initial_parameters,
    is_holomorphic,
    moved,
    parameter_notes,
    problems,
    same_meaning,
    spaces,
    state_pack,
)
from parvmc.dispatch import implements, settings
from parvmc.spaces import Spins
from parvmc.states.spin_pairs_lanes import ComplexSpinPairs, SpinPairs

MOST_SITES = 4096  # the table of couplings has their square


@settings
class Couplings:
    """The fields of a spin Jastrow factor; `pairs(lattice)` says which pairs it has and which share a parameter."""

    parameters: Annotated[Literal["real", "complex"], doc("whether the parameters, and so psi, are complex")] = "real"
    strength: Annotated[float, doc("J of every pair, the value to start from")] = 0.0
    initial: Annotated[str | None, doc("result file of another run to start from; default: the values here")] = None
    train: Annotated[tuple[Literal["strength"], ...], doc("parameters that the optimiser changes")] = ("strength",)

    def pairs(self, lattice):
        """Return (int64[pairs, 2], int64[pairs]): the pairs i < k and the class of each, numbered from 0."""
        raise NotImplementedError


@implements(spaces, Couplings)
def _spaces(factor):
    return (Spins,)


@implements(problems, Couplings)
def _problems(factor, space):
    if space.units < 2:
        return [("kind", "needs a pair, and the lattice has one site; leave it out")]
    if space.units > MOST_SITES:
        return [("kind", f"keeps a table of sites squared, for at most {MOST_SITES} sites; here are {space.units}")]
    return []


@implements(is_holomorphic, Couplings)
def _is_holomorphic(factor):
    return factor.parameters == "complex"


@implements(initial_parameters, Couplings)
def _initial(factor, space, generator):
    classes = factor.pairs(space.lattice)[1].max(initial=-1) + 1
    return {"strength": np.full(classes, factor.strength, complex if is_holomorphic(factor) else float)}


@implements(parameter_notes, Couplings)
def _notes(factor):
    return {"strength": ("1", "J of each class of pairs, psi = prod e^(J s_i s_k)")}


@implements(same_meaning, Couplings)
def _same_meaning(factor):
    return ("parameters",)


@implements(coordinates, Couplings)
def _coordinates(factor, parameters):
    """A complex array viewed as numbers: re_0, im_0, re_1, ..."""
    return np.ascontiguousarray(parameters["strength"]).view(np.float64).copy() if factor.train else np.empty(0)


@implements(moved, Couplings)
def _moved(factor, parameters, vector):
    if not factor.train:
        return parameters
    return {"strength": vector[::2] + 1j * vector[1::2] if is_holomorphic(factor) else np.array(vector)}


@functools.lru_cache(maxsize=4)
def _by_class(factor, lattice):
    """Return the pairs and the class of each, in the order of the classes; every step of an optimisation asks."""
    pairs, classes = factor.pairs(lattice)
    order = np.argsort(classes, kind="stable")
    return np.ascontiguousarray(pairs[order]), classes[order]


@implements(state_pack, Couplings)
def _pack(factor, space, parameters):
    pairs, classes = _by_class(factor, space.lattice)
    table = np.zeros((space.units, space.units), complex)
    table[pairs[:, 0], pairs[:, 1]] = table[pairs[:, 1], pairs[:, 0]] = parameters["strength"][classes]
    pack, size = (ComplexSpinPairs, space.units) if is_holomorphic(factor) else (SpinPairs, 0)
    count = coordinates(factor, parameters).size
    return pack(count, space.moves, pairs, classes, table.real.copy(), table.imag[:size, :size].copy())
