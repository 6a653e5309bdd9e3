"""The trial state: a product of factors. Logarithms, gradients and Laplacians of ln psi add; ratios multiply.

A product in the kernels is of two, `left` and `right`; more factors nest. The cross terms of the kinetic energy come
from squaring the summed gradient, which the Hamiltonian does in one place.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parvmc.declarations import coordinates, core, cusp, initial_parameters, is_holomorphic, moved, state_pack
from parvmc.dispatch import implements
from parvmc.operations import (
    accept,
    amplitude_ratio,
    begin_amplitudes,
    drift,
    flip_ratio,
    gradient,
    is_complex,
    log_amplitude,
    log_derivatives,
    mirror,
    mirror_ratio,
    phase,
    ratio,
    rebuild,
    trial_drift,
    workspace,
)
from parvmc.spaces import Space


@dataclass(frozen=True)
class TrialState:
    """The factors of psi and how their trained parameters make one vector, in the order of the deck."""

    factors: tuple
    space: Space

    @property
    def labels(self):
        """The name of each factor in files, `0_gaussian_rbm`."""
        return [f"{index}_{factor.kind}" for index, factor in enumerate(self.factors)]

    @property
    def is_holomorphic(self):
        """Whether psi is a holomorphic function of complex parameters; all factors agree."""
        return any(map(is_holomorphic, self.factors))

    def cusp(self, parameters):
        """Return the slope of ln psi at r = 0, summed over the factors."""
        return sum(cusp(factor, self.space, own) for factor, own in zip(self.factors, parameters, strict=True))

    @property
    def core(self):
        """Distance below which psi is zero, the largest of the factors' own (length)."""
        return max(core(factor, self.space) for factor in self.factors)

    def initial(self, generator):
        """Return the starting parameters, a dict of arrays for each factor."""
        return [initial_parameters(factor, self.space, generator) for factor in self.factors]

    def coordinates(self, parameters):
        """Return float64[trained], the trained parameters of all factors as one vector."""
        return np.concatenate([coordinates(*pair) for pair in zip(self.factors, parameters, strict=True)])

    def moved(self, parameters, vector):
        """Return the parameters with the trained ones replaced by those of the vector."""
        result, at = [], 0
        for factor, own in zip(self.factors, parameters, strict=True):
            size = coordinates(factor, own).size
            result.append(moved(factor, own, vector[at : at + size]))
            at += size
        return result

    def pack(self, parameters):
        """Return the pack for the kernels."""
        packs = [state_pack(factor, self.space, own) for factor, own in zip(self.factors, parameters, strict=True)]
        return functools.reduce(lambda left, right: Product(left.count + right.count, left, right), packs)


class Product(NamedTuple):
    """Pack of a product of two states; count: trained parameters of both."""

    count: int
    left: NamedTuple
    right: NamedTuple


class Work(NamedTuple):
    """What both states derive from one batch."""

    left: NamedTuple
    right: NamedTuple


@implements(workspace, Product)
def _workspace(state, lanes):
    return Work(workspace(state.left, lanes), workspace(state.right, lanes))


@implements(rebuild, Product)
def _rebuild(state, work, positions):
    rebuild(state.left, work.left, positions)
    rebuild(state.right, work.right, positions)


@implements(ratio, Product)
def _ratio(state, work, positions, particle, displacement, ratios):
    ratio(state.left, work.left, positions, particle, displacement, ratios)
    ratio(state.right, work.right, positions, particle, displacement, ratios)


@implements(accept, Product)
def _accept(state, work, mask):
    accept(state.left, work.left, mask)
    accept(state.right, work.right, mask)


@implements(is_complex, Product)
def _is_complex(state):
    return is_complex(state.left)


@implements(flip_ratio, Product)
def _flip_ratio(state, work, positions, move, ratios):
    flip_ratio(state.left, work.left, positions, move, ratios)
    flip_ratio(state.right, work.right, positions, move, ratios)


@implements(mirror_ratio, Product)
def _mirror_ratio(state, work, positions, ratios):
    mirror_ratio(state.left, work.left, positions, ratios)
    mirror_ratio(state.right, work.right, positions, ratios)


@implements(mirror, Product)
def _mirror(state, work, mask):
    mirror(state.left, work.left, mask)
    mirror(state.right, work.right, mask)


@implements(begin_amplitudes, Product)
def _begin_amplitudes(state, work, positions):
    begin_amplitudes(state.left, work.left, positions)
    begin_amplitudes(state.right, work.right, positions)


@implements(amplitude_ratio, Product)
def _amplitude_ratio(state, work, positions, move, real, imaginary):
    amplitude_ratio(state.left, work.left, positions, move, real, imaginary)
    amplitude_ratio(state.right, work.right, positions, move, real, imaginary)


@implements(phase, Product)
def _phase(state, work, positions, phases):
    phase(state.left, work.left, positions, phases)
    phase(state.right, work.right, positions, phases)


@implements(drift, Product)
def _drift(state, work, positions, particle, gradients):
    drift(state.left, work.left, positions, particle, gradients)
    drift(state.right, work.right, positions, particle, gradients)


@implements(trial_drift, Product)
def _trial_drift(state, work, positions, particle, displacement, gradients):
    trial_drift(state.left, work.left, positions, particle, displacement, gradients)
    trial_drift(state.right, work.right, positions, particle, displacement, gradients)


@implements(gradient, Product)
def _gradient(state, work, positions, gradients, laplacian):
    gradient(state.left, work.left, positions, gradients, laplacian)
    gradient(state.right, work.right, positions, gradients, laplacian)


@implements(log_derivatives, Product)
def _log_derivatives(state, work, positions, derivatives):
    log_derivatives(state.left, work.left, positions, derivatives[: state.left.count])
    log_derivatives(state.right, work.right, positions, derivatives[state.left.count :])


@implements(log_amplitude, Product)
def _log_amplitude(state, work, positions, logarithms):
    log_amplitude(state.left, work.left, positions, logarithms)
    log_amplitude(state.right, work.right, positions, logarithms)
