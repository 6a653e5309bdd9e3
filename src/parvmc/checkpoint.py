"""What of a simulation goes into a checkpoint, and back, on any number of ranks."""

import math

import numpy as np

from parvmc import checkpoint_file

COUNTERS = (
    "pretrained",
    "equilibrated",
    "iteration",
    "frozen",
    "settled",
    "accepted",
    "step_length",
    "optimized_step",
    "beta",
    "core_seconds",
)


def save(simulation, job):
    """Write a checkpoint; called on all ranks, the walkers stream batch by batch to rank 0 and into the file.

    Raises OSError on rank 0 alone where it cannot be written.
    """
    world = simulation.world
    local = {
        "positions": simulation.positions,
        "randoms": simulation.randoms,
        "optimized_positions": simulation.optimized_positions,
        "optimized_randoms": simulation.optimized_randoms,
        "walker_sums": simulation.walker_sums,
        **simulation.series.stored(),
        **{f"observed_{name}": values for name, values in simulation.observed.stored().items()},
    }
    batched = {
        name: ((simulation.batches, *values.shape[1:]), values.dtype, world.blocks(values))
        for name, values in local.items()
    }
    if not world.is_root:
        _exhaust(batched)
        return
    counters = {name: getattr(simulation, name) for name in COUNTERS} | {
        "per_row": simulation.series.per_row,
        "observed_per_row": simulation.observed.per_row,
        "steps": simulation.series.steps,
        "provenance": simulation.provenance,
    }
    common = {
        "vector": simulation.vector,
        "center": simulation.center,
        "extent": simulation.extent,
        "window": simulation.window,
        "reference": simulation.reference,
        **{f"pretraining_memory/{name}": values for name, values in simulation.pretraining_memory.items()},
        **{f"pretraining_history/{name}": np.array(values) for name, values in simulation.pretraining_history.items()},
        **{f"memory/{name}": values for name, values in simulation.memory.items()},
        **{f"trusted/{name}": values for name, values in simulation.trusted.items()},
        **{f"history/{name}": np.array(values, np.float64) for name, values in simulation.history.items()},
        **{
            f"parameters/{index}/{name}": values
            for index, own in enumerate(simulation.parameters)
            for name, values in own.items()
        },
    }
    attributes = {"deck": job.deck_text, "original": job.original, "counters": counters}
    try:
        checkpoint_file.write(job.files, attributes, common, batched)
    except OSError:
        _exhaust(batched)
        raise


def _exhaust(batched):
    """Send what there is to send, or take what is being sent and drop it."""
    for _, _, blocks in batched.values():
        for _ in blocks:
            pass


def restore(simulation, checkpoint):
    """Put a simulation where a checkpoint was taken; called on all ranks, `checkpoint` is None but on rank 0."""
    world = simulation.world
    attributes, common = world.broadcast((checkpoint.attributes, checkpoint.small) if checkpoint else None)
    counters = attributes["counters"]
    for name in COUNTERS:
        setattr(simulation, name, counters[name])
    simulation.earlier_core_seconds = simulation.core_seconds
    simulation.provenance = counters["provenance"] + simulation.provenance
    simulation.vector, simulation.center = common["vector"], common["center"]
    simulation.window, simulation.extent = common["window"], common["extent"]
    simulation.reference = common["reference"]
    for name, values in common.items():
        kind, _, rest = name.partition("/")
        if kind == "memory":
            simulation.memory[rest] = values
        elif kind == "trusted":
            simulation.trusted[rest] = values
        elif kind == "history":
            simulation.history[rest] = values.tolist()
        elif kind == "pretraining_memory":
            simulation.pretraining_memory[rest] = values
        elif kind == "pretraining_history":
            simulation.pretraining_history[rest] = values.tolist()
        elif kind == "parameters":
            index, _, own = rest.partition("/")
            simulation.parameters[int(index)][own] = values

    for values in simulation.history.values():  # of before there was such a column
        values[:0] = [math.nan] * (simulation.iteration - len(values))

    def share(name):
        return world.scatter(simulation.batches, lambda first, last: checkpoint.blocks(name, first, last))

    simulation.positions, simulation.randoms = share("positions"), share("randoms")
    simulation.optimized_positions = share("optimized_positions")
    simulation.optimized_randoms = share("optimized_randoms")
    simulation.walker_sums = share("walker_sums")
    simulation.series.restore(share("series"), share("pending"), counters["per_row"])
    simulation.observed.restore(share("observed_series"), share("observed_pending"), counters["observed_per_row"])
    if simulation.frozen and simulation.iteration < simulation.deck.optimizer.iterations:
        simulation.thaw()
    simulation.trim_window()
