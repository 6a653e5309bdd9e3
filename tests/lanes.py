"""Packs and walkers for tests of kernels, and jitted calls of single operations."""

import numba
import numpy as np

from parvmc import declarations, operations, walk
from parvmc.hamiltonians import trap
from parvmc.observables.several import Nothing
from parvmc.placement import place
from parvmc.states import gaussian_rbm
from parvmc.states.product import TrialState
from parvmc.values import Control

LANES = 16

CONVENTIONS = {
    "course, sqrt": {},
    "course, full": {"amplitude": "full"},
    "course, sqrt, +-1": {"hidden_values": (-1, 1)},
    "lecture, full, +-1": {"amplitude": "full", "hidden_values": (-1, 1), "convention": "lecture"},
    "lecture, sqrt": {"convention": "lecture"},
    "k = 3, c = 1, full": {"amplitude": "full", "gaussian_factor": 3.0, "coupling_power": 1.0},
    "shared sigma": {"sigma_shared": True, "hidden_values": (-1, 1)},
    "ten hidden units": {"hidden": 10},
    "no hidden unit": {"hidden": 0},
    "beta = 2": {"beta": 2.0},
    "sigma frozen": {"train": ("visible_bias", "weights")},
}


def system(particles=2, dimensions=2, interaction="coulomb", strength=1.0, **more):
    """Return the settings of a trap; strength: of Coulomb repulsion."""
    kind = trap.INTERACTIONS[interaction](**({"strength": strength} if interaction == "coulomb" else {}))
    return trap.Settings(particles=particles, dimensions=dimensions, interaction=kind, **more)


def machine(the_system, seed=1, spread=0.5, **more):
    """Return (TrialState, parameters) of one machine with random parameters, sigma included."""
    factor = gaussian_rbm.Settings(**{"hidden": 3, "initial_spread": spread} | more)
    state = TrialState((factor,), declarations.space(the_system))
    generator = np.random.default_rng(seed)
    parameters = state.initial(generator)
    sigma = parameters[0]["sigma"]
    parameters[0]["sigma"] = sigma * np.exp(0.2 * generator.standard_normal(1 if factor.sigma_shared else sigma.size))
    return state, parameters


def walkers(space, lanes=LANES, seed=2):
    """Return random positions float64[units, lanes], no pair of particles closer than 0.25."""
    return place(seed, [0], lanes, space, 0.25)[0]


@numba.njit
def _evaluate(state, positions, logarithms, gradients, laplacian, derivatives):
    work = operations.workspace(state, positions.shape[1])
    operations.rebuild(state, work, positions)
    operations.log_amplitude(state, work, positions, logarithms)
    operations.gradient(state, work, positions, gradients, laplacian)
    operations.log_derivatives(state, work, positions, derivatives)


def evaluate(pack, positions):
    """Return (ln psi [lanes], gradient [units, lanes], Laplacian of ln psi [lanes], log-derivatives [trained,
    lanes])."""
    units, lanes = positions.shape
    result = np.zeros(lanes), np.zeros((units, lanes)), np.zeros(lanes), np.empty((pack.count, lanes))
    _evaluate(pack, positions, *result)
    return result


@numba.njit
def move(state, positions, particle, dimensions, displacement, mask, ratios, logarithms, gradients, laplacian):
    """Move one particle where mask is 1, and fill the ratios and what the state then says of the new positions."""
    work = operations.workspace(state, positions.shape[1])
    operations.rebuild(state, work, positions)
    operations.ratio(state, work, positions, particle, displacement, ratios)
    operations.accept(state, work, mask)
    for axis in range(dimensions):
        positions[particle * dimensions + axis] += mask * displacement[axis]
    operations.log_amplitude(state, work, positions, logarithms)
    operations.gradient(state, work, positions, gradients, laplacian)


@numba.njit
def _drifts(state, positions, particle, displacement, present, proposed):
    work = operations.workspace(state, positions.shape[1])
    operations.rebuild(state, work, positions)
    operations.drift(state, work, positions, particle, present)
    operations.ratio(state, work, positions, particle, displacement, np.ones(positions.shape[1]))
    operations.trial_drift(state, work, positions, particle, displacement, proposed)


def drifts(pack, positions, particle, displacement):
    """Return d ln psi / dx of one particle, float64[3, lanes], where it is and where it is proposed to go."""
    result = np.zeros((3, positions.shape[1])), np.zeros((3, positions.shape[1]))
    _drifts(pack, positions, particle, displacement, *result)
    return result


@numba.njit
def _out_and_back(state, positions, distance, times, logarithms, gradients, laplacian):
    lanes = positions.shape[1]
    work = operations.workspace(state, lanes)
    operations.rebuild(state, work, positions)
    displacement = np.zeros((3, lanes))
    for time in range(2 * times):
        displacement[0] = distance if time % 2 == 0 else -distance
        operations.ratio(state, work, positions, 0, displacement, np.ones(lanes))
        operations.accept(state, work, np.ones(lanes))
        positions[0] += displacement[0]
    operations.log_amplitude(state, work, positions, logarithms)
    operations.gradient(state, work, positions, gradients, laplacian)


def out_and_back(pack, positions, distance, times):
    """Move the first coordinate out and back, never rebuilding; return (ln psi, gradient, Laplacian) at the end."""
    lanes = positions.shape[1]
    result = np.zeros(lanes), np.zeros(positions.shape), np.zeros(lanes)
    _out_and_back(pack, positions, distance, times, *result)
    return result


def observe(sampler, hamiltonian, pack, positions, randoms, thinning, series, walker_sums):
    """Call the entry kernel `observe` without an observable."""
    none = np.empty((*series.shape[:2], 0))
    return walk.observe(sampler, hamiltonian, pack, Nothing(), positions, randoms, thinning, series, walker_sums, none)


@numba.njit
def _local_energy(hamiltonian, state, positions, table):
    units, lanes = positions.shape
    work = operations.workspace(state, lanes)
    operations.rebuild(state, work, positions)
    operations.local_energy(hamiltonian, state, work, positions, np.empty((units + 16, lanes)), table)


def local_energy(the_system, pack, positions, control=None):
    """Return the table of `operations.local_energy`: estimator, local energy, kinetic, trap, interaction."""
    hamiltonian = declarations.hamiltonian_pack(the_system, control or Control())
    table = np.empty((5, positions.shape[1]))
    _local_energy(hamiltonian, pack, positions, table)
    return table
