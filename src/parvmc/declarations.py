"""What the settings of a component declare: every operation outside kernels, documented and empty.

The first argument's type, a settings class, chooses the implementation. What packs do inside kernels is in
operations.py. Everything is in the units hbar = m = e = 1.
"""

import numpy as np

from parvmc.dispatch import operation
from parvmc.spaces import Space


@operation
def space(system) -> Space:
    """Return the space in which the walkers of this Hamiltonian live."""
    raise TypeError(f"space: nothing is registered for {type(system).__name__}")


@operation
def spaces(component):
    """Return the classes of space in which a system, a factor, a sampler or an observable works."""
    return (Space,)


@operation
def energy_unit(system):
    """Return the unit of energies, for files."""
    return "hartree (hbar = m = e = 1)"


@operation
def is_holomorphic(factor):
    """Return whether the factor's parameters are complex, and psi their holomorphic function: then its coordinates are
    real and imaginary parts by turns."""
    return False


@operation
def components(system):
    """Return the names of the parts that the local energy is the sum of, in the order in which kernels fill them."""
    raise TypeError(f"components: nothing is registered for {type(system).__name__}")


@operation
def poles(system, state_cusp):
    """Return (kappa_kinetic, kappa_interaction), the strengths of the 1/r poles of these two components.

    state_cusp: slope of ln psi at r = 0, summed over the factors, and so the first, one number for all pairs or
    float64[particles, particles]. Both are zero where no control variate applies.
    """
    return 0.0, 0.0


@operation
def pole(interaction):
    """Return the strength of 1/r in v(r) at r = 0 (energy times length)."""
    return 0.0


@operation
def core(component, space=None):
    """Return the distance (length) below which an interaction is infinite, or a factor of psi is zero; 0 for most."""
    return 0.0


@operation
def filled(component, space):
    """Return a factor or an observable with every default that depends on other keys filled in."""
    return component


@operation
def virial_weights(system):
    """Return the weight of each component in the virial sum 2 <T> - <sum_i r_i . grad_i V>, None where it does not
    hold."""
    return None


@operation
def reference_energy(system):
    """Return (energy, source), the exact ground-state energy where it is known for exactly this system, else None."""
    return None


@operation
def exponent(interaction):
    """Return n where r . grad v = n v, v ~ r^n; None where v is no power of r."""
    return None


@operation
def hamiltonian_pack(system, control):
    """Return the pack of a Hamiltonian; control: the `Control` whose variate is taken off the components."""
    raise TypeError(f"hamiltonian_pack: nothing is registered for {type(system).__name__}")


@operation
def interaction_pack(interaction):
    """Return the pack of a pair interaction v(r)."""
    raise TypeError(f"interaction_pack: nothing is registered for {type(interaction).__name__}")


@operation
def problems(settings, space):
    """Return the reasons why these settings cannot work in this space, as (key, message) pairs; none is an empty
    list."""
    return []


@operation
def conflicts(component, factors):
    """Return the reasons why a system or a sampler cannot work with these factors of psi, as (key, message) pairs."""
    return []


@operation
def confines(factor):
    """Return whether the factor falls off like a Gaussian in every coordinate, without which psi has no norm."""
    return False


@operation
def hidden_copies(factor):
    """Return (hidden units, copies of each in |psi|^2) where |psi|^2 is the marginal of a machine that can be sampled
    in blocks, else None."""
    return None


@operation
def mixture(factor, space, parameters):
    """Return float64[(copies + 1)^hidden], ln of the unnormalised weight of every state of the hidden layer.

    |psi|^2 is the sum over these states of Gaussians. Index sum_j n_j (copies + 1)^j stands for n_j copies of unit j
    that are on; the logarithm of the sum of all is ln int |psi|^2 dx, psi as `log_amplitude` has it.
    """
    raise TypeError(f"mixture: nothing is registered for {type(factor).__name__}")


@operation
def initial_parameters(factor, space, generator):
    """Return {name: float64 array}, the starting parameters of a factor in its own shapes; most have some.

    generator: numpy Generator of the stream for parameters.
    """
    return {}


@operation
def parameter_notes(factor):
    """Return {name: (unit, description)} of a factor's parameters, for the result file."""
    return {}


@operation
def same_meaning(factor):
    """Return the names of the settings that must agree before parameters of one run can start another."""
    return ()


@operation
def coordinates(factor, parameters):
    """Return float64[trained], the trained parameters as one vector, the coordinates in which the optimiser steps."""
    return np.empty(0)


@operation
def moved(factor, parameters, vector):
    """Return the parameters with the trained ones replaced by those of a vector of coordinates."""
    return parameters


@operation
def state_pack(factor, space, parameters):
    """Return the pack of a factor; `pack.count` is the number of its trained parameters."""
    raise TypeError(f"state_pack: nothing is registered for {type(factor).__name__}")


@operation
def cusp(factor, space, parameters):
    """Return the slope of ln psi at r = 0 between two particles; a product sums it over its factors.

    One number for all pairs, or float64[particles, particles] (1 / length).
    """
    return 0.0


@operation
def sampler_pack(sampler, state, parameters, step):
    """Return the pack of a sampler of |psi|^2 with this step.

    state: the `TrialState`; parameters: a dict of arrays for each of its factors; step: in the sampler's own unit.
    """
    raise TypeError(f"sampler_pack: nothing is registered for {type(sampler).__name__}")


@operation
def first_step(sampler, space):
    """Return the deck's step, or one to begin tuning with; in the sampler's own unit."""
    return 0.0


@operation
def target_acceptance(sampler, space):
    """Return the acceptance that the step is tuned to, None where it is not tuned."""
    return None


@operation
def listed(sampler, space):
    """Return float64[configurations, units], all that there are, where the sampler lists them, else None: it walks."""
    return None


# An optimiser steps in real coordinates. It either takes its step from the moments, on rank 0 (`step`), or all ranks
# work on the samples together (`needs_samples` and `solve`).


@operation
def chosen(optimizer, sizes):
    """Return the optimiser with a method that was left to the program filled in."""
    return optimizer


@operation
def start(optimizer, count):
    """Return {name: array}, what the optimiser remembers from one iteration to the next, before the first.

    count: coordinates.
    """
    return {}


@operation
def shrunk(optimizer, memory, factor):
    """Return the memory after the last step was taken back and is taken again multiplied by factor, perhaps 0."""
    return memory


@operation
def needs_covariance(optimizer):
    """Return whether the step needs the covariance of the log-derivatives, whose sum is the larger part of the work."""
    return False


@operation
def needs_samples(optimizer):
    """Return whether the step is taken by `solve`, and not by `step`."""
    return False


@operation
def step(optimizer, memory, moments, iteration):
    """Return (change float64[coordinates], memory), the step to take from the `Moments` of this iteration, counted
    from 0."""
    raise TypeError(f"step: nothing is registered for {type(optimizer).__name__}")


@operation
def solve(optimizer, memory, moments, matrix_of, iteration):
    """Return (change, memory, norm sqrt(d S d)) as `step` does, the same on all ranks, which call it together.

    matrix_of(scale) returns the `SampleMatrix` of this iteration's samples with a scale float64[parameters]; it can be
    called once.
    """
    raise TypeError(f"solve: nothing is registered for {type(optimizer).__name__}")


@operation
def replicas(observable):
    """Return how many walkers of a batch one measurement takes: 2 where copies of the system are compared."""
    return 1


@operation
def observable_pack(observable, space, extent):
    """Return the pack of an observable; `pack.size` is how many numbers it measures.

    extent: float64[dimensions], how far from the origin walkers were found along each axis (length).
    """
    raise TypeError(f"observable_pack: nothing is registered for {type(observable).__name__}")


@operation
def observed(observable, space, extent, rows):
    """Return {name: Quantity} of what an observable is reported as, from rows float64[rows, batches, size]."""
    raise TypeError(f"observed: nothing is registered for {type(observable).__name__}")
