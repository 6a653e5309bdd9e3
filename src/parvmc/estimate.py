"""What a deck will cost: parameters, memory per rank and core time, estimated before anything runs."""

import math

from parvmc import declarations, walk
from parvmc.observables.several import Observables
from parvmc.series import MOST_ROWS
from parvmc.simulation import OBSERVED_PER_CALL, OBSERVED_ROWS, STEPS_PER_CALL
from parvmc.starting import starting_parameters
from parvmc.states.pairs import PACKS
from parvmc.states.product import TrialState

# Nanoseconds of one core with 256-bit vectors, fitted to the benchmark's figures: good to a factor of two.
PER_MOVE, PER_HIDDEN_UNIT, PER_PAIR = 6.0, 1.8, 4.0  # PER_PAIR: of an interaction, or of a factor over pairs
PER_FLIP, PER_AMPLITUDE, COMPLEX = 0.6, 0.2, 2.5  # of a hidden unit of spins: to propose, in a local energy; factor


def estimate(deck, ranks):
    """Return lines of TOML comments: trained parameters, memory per rank, moves, and core time to a factor of two."""
    space, sampler, optimizer = declarations.space(deck.system), deck.sampler, deck.optimizer
    state = TrialState(deck.state, space)
    parameters = starting_parameters(deck)
    trained = state.coordinates(parameters).size
    total = sum(values.size for own in parameters for values in own.values())

    batches = sampler.walkers // sampler.lanes
    local = -(-batches // ranks) * sampler.lanes
    columns = len(walk.MOMENTS) + len(declarations.components(deck.system))
    steps = -(-(deck.production.samples or deck.production.max_samples) // sampler.walkers)
    rows = min(steps, MOST_ROWS)
    walkers = local * 8 * 3 * (space.units + 4)
    samples = local * 8 * (1 + trained) * (optimizer.samples // sampler.walkers)
    series = local // sampler.lanes * rows * columns * 8
    gathered = 2 * batches * rows * columns * 8
    matrices = 8 * 8 * trained**2
    numbers = Observables(deck.production.observables, space).size
    per_call = min(max(OBSERVED_PER_CALL, numbers), STEPS_PER_CALL * numbers)
    observed = local // sampler.lanes * (3 * OBSERVED_ROWS // 2 * numbers + 2 * per_call) * 8
    gathered_observed = 2 * batches * min(steps, OBSERVED_ROWS) * numbers * 8

    sweeps = optimizer.iterations * optimizer.samples * sampler.thinning + steps * sampler.walkers * sampler.thinning
    sweeps += sampler.walkers * (sampler.equilibration + deck.production.equilibration)
    sweeps += deck.pretrain.iterations * (deck.pretrain.samples or sampler.walkers) * deck.pretrain.sweeps
    measured = optimizer.iterations * optimizer.samples + steps * sampler.walkers
    packs = [declarations.state_pack(factor, space, own) for factor, own in zip(deck.state, parameters, strict=True)]
    over_pairs = 1 + sum(type(pack) in PACKS for pack in packs)
    cost = _of_spins(deck, space) if isinstance(space, declarations.Spins) else _of_particles(deck, space, over_pairs)
    nanoseconds = sweeps * cost[0] + measured * cost[1] + optimizer.iterations * optimizer.samples * trained**2 / 8

    lines = [
        f"parameters: {total}, of which {trained} are trained",
        f"memory per rank: {_size(walkers + samples + series + matrices + observed)} besides the program's own, "
        f"rank 0 {_size(gathered + gathered_observed)} more",
        f"walkers: {sampler.walkers} in {batches} batches, {local} on a rank at the most of {ranks}; "
        f"up to {batches} ranks can share them",
        f"moves: {sweeps * space.particles:.2g}; about {nanoseconds / 1e9 / 60:.1g} core-minutes "
        "besides start-up and compiling (to a factor of two)",
    ]
    if numbers:
        text = (
            f"observables: {numbers} numbers at every step, in {min(steps, OBSERVED_ROWS)} rows for each batch: of the"
        )
        lines.insert(2, f"{text} memory {_size(observed)} per rank, rank 0 {_size(gathered_observed)} more at the end")
    return "\n".join(f"# {line}" for line in lines)


def _hidden(deck):
    return sum(factor.hidden for factor in deck.state if hasattr(factor, "hidden"))


def _of_particles(deck, space, over_pairs):
    """Return the nanoseconds of a sweep and of a measurement of one walker; over_pairs: factors over pairs, plus 1."""
    hidden, pairs = _hidden(deck), space.particles * (space.particles - 1) / 2
    moves = space.particles * (PER_MOVE + PER_HIDDEN_UNIT * hidden)
    moves *= 2.0 if deck.sampler.kind == "langevin" else 1.0  # the drift at both ends of a move
    return moves + 2.0 * pairs * (over_pairs - 1) * PER_PAIR, pairs * PER_PAIR * over_pairs + space.units * hidden


def _of_spins(deck, space):
    """Return the nanoseconds of a sweep and of a measurement of one walker."""
    hidden = _hidden(deck) * (COMPLEX if any(map(declarations.is_holomorphic, deck.state)) else 1.0)
    connected = len(space.exchanges) or space.units
    return space.units * (PER_MOVE + PER_FLIP * hidden), (connected + space.units) * PER_AMPLITUDE * hidden


def _size(count):
    exponent = min(max(int(math.log10(max(count, 1)) // 3), 1), 4)
    return f"{count / 1000**exponent:.1f} {' kMGT'[exponent]}B"
