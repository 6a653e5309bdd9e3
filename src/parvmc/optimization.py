"""The stage that optimises: sample, sum energies and gradients over the ranks, and step; take back a step that harmed.

A step is judged by the samples taken after it. Where the energy has jumped, or the local energies have left where they
were, or one is not finite, parameters and walkers go back to where they last were trusted, and a quarter of the step is
tried; after MOST_REFUSALS the step is given up and the next is taken from new samples at the trusted parameters.
"""

import math
import time

import numpy as np

from parvmc import declarations, enumeration, walk
from parvmc.moments import Riders, moments
from parvmc.sample_matrix import SampleMatrix
from parvmc.samples import Samples, keeps_derivatives, panel
from parvmc.simulation import NotFinite
from parvmc.values import Sizes

MOST_REFUSALS = 4
QUARTER = 0.25
RISE, ERRORS = 0.5, 6.0  # a jump of the energy: by half a spread of the local energy, and by so many standard errors
FAR, MANY = 10.0, 0.1  # an explosion of the variance: a tenth of the local energies are ten spreads off
EXPLODED = 1e12  # times the variance before: an outlier of that size, if it were trusted, would let all pass after it
NEARLY_EXACT = 1e-3  # of the energy: a rise, or a spread of the local energies, that is too little to be harm


def method(deck, state, count):
    """Return the optimiser with its method filled in, which parameters, samples and memory decide.

    count: trained coordinates of the `TrialState`.
    """
    parameters = count // 2 if state.is_holomorphic else count
    return declarations.chosen(deck.optimizer, Sizes(parameters, deck.optimizer.samples, state.is_holomorphic))


def keeps(deck, state, count):
    """Return whether the log-derivatives of all samples of an iteration are kept."""
    return keeps_derivatives(count, state.space.units, deck.optimizer.samples, deck.optimizer.memory)


def plan(deck, state, count):
    """Return how the steps will be taken, for whoever looks at the deck or at the run."""
    name = getattr(method(deck, state, count), "method", deck.optimizer.kind)
    where = "kept" if keeps(deck, state, count) else "computed again when needed"
    return f"steps by {name}, log-derivatives {where}"


def empty_samples(simulation, measurements):
    """Return the Samples that the kernels fill, of all batches of this rank."""
    state, count = simulation.state, simulation.vector.size
    shape, energies = (len(simulation.share), measurements, simulation.lanes), 2 if state.is_holomorphic else 1
    return Samples(shape, energies, count, simulation.space.units, keeps(simulation.deck, state, count))


def kernel_calls(simulation, sampler, hamiltonian, state, positions, randoms):
    """Return a call on no work of each kernel of an iteration; the arrays are those of one batch."""
    samples, walking = empty_samples(simulation, 0), (sampler, hamiltonian, state, positions, randoms, 0)
    found = [lambda: walk.sample(*walking, len(simulation.components), samples.values[:1])]
    if not samples.keeps:
        derivatives = np.empty((simulation.vector.size, simulation.lanes))
        found.append(lambda: walk.differentiate(state, positions[0], derivatives))
    if declarations.listed(simulation.deck.sampler, simulation.space) is not None:
        found.append(lambda: walk.amplitudes(state, positions, np.zeros((1, simulation.lanes))))
    return found


def optimize(simulation):
    """Sample, sum energies and gradients over the ranks, and step, once per iteration."""
    deck, world = simulation.deck, simulation.world
    optimizer = method(deck, simulation.state, simulation.vector.size)
    with_covariance = declarations.needs_covariance(optimizer)
    samples = empty_samples(simulation, simulation.measurements)
    moves = simulation.batches * simulation.moves_per_batch(simulation.measurements)
    while simulation.iteration < deck.optimizer.iterations:
        started, exchanging = time.monotonic(), world.exchanging
        before = simulation.positions.copy(), simulation.randoms.copy()
        accepted = _sample(simulation, samples)
        sampling = time.monotonic() - started
        riders = Riders([accepted], [sampling])
        sums = moments(world, samples, simulation.center, simulation.batches, with_covariance, riders)
        finite = math.isfinite(sums.energy) and bool(np.isfinite(sums.gradient).all())
        harmed = optimizer.retry and has_harmed(simulation, samples, sums, finite)
        solving, summed = time.monotonic(), world.exchanging
        if harmed:
            norm, refusals = _take_back(simulation, before[0])
        elif not finite:
            where = simulation.culprit(samples.row_sums())
            simulation.positions, simulation.randoms = before
            raise NotFinite(f"optimisation iteration {simulation.iteration}: {where}")
        else:
            norm, refusals = _go_on(simulation, optimizer, samples, sums), 0
        solve = time.monotonic() - solving - (world.exchanging - summed)
        simulation.iteration += 1
        simulation.remember(simulation.vector)
        report = {
            "energy": sums.energy,
            "energy_error": sums.energy_error,
            "variance": sums.variance,
            "acceptance": riders.counts[0] / moves,
            "gradient_norm": float(np.linalg.norm(sums.gradient)),
            "step_norm": norm,
            "shrunk": float(refusals),
            "seconds": time.monotonic() - started,
            "sampling_seconds": sampling,
            "slowest_sampling_seconds": float(riders.largest[0]),
            "exchange_seconds": world.exchanging - exchanging,
            "solve_seconds": solve,
        }
        del sums  # a covariance, which would be there beside the next one's
        for name, value in report.items():
            simulation.history[name].append(value)
        yield {"phase": "optimization", "iteration": simulation.iteration, "of": deck.optimizer.iterations, **report}
    if optimizer.retry and simulation.trusted and not simulation.frozen:
        simulation.distrusts_last = _last_step_harmed(simulation, samples)
        if simulation.distrusts_last:
            yield {"phase": "settling", "sweep": 0, "of": deck.production.equilibration, "shrunk": 1}


def _sample(simulation, samples):
    """Fill the samples at the present parameters and return how many moves were accepted."""
    state = simulation.state_pack()
    accepted = walk.sample(
        simulation.sampler_pack(),
        simulation.hamiltonian_pack(),
        state,
        simulation.positions,
        simulation.randoms,
        simulation.deck.sampler.thinning,
        len(simulation.components),
        samples.values,
    )
    samples.begin(
        enumeration.weights(simulation),
        lambda positions, derivatives: walk.differentiate(state, positions, derivatives),
    )
    return accepted


# --- the step


def _go_on(simulation, optimizer, samples, sums):
    """Trust parameters and walkers as they are, take the next step and return its norm."""
    change, simulation.memory, norm = _step(simulation, optimizer, samples, sums)
    simulation.trusted = {
        "vector": simulation.vector,
        "change": change,
        "measured": np.array([sums.energy, sums.energy_error, sums.variance, norm]),
        "refusals": np.zeros(1),
    }
    simulation.vector = simulation.vector + change
    simulation.center = sums.mean
    return norm


def _step(simulation, optimizer, samples, sums):
    """Return (change, memory, norm), the same bits on all ranks."""
    world, iteration = simulation.world, simulation.iteration
    if declarations.needs_samples(optimizer):
        blocks = panel(samples.count, simulation.lanes, samples.keeps, optimizer.memory, world.size)

        def matrix_of(scale):
            return SampleMatrix(world, samples, sums, scale, simulation.batches, blocks)

        return declarations.solve(optimizer, simulation.memory, sums, matrix_of, iteration)
    change, memory, norm = simulation.vector, simulation.memory, math.nan
    if world.is_root:  # solve on one rank and broadcast
        change, memory = declarations.step(optimizer, simulation.memory, sums, iteration)
        norm = _norm(change, sums.covariance)
    change, norm, *values = world.broadcast_arrays([change, np.array([norm]), *memory.values()])
    return change, dict(zip(memory, values, strict=True)), float(norm[0])


def _norm(change, covariance):
    """Return sqrt(d S d), the Euclidean norm where S was not asked for."""
    if covariance is None:
        return float(np.linalg.norm(change))
    change = change.view(covariance.dtype)
    return math.sqrt(max((change.conj() @ covariance @ change).real, 0.0))  # rounding, where psi is flat


# --- what becomes of a step that did harm


def has_harmed(simulation, samples, sums, finite):
    """Return whether the last step is to be taken back; there may be none, or it was given up already.

    Mean and variance of a local energy with heavy tails (a psi without its cusp) jump by themselves: the variance is
    infinite, and what one iteration finds of it is mostly too little. Neither test is passed by that: an outlier raises
    the standard error as it raises the mean, and it is one sample of many.
    """
    if not simulation.trusted or simulation.trusted["refusals"][0] == MOST_REFUSALS:
        return False
    if not finite:
        return True
    energy, error, variance, _ = simulation.trusted["measured"]
    little = NEARLY_EXACT * abs(energy)
    rise = RISE * math.sqrt(variance) + ERRORS * math.hypot(error, sums.energy_error)
    if sums.energy - energy > max(rise, little) or sums.variance > EXPLODED * max(variance, little**2):
        return True
    if sums.variance <= (NEARLY_EXACT * sums.energy) ** 2:
        return False
    square = sums.variance + (sums.energy - energy) ** 2 + (sums.mean[1] ** 2 if samples.energies == 2 else 0.0)
    if square < 0.99 * MANY * FAR**2 * variance:  # then no more than MANY can be FAR (Markov), and nothing is sent
        return False
    return bool(_far(simulation, samples, energy, FAR**2 * variance) > MANY)


def _last_step_harmed(simulation, samples):
    """Return whether production must do without the last step, which no iteration has judged.

    Its samples are taken on copies of the walkers and their streams, which an extended run will go on from.
    """
    before = simulation.positions, simulation.randoms
    simulation.positions, simulation.randoms = before[0].copy(), before[1].copy()
    _sample(simulation, samples)
    sums = moments(simulation.world, samples, simulation.center, simulation.batches, False)
    simulation.positions, simulation.randoms = before
    return has_harmed(simulation, samples, sums, math.isfinite(sums.energy))


def _far(simulation, samples, energy, square):
    """Return the part of the samples with |E_L - energy|^2 > square."""
    values = samples.values  # centred
    squares = np.square(values[:, :, 0] + (samples.offset[0] - energy))
    if samples.energies == 2:
        squares += np.square(values[:, :, 1] + samples.offset[1])
    counts = (samples.weights[:, np.newaxis] * (squares > square)).sum(axis=(1, 2))
    total = simulation.deck.optimizer.samples
    bound = np.array([total * (1.0 + 1e-9)])  # all weights together
    return simulation.world.sum_bounded([counts[:, np.newaxis]], bound, simulation.batches)[0] / total


def _take_back(simulation, positions):
    """Go back to the trusted parameters and walkers, and on by a smaller part of the step; return its norm and how many
    times in a row that has now been done.

    The random streams go on: what is tried next has random numbers of its own.
    """
    trusted = simulation.trusted
    refusals = int(trusted["refusals"][0]) + 1
    gives_up = refusals == MOST_REFUSALS
    part = 0.0 if gives_up else QUARTER**refusals
    simulation.positions = positions
    simulation.window[-1] = trusted["vector"]  # what production averages has no part in the refused one
    simulation.vector = trusted["vector"] if gives_up else trusted["vector"] + part * trusted["change"]
    optimizer = simulation.deck.optimizer
    simulation.memory = declarations.shrunk(optimizer, simulation.memory, 0.0 if gives_up else QUARTER)
    simulation.trusted = trusted | {"refusals": np.array([float(refusals)])}
    return part * float(trusted["measured"][3]), refusals
