"""What a deck will cost: parameters, memory per rank and core time, estimated before anything runs."""

from dataclasses import replace

from parvmc import declarations, optimization
from parvmc.deck import OPTIMIZERS
from parvmc.memory import memory, production_steps, sized
from parvmc.observables.several import Observables
from parvmc.pace import Plan
from parvmc.scaling_model import ONCE, Costs, Fabric, Work, advice, units
from parvmc.simulation import OBSERVED_ROWS, STEPS_PER_CALL
from parvmc.spaces import Spins
from parvmc.stages import FIRST_LOOK
from parvmc.starting import starting_parameters
from parvmc.states.pairs import PACKS
from parvmc.states.product import TrialState

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
        f"memory per rank: {sized(needed.of_rank)} besides the program's own, rank 0 {sized(needed.of_root)} more",
        f"walkers: {sampler.walkers} in {batches} batches, {local} on a rank at the most of {ranks}; "
        f"up to {batches} ranks can share them",
        f"moves: {moves:.2g}; about {nanoseconds / 1e9 / 60:.2g} core-minutes "
        "besides start-up and compiling (to a factor of two)",
    ]
    if optimizer.iterations:
        text = f"{optimization.plan(deck, state, coordinates)}: of the memory {sized(needed.samples)} for samples"
        text += f", {sized(needed.matrices)} for matrices" if needed.matrices else ""
        text += f", {sized(needed.matrices_of_root)} for those of rank 0" if needed.matrices_of_root else ""
        lines.insert(2, text)
        lines += _advice(deck, state, coordinates, phases, ranks)
    if numbers:
        text = (
            f"observables: {numbers} numbers at every step, in {min(steps, OBSERVED_ROWS)} rows for each batch: of the"
        )
        text += f" memory {sized(needed.observed + needed.observed_in_passing)} per rank"
        lines.insert(2, f"{text}, rank 0 {sized(needed.observed_of_root)} more at the end")
    return "\n".join(f"# {line}" for line in lines)


# --- the optimiser


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
