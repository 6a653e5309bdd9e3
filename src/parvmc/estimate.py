"""What a deck will cost: parameters, memory per rank and core time, estimated before anything runs."""

import math
import os
from dataclasses import dataclass, fields, replace

from parvmc import declarations, optimization, walk
from parvmc.deck import OPTIMIZERS
from parvmc.observables.several import Observables
from parvmc.pace import Plan
from parvmc.scaling_model import ONCE, Costs, Fabric, Work, advice, units
from parvmc.schema import DeckError
from parvmc.series import MOST_ROWS
from parvmc.simulation import OBSERVED_PER_CALL, OBSERVED_ROWS, STEPS_PER_CALL
from parvmc.spaces import Spins
from parvmc.stages import FIRST_LOOK
from parvmc.starting import starting_parameters
from parvmc.states.pairs import PACKS
from parvmc.states.product import TrialState
from parvmc.values import DENSE_ARRAYS, SAMPLE_ARRAYS

# Nanoseconds of one core with 256-bit vectors, fitted to the benchmark's figures: good to a factor of two.
PER_MOVE, PER_HIDDEN_UNIT, PER_PAIR = 6.0, 1.8, 4.0  # PER_PAIR: of an interaction, or of a factor over pairs
# The same of spins, each for real and for complex parameters. A move is proposed, a connected configuration enters the
# local energy, and a derivative is that of a site and a hidden unit, or of a pair of sites.
PER_FLIP, PER_FLIP_AND_UNIT = (9.0, 7.5), (0.26, 0.60)
PER_AMPLITUDE, PER_AMPLITUDE_AND_UNIT = (4.5, 4.5), (0.13, 0.38)
PER_DERIVATIVE = (0.13, 0.24)
PER_FIELD = (0.2, 0.4)  # of a Jastrow factor, in a move: the field of each site
PER_PRODUCT, PER_ELEMENT = 0.1, 0.3  # a multiplication and an addition in a product of matrices, of matrix and vector
PER_NORMAL = 20.0  # a normal random number of numpy
PER_TERM = 5.0  # a number in an exact sum over blocks
ITERATIONS = 200  # of conjugate gradients in a step: some take tens, some hundreds


def estimate(deck, ranks):
    """Return lines of TOML comments: trained parameters, memory per rank, moves, and core time to a factor of two."""
    space, sampler, optimizer = declarations.space(deck.system), deck.sampler, deck.optimizer
    state = TrialState(deck.state, space)
    parameters = starting_parameters(deck)
    coordinates = state.coordinates(parameters).size
    trained = coordinates // 2 if state.is_holomorphic else coordinates
    total = sum(values.size for own in parameters for values in own.values())

    batches, steps = sampler.walkers // sampler.lanes, production_steps(deck)
    local = -(-batches // ranks) * sampler.lanes
    needed = memory(deck, state, coordinates, ranks)
    numbers = Observables(deck.production.observables, space).size
    phases = _phases(deck, state, parameters, coordinates)
    moves = sum(count * own for count, own, _ in phases.values())
    nanoseconds = sum(count * cost for count, _, cost in phases.values())

    kind = "complex ones, " if state.is_holomorphic else ""
    lines = [
        f"parameters: {total}, {kind}of which {trained} are trained",
        f"memory per rank: {_size(needed.of_rank)} besides the program's own, rank 0 {_size(needed.of_root)} more",
        f"walkers: {sampler.walkers} in {batches} batches, {local} on a rank at the most of {ranks}; "
        f"up to {batches} ranks can share them",
        f"moves: {moves:.2g}; about {nanoseconds / 1e9 / 60:.2g} core-minutes "
        "besides start-up and compiling (to a factor of two)",
    ]
    if optimizer.iterations:
        text = f"{optimization.plan(deck, state, coordinates)}: of the memory {_size(needed.samples)} for samples"
        text += f", {_size(needed.matrices)} for matrices" if needed.matrices else ""
        text += f", {_size(needed.matrices_of_root)} for those of rank 0" if needed.matrices_of_root else ""
        lines.insert(2, text)
        lines += _advice(deck, state, coordinates, phases, ranks)
    if numbers:
        text = (
            f"observables: {numbers} numbers at every step, in {min(steps, OBSERVED_ROWS)} rows for each batch: of the"
        )
        text += f" memory {_size(needed.observed + needed.observed_in_passing)} per rank"
        lines.insert(2, f"{text}, rank 0 {_size(needed.observed_of_root)} more at the end")
    return "\n".join(f"# {line}" for line in lines)


# --- memory


@dataclass(frozen=True)
class Memory:
    """Bytes of a rank, and those that rank 0 alone has.

    Walkers stay; samples and matrices are those of the optimisation, gone when production begins. In production a rank
    keeps its series and what its observables found, of which a part comes and goes (observed_in_passing); at the end
    rank 0 has those of all ranks as well.
    """

    walkers: int
    samples: int
    matrices: int
    series: int
    observed: int
    observed_in_passing: int
    matrices_of_root: int
    series_of_root: int
    observed_of_root: int

    @property
    def of_rank(self):
        """The most that every rank has at a time."""
        production = self.series + self.observed + self.observed_in_passing
        return self.walkers + max(self.samples + self.matrices, production)

    @property
    def of_root(self):
        """How much more rank 0 has at a time."""
        kept = self.series + self.observed + self.series_of_root
        production = kept + max(self.observed_in_passing, self.observed_of_root)
        return self.walkers + max(self.samples + self.matrices + self.matrices_of_root, production) - self.of_rank


def require_memory(deck, ranks):
    """Raise DeckError where rank 0 alone would need more memory than its machine has.

    With a target error the series may never become as long as they can: they are not counted.
    """
    space = declarations.space(deck.system)
    state = TrialState(deck.state, space)
    stated = memory(deck, state, state.coordinates(starting_parameters(deck, warm=False)).size, ranks)
    if deck.production.samples is None:
        stated = replace(stated, series=0, series_of_root=0)
    needed, there = stated.of_rank + stated.of_root, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        parts = {field.name: getattr(stated, field.name) for field in fields(stated)}
        most = max(parts, key=parts.get).replace("_", " ")
        reason = (
            f"needs {_size(needed)} on rank 0 of {ranks}, most of it for {most}, and this machine has {_size(there)}"
        )
        raise DeckError([("deck", f"{reason}; ask for less, or start more ranks; --check tells what a deck needs")])


def production_steps(deck):
    """Return the steps of production, at the most."""
    return -(-(deck.production.samples or deck.production.max_samples) // deck.sampler.walkers)


def memory(deck, state, coordinates, ranks):
    """Return the `Memory` of a run of a resolved deck on so many ranks; coordinates: trained ones of the TrialState."""
    sampler, space = deck.sampler, state.space
    batches, steps = sampler.walkers // sampler.lanes, production_steps(deck)
    own = -(-batches // ranks)
    columns = len(walk.MOMENTS) + len(declarations.components(deck.system)) + state.is_holomorphic
    rows = min(steps, MOST_ROWS)
    numbers = Observables(deck.production.observables, space).size
    per_call = min(max(OBSERVED_PER_CALL, numbers), STEPS_PER_CALL * numbers)
    samples, matrices, of_root = _memory_of_steps(deck, state, coordinates, own * sampler.lanes, ranks)
    return Memory(
        walkers=own * sampler.lanes * 8 * 3 * (space.units + 4),
        samples=samples,
        matrices=matrices,
        series=own * rows * columns * 8,
        observed=own * OBSERVED_ROWS * numbers * 8,
        observed_in_passing=own * (OBSERVED_ROWS // 2 * numbers + 2 * per_call) * 8,
        matrices_of_root=of_root,
        series_of_root=2 * batches * rows * columns * 8,
        observed_of_root=2 * batches * min(steps, OBSERVED_ROWS) * numbers * 8,
    )


# --- the optimiser


def _memory_of_steps(deck, state, coordinates, local, ranks):
    """Return the bytes of a rank's samples, of a rank's matrices, and of those that rank 0 alone has."""
    optimizer = optimization.method(deck, state, coordinates)
    energies = 2 if state.is_holomorphic else 1
    number, trained = 8 * energies, coordinates // energies
    kept = optimization.keeps(deck, state, coordinates)
    samples = local * 8 * (energies + (coordinates if kept else state.space.units))
    samples *= optimizer.samples // deck.sampler.walkers
    if not declarations.needs_samples(optimizer):
        covariance = declarations.needs_covariance(optimizer)
        return samples, DENSE_ARRAYS * number * trained**2 if covariance else 0, 0
    if not kept:  # blocks that are computed again, and for minsr those of other ranks
        block = 8 * coordinates * deck.sampler.lanes
        most = int(1e9 * optimizer.memory / ranks)
        samples += block + (min(most, 8 * coordinates * optimizer.samples) if optimizer.method != "cg" else 0)
    return samples, 0, 0 if optimizer.method == "cg" else SAMPLE_ARRAYS * number * optimizer.samples**2


def _time_of_step(deck, state, coordinates, derivative):
    """Return the nanoseconds, over all ranks, of what an iteration does with its samples: of the sums, of what ranks
    share in finding the step, and of what one does.

    derivative: nanoseconds of the log-derivatives of one sample.
    """
    optimizer = optimization.method(deck, state, coordinates)
    samples, parts = optimizer.samples, 2 if state.is_holomorphic else 1
    trained, again = coordinates // parts, 0 if optimization.keeps(deck, state, coordinates) else derivative

    def shared(passes, elements, terms, products=0.0):
        walked = passes * samples * again + elements * PER_ELEMENT + products * PER_PRODUCT
        return walked + terms * PER_TERM / deck.sampler.lanes

    once = samples * coordinates
    if declarations.needs_covariance(optimizer):
        terms = once + samples * trained**2 * parts / 2
        return shared(2, 2 * once, terms, once * coordinates), 0.0, parts**2 * trained**3 / 3 * PER_PRODUCT
    sums = shared(2, 2 * once, once)
    if not declarations.needs_samples(optimizer):
        return sums, 0.0, coordinates * PER_ELEMENT
    if optimizer.method == "cg":
        step = shared(ITERATIONS, ITERATIONS * 2 * parts * once, ITERATIONS * once)
        return sums, step, ITERATIONS * 10 * coordinates * PER_ELEMENT
    return sums, shared(3, 0.0, once, parts * once * samples / 2), parts**2 * samples**3 / 3 * PER_PRODUCT


def _advice(deck, state, coordinates, phases, ranks):
    """Return lines on the number of ranks."""
    optimizer, sampler = optimization.method(deck, state, coordinates), deck.sampler
    work = Work(
        method=getattr(optimizer, "method", optimizer.kind),
        coordinates=coordinates,
        parts=2 if state.is_holomorphic else 1,
        batches=sampler.walkers // sampler.lanes,
        measurements=optimizer.samples // sampler.walkers,
        lanes=sampler.lanes,
        products=ITERATIONS,
        keeps=optimization.keeps(deck, state, coordinates),
        memory=optimizer.memory,
        weighted=declarations.listed(sampler, state.space) is not None,
    )
    sums, shared, serial = (1e-9 * part for part in _time_of_step(deck, state, coordinates, _derivative(deck, state)))
    sampling = 1e-9 * phases["optimization"][2] - sums - shared - serial
    (_, blocks), (once, share) = units(work, work.blocks, 1)
    each = sums / blocks
    costs = Costs(sampling / blocks, (ONCE * each, each), (serial / once, shared / share if share else 0.0))
    return advice(work, costs, ranks, Fabric())


# --- walking and measuring


def plan(deck, parameters):
    """Return the `Plan` of a run with this resolved deck, costs in nanoseconds of one core."""
    state, target = TrialState(deck.state, declarations.space(deck.system)), deck.production.target_error
    phases = _phases(deck, state, parameters, state.coordinates(parameters).size)
    return Plan({name: (units, cost) for name, (units, _, cost) in phases.items()}, target, FIRST_LOOK)


def _phases(deck, state, parameters, coordinates):
    """Return {phase: (units, moves of one, nanoseconds of one over all ranks)} in their order; units: iterations,
    sweeps or steps."""
    sampler, optimizer, pretrain, space = deck.sampler, deck.optimizer, deck.pretrain, state.space
    sweep, measurement = (_of_spins if isinstance(space, Spins) else _of_particles)(deck, space, parameters)
    derivative = _derivative(deck, state)
    walkers, samples, data = sampler.walkers, optimizer.samples, pretrain.samples or sampler.walkers
    particles, thinning, measured = space.particles, sampler.thinning, walkers
    if declarations.listed(sampler, space) is not None:  # nothing moves, and one measurement serves many steps
        particles = sweep = 0
        measured = walkers / STEPS_PER_CALL
    step = sum(_time_of_step(deck, state, coordinates, derivative))
    iteration = samples * (thinning * sweep + measurement + derivative) + step
    fit = data * (pretrain.sweeps * sweep + 2 * measurement + space.units * PER_NORMAL)  # of chains and of data
    fitting = replace(deck, optimizer=OPTIMIZERS[pretrain.optimizer](samples=data))
    fit += sum(_time_of_step(fitting, state, coordinates, derivative)) if pretrain.iterations else 0.0
    return {
        "pretraining": (pretrain.iterations, data * pretrain.sweeps * particles, fit),
        "equilibration": (sampler.equilibration if optimizer.iterations else 0, walkers * particles, walkers * sweep),
        "optimization": (optimizer.iterations, samples * thinning * particles, iteration),
        "settling": (deck.production.equilibration, walkers * particles, walkers * sweep),
        "production": (
            production_steps(deck),
            walkers * thinning * particles,
            walkers * thinning * sweep + measured * measurement,
        ),
    }


def _hidden(deck):
    return sum(factor.hidden for factor in deck.state if hasattr(factor, "hidden"))


def _of_particles(deck, space, parameters):
    """Return the nanoseconds of a sweep and of a measurement of one walker."""
    packs = [declarations.state_pack(factor, space, own) for factor, own in zip(deck.state, parameters, strict=True)]
    over_pairs = 1 + sum(type(pack) in PACKS for pack in packs)
    hidden, pairs = _hidden(deck), space.particles * (space.particles - 1) / 2
    moves = space.particles * (PER_MOVE + PER_HIDDEN_UNIT * hidden)
    moves *= 2.0 if deck.sampler.kind == "langevin" else 1.0  # the drift at both ends of a move
    return moves + 2.0 * pairs * (over_pairs - 1) * PER_PAIR, pairs * PER_PAIR * over_pairs + space.units * hidden


def _derivative(deck, state):
    """Return the nanoseconds of the log-derivatives of one walker, those of particles being part of the measurement."""
    if not isinstance(state.space, Spins):
        return 0.0
    jastrows, sites = sum(not hasattr(factor, "hidden") for factor in deck.state), state.space.units
    return PER_DERIVATIVE[int(state.is_holomorphic)] * sites * (_hidden(deck) + jastrows * sites / 2)


def _of_spins(deck, space, parameters):
    """Return the nanoseconds of a sweep and of a local energy of one walker."""
    kind, hidden, sites = int(any(map(declarations.is_holomorphic, deck.state))), _hidden(deck), space.units
    jastrows = sum(not hasattr(factor, "hidden") for factor in deck.state)
    connected = len(space.exchanges) or sites
    move = PER_FLIP[kind] + PER_FLIP_AND_UNIT[kind] * hidden + PER_FIELD[kind] * sites * jastrows
    energy = connected * (PER_AMPLITUDE[kind] * (1 + jastrows) + PER_AMPLITUDE_AND_UNIT[kind] * hidden)
    return sites * move, energy


def _size(count):
    exponent = min(max(int(math.log10(max(count, 1)) // 3), 1), 4)
    return f"{count / 1000**exponent:.1f} {' kMGT'[exponent]}B"
