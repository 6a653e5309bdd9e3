"""Systems whose states have a factor for each pair, for the benchmark of kernels."""

import contests
import lanes
import numpy as np
import pair_loop
import scalar_loop

from parvmc import declarations
from parvmc.hamiltonians import trap
from parvmc.hamiltonians.interactions import hard_sphere
from parvmc.states import gaussian, gaussian_rbm, hard_core_jastrow, pade_jastrow
from parvmc.states.product import TrialState

PARTICLES, DIMENSIONS, HIDDEN = 10, 3, 10
DIAMETER = 0.0043
STEP = 0.95


def pade(beta=1.0, spread=0.1):
    """Return the contest of electrons whose machine is multiplied by a Pade-Jastrow factor; spread: of its
    parameters."""
    system = lanes.system(PARTICLES, DIMENSIONS)
    machine = gaussian_rbm.Settings(hidden=HIDDEN, initial_spread=spread)
    state = TrialState((machine, pade_jastrow.Settings(beta=beta)), declarations.space(system))
    parameters = state.initial(np.random.default_rng(1))
    slope = state.space.pole / (DIMENSIONS - 1)
    own = contests.scalar_machine(PARTICLES, DIMENSIONS, STEP, parameters[0])
    return _contest(system, state, parameters, HIDDEN, pair_loop.Machine(own, False, slope, beta, 1.0, _squares(state)))


def hard_spheres():
    """Return the contest of hard spheres in the trap of inputs/hard_spheres_10.toml."""
    interaction = hard_sphere.Settings(diameter=DIAMETER)
    omega = (1.0, 1.0, 8**0.5)
    system = trap.Settings(particles=PARTICLES, dimensions=DIMENSIONS, omega=omega, interaction=interaction)
    factors = gaussian.Settings(alpha=0.4), hard_core_jastrow.Settings()
    state = TrialState(factors, declarations.space(system))
    parameters = state.initial(np.random.default_rng(1))
    inverse = np.tile(4.0 * float(parameters[0]["alpha"]) * np.array(omega) / omega[0], PARTICLES)
    nothing = np.zeros(0), np.zeros((inverse.size, 0)), np.zeros(0)
    own = scalar_loop.Machine(PARTICLES, DIMENSIONS, STEP, np.zeros(inverse.size), inverse, *nothing)
    return _contest(system, state, parameters, 0, pair_loop.Machine(own, True, 0.0, DIAMETER, 0.0, _squares(state)))


def _squares(state):
    return np.tile(np.square(state.space.omega), PARTICLES)


def _contest(system, state, parameters, hidden, machine):
    loops = {"scalar": pair_loop.Loop(machine)}
    return contests.Contest((PARTICLES, DIMENSIONS, hidden), system, state, parameters, STEP, loops)


CONTESTS = {"Pade-Jastrow": pade, "hard spheres": hard_spheres}
