"""Particles in a harmonic trap, with or without a pair interaction."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le, Unit, doc

from parvmc.declarations import (
    components,
    conflicts,
    core,
    exponent,
    hamiltonian_pack,
    interaction_pack,
    pole,
    poles,
    problems,
    reference_energy,
    space,
    virial_weights,
)
from parvmc.dispatch import Kinds, discover, implements, row_function, settings
from parvmc.hamiltonians import interactions
from parvmc.operations import (
    gradient,
    interacts,
    local_energy,
    pair_energy,
)
from parvmc.references import exact_energy
from parvmc.spaces import Space
from parvmc.vecmath import inverse_root

INTERACTIONS = discover(interactions)


@settings
class Settings:
    """H = sum_i (-1/2 lap_i + 1/2 sum_k omega_k^2 x_ik^2) + sum_{i<j} v(r_ij)."""

    kind: Literal["trap"] = "trap"
    particles: Annotated[int, Ge(1), Le(10_000), doc("number of particles")]
    dimensions: Annotated[int, Ge(1), Le(3), doc("number of space dimensions, 1, 2 or 3")]
    omega: Annotated[
        Annotated[float, Gt(0)] | tuple[Annotated[float, Gt(0)], ...],
        Unit("energy"),
        doc("trap frequency, a positive number or a list of one per axis"),
    ] = 1.0
    interaction: Annotated[object, Kinds(INTERACTIONS), doc("pair interaction, a table with its kind")] = INTERACTIONS[
        "none"
    ]()


class Trap(NamedTuple):
    """Pack of the trap.

    squared_frequency: float64[units], omega^2 of each unit's axis; interaction: pack; controlled: whether there is a
    control variate; beta, kinetic_pole float64[particles, particles], interaction_pole: of `Control`.
    """

    squared_frequency: np.ndarray
    dimensions: int
    interaction: NamedTuple
    controlled: bool
    beta: float
    kinetic_pole: np.ndarray
    interaction_pole: float


@implements(space, Settings)
def _space(system):
    omega = system.omega if isinstance(system.omega, tuple) else (system.omega,) * system.dimensions
    return Space(
        system.particles, system.dimensions, omega, pole=pole(system.interaction), core=core(system.interaction)
    )


@implements(problems, Settings)
def _problems(system, space):
    found = [
        (f"interaction.{key}" if key else "interaction", text) for key, text in problems(system.interaction, space)
    ]
    if len(space.omega) != space.dimensions:
        found.append(("omega", f"has {len(space.omega)} values for {space.dimensions} dimensions; give one per axis"))
    return found


@implements(conflicts, Settings)
def _conflicts(system, factors):
    diameter = core(system.interaction)
    if system.particles > 1 and max(core(factor, space(system)) for factor in factors) < diameter:
        reason = f"hard spheres of diameter {diameter:g} need a trial state that is zero wherever they overlap"
        return [("interaction", f'{reason}; add a factor [[state]] with kind = "hard_core_jastrow"')]
    return []


@implements(components, Settings)
def _components(system):
    return ("kinetic", "trap", "interaction")


@implements(virial_weights, Settings)
def _virial_weights(system):
    """For v ~ r^n, r . grad v = n v: 2 for the trap, -1 for Coulomb repulsion."""
    power = exponent(system.interaction)
    return None if power is None else (2.0, -2.0, -power)


@implements(reference_energy, Settings)
def _reference_energy(system):
    interaction = system.interaction
    strength = getattr(interaction, "strength", 0.0)
    softening = getattr(interaction, "softening", None)
    return exact_energy(system.particles, system.dimensions, space(system).omega, interaction.kind, strength, softening)


@implements(poles, Settings)
def _poles(system, state_cusp):
    if system.dimensions == 1 or system.particles == 1:
        return 0.0, 0.0
    return -(system.dimensions - 1) * state_cusp, pole(system.interaction)


@implements(hamiltonian_pack, Settings)
def _pack(system, control):
    squared = np.tile(np.square(np.array(space(system).omega)), system.particles)
    kinetic = np.full((system.particles, system.particles), 1.0) * control.kinetic
    controlled = bool(kinetic.any() or control.interaction)
    interaction = interaction_pack(system.interaction)
    return Trap(squared, system.dimensions, interaction, controlled, control.beta, kinetic, control.interaction)


@row_function
def _add_squares(squared_frequency, position, slope, kinetic, trap):
    """Add (d ln psi / dx)^2 and omega^2 x^2 of one coordinate."""
    for lane in range(position.size):
        kinetic[lane] += slope[lane] * slope[lane]
        trap[lane] += squared_frequency * position[lane] * position[lane]


@row_function
def _add_squares_of_two(x_squared_frequency, x, x_slope, y_squared_frequency, y, y_slope, kinetic, trap):
    for lane in range(x.size):
        kinetic[lane] += x_slope[lane] * x_slope[lane] + y_slope[lane] * y_slope[lane]
        trap[lane] += x_squared_frequency * x[lane] * x[lane] + y_squared_frequency * y[lane] * y[lane]


@row_function
def _add_up(kinetic, trap, pairs, total, estimator):
    """Make energies of the sums of squares, and the total."""
    for lane in range(total.size):
        kinetic[lane] *= -0.5
        trap[lane] *= 0.5
        total[lane] = kinetic[lane] + trap[lane] + pairs[lane]
        estimator[lane] = total[lane]


@row_function
def _line(x, other_x, squared_distance):
    for lane in range(x.size):
        dx = x[lane] - other_x[lane]
        squared_distance[lane] = dx * dx


@row_function
def _plane(x, y, other_x, other_y, squared_distance):
    for lane in range(x.size):
        dx, dy = x[lane] - other_x[lane], y[lane] - other_y[lane]
        squared_distance[lane] = dx * dx + dy * dy


@row_function
def _space_diagonal(x, y, z, other_x, other_y, other_z, squared_distance):
    for lane in range(x.size):
        dx, dy, dz = x[lane] - other_x[lane], y[lane] - other_y[lane], z[lane] - other_z[lane]
        squared_distance[lane] = dx * dx + dy * dy + dz * dz


@row_function
def _fill_squared_distance(dimensions, positions, i, j, squared_distance):
    """Fill the squared distance of the particles whose coordinates begin at rows i and j."""
    if dimensions == 1:
        _line(positions[i], positions[j], squared_distance)
    elif dimensions == 2:
        _plane(positions[i], positions[i + 1], positions[j], positions[j + 1], squared_distance)
    else:
        x, y, z = positions[j], positions[j + 1], positions[j + 2]
        _space_diagonal(positions[i], positions[i + 1], positions[i + 2], x, y, z, squared_distance)


@row_function
def _add_flux(first, second, first_slope, second_slope, flux):
    """Add r_ij . (grad_i - grad_j) ln psi along one axis."""
    for lane in range(first.size):
        flux[lane] += (first[lane] - second[lane]) * (first_slope[lane] - second_slope[lane])


@row_function
def _add_variate(beta, dimensions, kinetic_pole, squared_distance, flux, variate, kinetic_variate):
    """Add C/2 of one pair, u'' + (D - 1) u'/r + (u'/r) r_ij . (grad_i - grad_j) ln psi, plain and times kappa."""
    for lane in range(variate.size):
        inverse = inverse_root(squared_distance[lane])
        shrink = 1.0 / (1.0 + beta * squared_distance[lane] * inverse)
        slope = shrink * shrink
        pair = -2.0 * beta * shrink * slope + slope * inverse * (dimensions - 1 + flux[lane])
        variate[lane] += pair
        kinetic_variate[lane] += kinetic_pole * pair


@row_function
def _take_variate_off(kinetic_scale, pair_scale, variate, kinetic_variate, kinetic, trap, pairs, estimator):
    for lane in range(estimator.size):
        kinetic[lane] -= kinetic_scale * kinetic_variate[lane]
        pairs[lane] -= pair_scale * variate[lane]
        estimator[lane] = kinetic[lane] + trap[lane] + pairs[lane]


@implements(local_energy, Trap)
def _local_energy(hamiltonian, state, work, positions, scratch, table):
    units, dimensions = positions.shape[0], hamiltonian.dimensions
    slopes = scratch[:units]
    squared_distance, flux = scratch[units], scratch[units + 1]
    variate, kinetic_variate = scratch[units + 2], scratch[units + 3]
    estimator, total, kinetic, trap, pairs = table[0], table[1], table[2], table[3], table[4]
    slopes[:] = 0.0
    table[2:] = 0.0
    gradient(state, work, positions, slopes, kinetic)
    frequency = hamiltonian.squared_frequency
    for m in range(0, units - 1, 2):
        n = m + 1
        _add_squares_of_two(frequency[m], positions[m], slopes[m], frequency[n], positions[n], slopes[n], kinetic, trap)
    if units % 2:
        _add_squares(frequency[units - 1], positions[units - 1], slopes[units - 1], kinetic, trap)
    if hamiltonian.controlled:
        variate[:] = 0.0
        kinetic_variate[:] = 0.0
    if interacts(hamiltonian.interaction) or hamiltonian.controlled:
        for second in range(dimensions, units, dimensions):
            for first in range(0, second, dimensions):
                _fill_squared_distance(dimensions, positions, first, second, squared_distance)
                pair_energy(hamiltonian.interaction, squared_distance, pairs)
                if hamiltonian.controlled:
                    flux[:] = 0.0
                    for axis in range(dimensions):
                        i, j = first + axis, second + axis
                        _add_flux(positions[i], positions[j], slopes[i], slopes[j], flux)
                    kappa = hamiltonian.kinetic_pole[first // dimensions, second // dimensions]
                    _add_variate(hamiltonian.beta, dimensions, kappa, squared_distance, flux, variate, kinetic_variate)
    _add_up(kinetic, trap, pairs, total, estimator)
    if hamiltonian.controlled:
        scale = 1.0 / max(dimensions - 1, 1)
        pair_scale = hamiltonian.interaction_pole * scale
        _take_variate_off(scale, pair_scale, variate, kinetic_variate, kinetic, trap, pairs, estimator)
