"""The Gaussian factor of particles in a harmonic trap."""

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Gt, Unit, doc

from parvmc.declarations import (
    confines,
    coordinates,
    filled,
    initial_parameters,
    moved,
    parameter_notes,
    problems,
    same_meaning,
    state_pack,
)
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import (
    accept,
    drift,
    gradient,
    log_amplitude,
    log_derivatives,
    ratio,
    rebuild,
    trial_drift,
    workspace,
)
from parvmc.vecmath import multiply_exponential, shift


@settings
class Settings:
    """psi = prod_i exp(-alpha (x_i^2 + (omega_y / omega_x) y_i^2 + beta z_i^2)); alpha is trained.

    Without interaction it is exact at alpha = omega_x / 2, beta = omega_z / omega_x, the defaults.
    """

    kind: Literal["gaussian"] = "gaussian"
    alpha: Annotated[
        Annotated[float, Gt(0)] | None,
        Unit("1 / length^2"),
        doc("the value to start from; default: omega_x / 2, exact without interaction"),
    ] = None
    beta: Annotated[
        Annotated[float, Gt(0)] | None, doc("anisotropy along z, in three dimensions; default: omega_z / omega_x")
    ] = None
    initial: Annotated[str | None, doc("result file of another run to start from; default: the values here")] = None
    train: Annotated[tuple[Literal["alpha"], ...], doc("parameters that the optimiser changes")] = ("alpha",)


class Gaussian(NamedTuple):
    """Pack of the factor; curvature: float64[dimensions], ln psi = -1/2 sum_m curvature_m x_m^2."""

    count: int
    dimensions: int
    curvature: np.ndarray


class Work(NamedTuple):
    """A row for the exponent of a ratio."""

    exponent: np.ndarray


@implements(filled, Settings)
def _filled(factor, space):
    alpha = space.omega[0] / 2.0 if factor.alpha is None else factor.alpha
    beta = space.omega[2] / space.omega[0] if factor.beta is None and space.dimensions == 3 else factor.beta
    return replace(factor, alpha=alpha, beta=beta)


@implements(problems, Settings)
def _problems(factor, space):
    if factor.beta is not None and space.dimensions < 3:
        return [("beta", f"belongs to the z axis, and there are {space.dimensions} dimensions; leave it out")]
    return []


@implements(confines, Settings)
def _confines(factor):
    return True


@implements(initial_parameters, Settings)
def _initial(factor, space, generator):
    return {"alpha": np.array(filled(factor, space).alpha)}


@implements(parameter_notes, Settings)
def _notes(factor):
    return {"alpha": ("1 / bohr^2 (hbar = m = e = 1)", "half the curvature of ln psi along x")}


@implements(same_meaning, Settings)
def _same_meaning(factor):
    return ("beta",)


@implements(coordinates, Settings)
def _coordinates(factor, parameters):
    """ln alpha, so that no step makes it negative."""
    return np.log(parameters["alpha"].reshape(1)) if factor.train else np.empty(0)


@implements(moved, Settings)
def _moved(factor, parameters, vector):
    return {"alpha": np.exp(vector[0]).reshape(())} if factor.train else parameters


@implements(state_pack, Settings)
def _pack(factor, space, parameters):
    anisotropy = np.array(space.omega) / space.omega[0]
    if space.dimensions == 3:
        anisotropy[2] = filled(factor, space).beta
    return Gaussian(len(factor.train), space.dimensions, 2.0 * float(parameters["alpha"]) * anisotropy)


@implements(workspace, Gaussian)
def _workspace(state, lanes):
    return Work(np.empty(lanes))


@implements(rebuild, Gaussian)
def _rebuild(state, work, positions):
    pass


@row_function
def _add_change(curvature, position, displacement, exponent):
    for lane in range(exponent.size):
        exponent[lane] -= curvature * displacement[lane] * (2.0 * position[lane] + displacement[lane])


@implements(ratio, Gaussian)
def _ratio(state, work, positions, particle, displacement, ratios):
    work.exponent[:] = 0.0
    for axis in range(state.dimensions):
        m = particle * state.dimensions + axis
        _add_change(state.curvature[axis], positions[m], displacement[axis], work.exponent)
    multiply_exponential(work.exponent, ratios)


@implements(accept, Gaussian)
def _accept(state, work, mask):
    pass


@row_function
def _add_multiple(factor, row, total):
    for lane in range(total.size):
        total[lane] += factor * row[lane]


@implements(drift, Gaussian)
def _drift(state, work, positions, particle, gradients):
    for axis in range(state.dimensions):
        _add_multiple(-state.curvature[axis], positions[particle * state.dimensions + axis], gradients[axis])


@implements(trial_drift, Gaussian)
def _trial_drift(state, work, positions, particle, displacement, gradients):
    for axis in range(state.dimensions):
        _add_multiple(-state.curvature[axis], positions[particle * state.dimensions + axis], gradients[axis])
        _add_multiple(-state.curvature[axis], displacement[axis], gradients[axis])


@implements(gradient, Gaussian)
def _gradient(state, work, positions, gradients, laplacian):
    for m in range(positions.shape[0]):
        curvature = state.curvature[m % state.dimensions]
        _add_multiple(-curvature, positions[m], gradients[m])
        shift(-curvature, laplacian)


@row_function
def _add_square(factor, position, row):
    for lane in range(row.size):
        row[lane] += factor * position[lane] * position[lane]


@implements(log_derivatives, Gaussian)
def _log_derivatives(state, work, positions, derivatives):
    """d ln psi / d ln alpha is ln psi itself."""
    if state.count > 0:
        derivatives[:] = 0.0
        log_amplitude(state, work, positions, derivatives[0])


@implements(log_amplitude, Gaussian)
def _log_amplitude(state, work, positions, logarithms):
    for m in range(positions.shape[0]):
        _add_square(-0.5 * state.curvature[m % state.dimensions], positions[m], logarithms)
