"""Importance sampling: Metropolis moves of single particles along the drift of psi.

The proposal is a step of the Langevin equation dx = v dt + dW, v = grad ln psi, of which |psi|^2 is the stationary
distribution; the acceptance step removes the error of its finite length, so that every time step samples |psi|^2.
"""

import math
from typing import Annotated, Literal, NamedTuple

from annotated_types import Gt, Lt, Unit, doc

from parvmc.declarations import first_step, sampler_pack, target_acceptance
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import accept, drift, ratio, sweep, trial_drift
from parvmc.randoms import normal, uniform
from parvmc.samplers.common import Walkers, decide, move
from parvmc.vecmath import multiply_exponential


@settings
class Settings(Walkers):
    """Move each particle in turn from x to x' = x + tau v(x) + sqrt(tau) chi, with chi standard normal.

    v is the drift grad ln psi of that particle, limited where it is large. The default acceptance is in the middle of a
    flat optimum: machines of two electrons gave the most effective samples from 0.6 to 0.8. Accept with min(1, q),

        q = |psi(x')|^2 G(x, x') / (|psi(x)|^2 G(x', x)),    G(x', x) = exp(-|x' - x - tau v(x)|^2 / (2 tau)).
    """

    kind: Literal["langevin"] = "langevin"
    step: Annotated[
        Annotated[float, Gt(0)] | Literal["auto"],
        Unit("1 / energy"),
        doc('time step tau, or "auto": tuned during equilibration, then frozen'),
    ] = "auto"
    acceptance: Annotated[float, Gt(0), Lt(1), doc("acceptance that the step is tuned to")] = 0.7


class Langevin(NamedTuple):
    """Pack of importance sampling; step: tau (1 / energy)."""

    step: float
    particles: int
    dimensions: int


@implements(sampler_pack, Settings)
def _pack(sampler, state, parameters, step):
    return Langevin(step, state.space.particles, state.space.dimensions)


@implements(first_step, Settings)
def _first_step(sampler, space):
    """Half the time in which the drift takes a walker to the middle of the trap."""
    return 0.5 / max(space.omega) if sampler.step == "auto" else sampler.step


@implements(target_acceptance, Settings)
def _target_acceptance(sampler, space):
    return sampler.acceptance if sampler.step == "auto" else None


@row_function
def limit(step, first, second, third):
    """Multiply the three rows of a drift v by 2 / (1 + sqrt(1 + 2 a v^2 tau)), a = 1/2.

    It is (-1 + sqrt(1 + 2 a v^2 tau)) / (a v^2 tau) without its cancellation at small v (Umrigar, Nightingale and
    Runge, J. Chem. Phys. 99, 2865 (1993), eq. 35): the mean of v over the time step where v = 1 / (a distance), as near
    a node of psi if a = 1, and v itself where it is small. A drift that diverges then moves a particle by no more than
    sqrt(2 tau / a) = 2 sqrt(tau), about what diffusion does. Any a leaves the distribution as it is; the smaller it is,
    the less a smooth drift is bent (machines of two electrons lost 10 to 30 % of their effective samples to a = 1/2
    beside a = 0, and 20 to 35 % to a = 1), and 1/2 lies between the two demands.
    """
    for lane in range(first.size):
        square = first[lane] * first[lane] + second[lane] * second[lane] + third[lane] * third[lane]
        factor = 2.0 / (1.0 + math.sqrt(1.0 + step * square))
        first[lane] *= factor
        second[lane] *= factor
        third[lane] *= factor


@row_function
def propose(step, velocity, noise, displacement, exponent):
    """Fill the displacement along one axis and subtract what it adds to ln G(x', x) from the exponent."""
    width = math.sqrt(step)
    for lane in range(displacement.size):
        displacement[lane] = step * velocity[lane] + width * noise[lane]
        exponent[lane] += 0.5 * noise[lane] * noise[lane]


@row_function
def add_way_back(step, velocity, displacement, exponent):
    """Add to the exponent what one axis adds to ln G(x, x'); velocity: the limited drift at x'."""
    factor = 0.5 / step
    for lane in range(exponent.size):
        missed = displacement[lane] + step * velocity[lane]
        exponent[lane] -= factor * missed * missed


@implements(sweep, Langevin)
def _sweep(sampler, state, work, positions, randoms, scratch):
    displacement, velocity, noise = scratch[:3], scratch[3:6], scratch[6:10]
    exponent, ratios, threshold, mask = scratch[10], scratch[11], scratch[12], scratch[13]
    displacement[:] = 0.0
    accepted = 0
    for particle in range(sampler.particles):
        for axis in range(0, sampler.dimensions, 2):
            normal(randoms, noise[axis], noise[axis + 1])
        exponent[:] = 0.0
        velocity[:] = 0.0
        drift(state, work, positions, particle, velocity)
        limit(sampler.step, velocity[0], velocity[1], velocity[2])
        for axis in range(sampler.dimensions):
            propose(sampler.step, velocity[axis], noise[axis], displacement[axis], exponent)
        ratios[:] = 1.0
        ratio(state, work, positions, particle, displacement, ratios)
        velocity[:] = 0.0
        trial_drift(state, work, positions, particle, displacement, velocity)
        limit(sampler.step, velocity[0], velocity[1], velocity[2])
        for axis in range(sampler.dimensions):
            add_way_back(sampler.step, velocity[axis], displacement[axis], exponent)
        multiply_exponential(exponent, ratios)
        uniform(randoms, threshold)
        accepted += decide(ratios, threshold, mask)
        for axis in range(sampler.dimensions):
            move(mask, displacement[axis], positions[particle * sampler.dimensions + axis])
        accept(state, work, mask)
    return accepted
