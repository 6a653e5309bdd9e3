"""The stages of a run, each a generator that goes on from wherever the simulation is.

A stage yields a report (a dict) at every place where a checkpoint may fall, on all ranks alike.
"""

import math
import time

import numpy as np

from parvmc import declarations, enumeration, launch, optimization, pretraining, spaces, statistics, walk
from parvmc.simulation import MOVES_PER_CALL, NotFinite

TUNING_SWEEPS = 20
FIRST_LOOK = 1024
EXTENT = 1.25  # times the farthest of the walkers as they are when production begins
BETAS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Candidates of the control variate's beta, in units of the root of the largest trap frequency."""


def kernel_calls(simulation):
    """Return a call on no work of each kernel that the run will need; together they compile all of them."""
    lanes, rows = simulation.lanes, len(simulation.columns)
    positions, randoms = simulation.positions[:1].copy(), simulation.randoms[:1].copy()
    sampler, hamiltonian, state = simulation.sampler_pack(), simulation.hamiltonian_pack(), simulation.state_pack()
    observables = simulation.observables_pack()
    found = [lambda: walk.equilibrate(sampler, state, positions, randoms, 0)]
    if simulation.pretrained < simulation.deck.pretrain.iterations:
        found += pretraining.kernel_calls(simulation)
    if simulation.deck.optimizer.iterations:  # compiling these takes longest
        found += optimization.kernel_calls(simulation, sampler, hamiltonian, state, positions, randoms)
    series, walker_sums, observed = np.empty((1, 0, rows)), np.empty((1, lanes)), np.empty((1, 0, observables.size))
    walking = sampler, hamiltonian, state, observables, positions, randoms, 0
    return [*found, lambda: walk.observe(*walking, series, walker_sums, observed)]


def compile_kernels(simulation):
    """Call each kernel that the run needs, one rank of each node first: the others load what it left."""
    calls = kernel_calls(simulation)
    report = {"phase": "compilation", "of": len(calls)}
    for done, call in enumerate(calls):
        yield report | {"sweep": done}
        simulation.world.one_per_node_first(call)
    yield report | {"sweep": len(calls), "warnings": launch.cache_warnings(simulation.world)}


def _walk(simulation, done, sweeps):
    """Walk up to TUNING_SWEEPS of the sweeps that are left and return how many; the step is tuned in the first half."""
    moves = simulation.deck.sampler.walkers * simulation.space.particles
    count = min(TUNING_SWEEPS, max(1, MOVES_PER_CALL // moves), max(1, sweeps // 4), sweeps - done)
    accepted = walk.equilibrate(
        simulation.sampler_pack(), simulation.state_pack(), simulation.positions, simulation.randoms, count
    )
    accepted = simulation.world.count(accepted)
    sampler = simulation.deck.sampler
    target = declarations.target_acceptance(sampler, simulation.space)
    if target is not None and done + count <= (sweeps + 1) // 2:
        rate = accepted / (count * moves)
        simulation.step_length *= math.exp(2.0 * (rate - target))
    return count


def equilibrate(simulation):
    """Walk before the optimisation until the walkers have forgotten where they were put."""
    sweeps = simulation.deck.sampler.equilibration
    while simulation.deck.optimizer.iterations and simulation.equilibrated < sweeps:
        simulation.equilibrated += _walk(simulation, simulation.equilibrated, sweeps)
        yield {"phase": "equilibration", "sweep": simulation.equilibrated, "of": sweeps}


def settle(simulation):
    """Freeze the parameters, walk anew until the walkers follow them, and choose the control variate's beta."""
    if not simulation.frozen:
        simulation.freeze()
    sweeps = simulation.deck.production.equilibration
    while simulation.settled < sweeps:
        simulation.settled += _walk(simulation, simulation.settled, sweeps)
        if simulation.settled == sweeps and isinstance(simulation.space, spaces.Space):
            simulation.beta = _best_beta(simulation)
        yield {"phase": "settling", "sweep": simulation.settled, "of": sweeps}


def _best_beta(simulation):
    """Return the candidate whose estimator varies least over the walkers as they are.

    The kernel is that of production, observables included: another would have to be compiled. What they find is of no
    interest, and the random numbers that they may draw are those of copies.
    """
    variances, observables = {}, simulation.observables_pack()
    for beta in (factor * simulation.space.inverse_length for factor in BETAS):
        series = np.empty((len(simulation.share), 1, len(simulation.columns)))
        walk.observe(
            simulation.sampler_pack(),
            simulation.hamiltonian_pack(beta),
            simulation.state_pack(),
            observables,
            simulation.positions,
            simulation.randoms.copy(),
            0,
            series,
            np.zeros_like(simulation.walker_sums),
            np.zeros((len(simulation.share), 1, observables.size)),
        )
        means = simulation.world.sum(series[:, 0], simulation.batches) / simulation.batches
        variances[beta] = means[3] - means[0] ** 2
    return min(variances, key=variances.get)


def produce(simulation):
    """Measure with the parameters frozen until the deck's samples are taken, or its target error is reached.

    A report with `keep` is one that a checkpoint must follow: from the last place before the end, at which an extended
    run would go on, so that it will be the run that would have been.
    """
    deck = simulation.deck
    goal = -(-(deck.production.samples or deck.production.max_samples) // deck.sampler.walkers)
    if simulation.series.steps == 0:
        simulation.extent = _extent(simulation)
    while True:
        left = goal - simulation.series.steps
        reached = _target_reached(simulation)
        yield {**_production_report(simulation), "of": goal, "keep": reached or left < simulation.steps_per_call}
        if reached or left == 0:
            return
        _observe(simulation, min(left, simulation.steps_per_call))
        if left < simulation.steps_per_call:
            return


def _extent(simulation):
    """Return how far from the origin observables must look along each axis, float64[dimensions], with room to spare."""
    reach = np.abs(simulation.positions).max(axis=(0, 2), initial=0.0).reshape(-1, simulation.space.dimensions)
    return EXTENT * simulation.world.largest(reach.max(axis=0))


def _observe(simulation, steps):
    deck, world = simulation.deck, simulation.world
    before = simulation.positions.copy(), simulation.randoms.copy(), simulation.walker_sums.copy()
    block = np.empty((len(simulation.share), steps, len(simulation.columns)))
    found = np.zeros((len(simulation.share), steps, simulation.observables.size))
    started = time.process_time()
    if declarations.listed(deck.sampler, simulation.space) is not None:
        accepted = enumeration.observe(simulation, steps, block, found)
    else:
        accepted = walk.observe(
            simulation.sampler_pack(),
            simulation.hamiltonian_pack(simulation.beta),
            simulation.state_pack(),
            simulation.observables_pack(),
            simulation.positions,
            simulation.randoms,
            deck.sampler.thinning,
            block,
            simulation.walker_sums,
            found,
        )
    simulation.production_seconds += time.process_time() - started
    simulation.production_moves += len(simulation.share) * simulation.moves_per_batch(steps)
    bad, accepted = world.count(not np.isfinite(block).all(), accepted)
    if bad:
        where = simulation.culprit(simulation.walker_sums)
        step = simulation.series.steps
        simulation.positions, simulation.randoms, simulation.walker_sums = before
        raise NotFinite(f"production steps {step} to {step + steps}: {where}")
    simulation.accepted += accepted
    simulation.series.add(block)
    simulation.observed.add(found)


def _target_reached(simulation):
    """Look at the error when the steps have doubled, from FIRST_LOOK on: looking more often would bias it low."""
    target, steps = simulation.deck.production.target_error, simulation.series.steps
    if target is None or steps < FIRST_LOOK or steps & (steps - 1):
        return False
    series = simulation.gathered_series()
    reached = None
    if simulation.world.is_root:
        table = statistics.block(series[:, :, 0])
        reached = bool(table.plateau and table.error[table.level] <= target)
    return simulation.world.broadcast(reached)


def _production_report(simulation):
    """Return where production is; the error is that of independent batches, an honest one without blocking."""
    steps, batches = simulation.series.steps, simulation.batches
    report = {"phase": "production", "step": steps}
    if steps == 0:
        return report
    means = simulation.walker_sums.mean(axis=1) / steps
    center = simulation.center[0]
    sums = simulation.world.sum(np.stack([means - center, np.square(means - center)], axis=1), batches) / batches
    spread = max(sums[1] - sums[0] ** 2, 0.0)
    error = math.sqrt(spread / (batches - 1)) if batches > 1 else math.nan
    return report | {
        "energy": center + sums[0],
        "energy_error": error,
        "acceptance": simulation.accepted / simulation.moves,
    }
