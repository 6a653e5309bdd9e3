"""The vocabulary: every operation that a pack may implement, documented and empty. Read this first.

Arrays are `[unit, lane]`: a batch holds L walkers, its lanes, which lie side by side in memory. Unit m of a particle
system is axis k of particle i, m = i * dimensions + k. Everything is in the units hbar = m = e = 1.
"""

from dataclasses import dataclass

from parvmc.dispatch import operation


@dataclass(frozen=True)
class Space:
    """What a trial state, a sampler and the walkers must know of the system: its size and its length scales.

    particles, dimensions: counts; omega: the trap's frequency along each axis (energy).
    """

    particles: int
    dimensions: int
    omega: tuple[float, ...]

    @property
    def units(self):
        """Number of coordinates, particles * dimensions."""
        return self.particles * self.dimensions


# --- outside kernels, chosen by the type of a component's settings


@dataclass(frozen=True)
class Control:
    """The zero-mean control variate C = sum_i (lap_i f + 2 grad_i f . grad_i ln psi), f = sum_{i<j} u(r_ij).

    u'(r) = 1 / (1 + beta r)^2 (beta: inverse length). The kinetic part and the interaction are measured less
    kappa C / (2 (D - 1)), their own kappa each, which takes off their poles and leaves their means.
    """

    beta: float = 1.0
    kinetic: float = 0.0
    interaction: float = 0.0


@operation
def space(system) -> Space:
    """Return the space in which the walkers of this Hamiltonian live."""
    raise TypeError(f"space: nothing is registered for {type(system).__name__}")


@operation
def components(system):
    """Return the names of the parts that the local energy is the sum of, in the order in which kernels fill them."""
    raise TypeError(f"components: nothing is registered for {type(system).__name__}")


@operation
def poles(system, state_cusp):
    """Return (kappa_kinetic, kappa_interaction), the strengths of the 1/r poles of these two components.

    state_cusp: slope of ln psi at r = 0, summed over the factors. Both are zero where no control variate applies.
    """
    return 0.0, 0.0


@operation
def pole(interaction):
    """Return the strength of 1/r in v(r) at r = 0 (energy times length)."""
    return 0.0


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
    """Return n where r . grad v = n v, v ~ r^n."""
    raise TypeError(f"exponent: nothing is registered for {type(interaction).__name__}")


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
def initial_parameters(factor, space, generator):
    """Return {name: float64 array}, the starting parameters of a factor in its own shapes.

    generator: numpy Generator of the stream for parameters.
    """
    raise TypeError(f"initial_parameters: nothing is registered for {type(factor).__name__}")


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
    raise TypeError(f"coordinates: nothing is registered for {type(factor).__name__}")


@operation
def moved(factor, parameters, vector):
    """Return the parameters with the trained ones replaced by those of a vector of coordinates."""
    raise TypeError(f"moved: nothing is registered for {type(factor).__name__}")


@operation
def state_pack(factor, space, parameters):
    """Return the pack of a factor; `pack.count` is the number of its trained parameters."""
    raise TypeError(f"state_pack: nothing is registered for {type(factor).__name__}")


@operation
def cusp(factor):
    """Return the slope of ln psi at r = 0 between two particles; a product sums it over its factors."""
    return 0.0


@operation
def sampler_pack(sampler, space, step):
    """Return the pack of a sampler with this step (length)."""
    raise TypeError(f"sampler_pack: nothing is registered for {type(sampler).__name__}")


@operation
def start(optimizer, count):
    """Return {name: array}, what the optimiser remembers from one iteration to the next, before the first."""
    return {}


@operation
def needs_covariance(optimizer):
    """Return whether the step needs the covariance of the log-derivatives, whose sum is the larger part of the work."""
    return False


@operation
def step(optimizer, memory, moments, iteration):
    """Return (change float64[trained], memory), the step to take from the moments of this iteration."""
    raise TypeError(f"step: nothing is registered for {type(optimizer).__name__}")


# --- inside kernels, chosen by the type of a pack


@operation
def workspace(state, lanes):
    """Return the pack of arrays that the state derives from the positions of one batch, not yet filled."""


@operation
def rebuild(state, work, positions):
    """Fill `work` from the positions float64[units, lanes]."""


@operation
def ratio(state, work, positions, particle, displacement, ratios):
    """Multiply ratios float64[lanes] by |psi(x')|^2 / |psi(x)|^2, x' with one particle displaced.

    displacement: float64[3, lanes], rows past the dimensions are zero. `work` keeps what `accept` will need.
    """


@operation
def accept(state, work, mask):
    """Make the last move of `ratio` final in the lanes where mask float64[lanes] is 1; elsewhere it is 0."""


@operation
def gradient(state, work, positions, gradients, laplacian):
    """Add d ln psi / dx_m to gradients float64[units, lanes] and the sum of d2 ln psi / dx_m^2 to laplacian
    float64[lanes]."""


@operation
def log_derivatives(state, work, positions, derivatives):
    """Fill derivatives float64[trained, lanes] with d ln psi / d coordinate."""


@operation
def log_amplitude(state, work, positions, logarithms):
    """Add ln |psi| to logarithms float64[lanes], up to a constant that does not depend on positions or parameters."""


@operation
def pair_energy(interaction, squared_distance, energy):
    """Add v(r) to the row energy float64[lanes], given the row of r^2."""


@operation
def interacts(interaction):
    """Return whether v(r) is anything but zero."""


@operation
def local_energy(hamiltonian, state, work, positions, scratch, table):
    """Fill table float64[2 + components, lanes]: the estimator, the local energy, and each component of the estimator.

    The local energy is H psi / psi; the estimator has the same mean and its poles at coalescence taken off.
    scratch: float64[units + 8, lanes].
    """


@operation
def sweep(sampler, state, work, positions, randoms, scratch):
    """Propose one move for every particle in every lane and return how many were accepted.

    randoms: uint64[4, lanes], the lanes' streams; scratch: float64[units + 8, lanes].
    """
