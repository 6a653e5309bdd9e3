"""The story of a run."""

import time

import numpy as np

import parvmc
from parvmc import archive, checkpoint, launch, provenance, record
from parvmc.optimization import optimize, plan
from parvmc.pretraining import pretrain
from parvmc.progress import summary
from parvmc.simulation import NotFinite, Simulation
from parvmc.stages import compile_kernels, equilibrate, produce, settle

FINISHED, STOPPED = 0, 75


class NotWritten(Exception):
    """A file that the run cannot do without was not written: the disk is full, or the folder is gone."""


def run(job, world, orders, progress):
    """Optimise and measure; return the exit status.

    Each MPI rank moves its own batches of walkers through |psi|^2, every optimisation step sums energies and gradients
    over the ranks, and rank 0 writes what came out.
    """
    simulation = begin(job, world, progress)
    try:
        for stage in (compile_kernels, pretrain, equilibrate, optimize, settle, produce):
            for report in stage(simulation):  # at every place where a checkpoint may fall
                progress.report(report)
                for text in report.get("warnings", ()):
                    progress.warn(text)
                job.log(report, progress)
                job.beat(report)
                why, due = orders.agreed(world)
                if why or due or report.get("keep"):
                    save(simulation, job, orders.clock, "stopped" if why else "running", progress)
                if why:
                    text = f"stopped {orders.reason(why)}; go on with: {job.resume_command}"
                    progress.conclude(text, "stopped")
                    return STOPPED
    except NotFinite as error:  # all ranks raise it together, from where the last step began
        try:
            save(simulation, job, orders.clock, "failed", progress)
        except NotWritten as other:
            raise NotWritten(f"{error}; {other}") from error
        raise NotFinite(f"{error}; the checkpoint from before it is saved") from error
    finish(simulation, job, progress)
    return FINISHED


def begin(job, world, progress):
    """Place the walkers, or put them back where a checkpoint has left them."""
    simulation = Simulation(job.deck, world, job.parameters)
    simulation.provenance = [job.provenance]
    trained = f"{simulation.vector.size} parameters"
    if simulation.state.is_holomorphic:
        trained = f"{simulation.vector.size // 2} complex parameters"
    progress.say(
        f"parvmc {parvmc.__version__}, {world.size} ranks, {simulation.batches} batches of {simulation.lanes} walkers, "
        f"{trained} to train; kernels are compiled on the first run of a kind",
        "start",
        version=parvmc.__version__,
        ranks=world.size,
        batches=simulation.batches,
        lanes=simulation.lanes,
        coordinates=simulation.vector.size,
    )
    places = launch.survey(world)
    progress.say(launch.header(places))
    for text in launch.warnings(places):
        progress.warn(text)
    if job.deck.optimizer.iterations:
        progress.say(plan(job.deck, simulation.state, simulation.vector.size), "plan")
    if ", " in job.provenance["processors"]:
        progress.warn(f"ranks on different processors ({job.provenance['processors']}); the last bits may differ")
    if job.resumes:
        checkpoint.restore(simulation, job.checkpoint)
        at = f"pretraining iteration {simulation.pretrained}, " if job.deck.pretrain.iterations else ""
        at += f"optimisation iteration {simulation.iteration}, production step {simulation.series.steps}"
        counters = {"iteration": simulation.iteration, "step": simulation.series.steps}
        progress.say(f"resumed at {at}", "resumed", pretrained=simulation.pretrained, **counters)
    return simulation


def save(simulation, job, clock, status, progress):
    """Write a checkpoint, and the result file as far as the run has come; raise NotWritten where that ends the run.

    It does where the deck says so, and where the run was to end with this checkpoint. The one before stays.
    """
    started = time.monotonic()
    close_accounts(simulation)
    series = simulation.gathered_series()

    def write():
        checkpoint.save(simulation, job)
        if simulation.world.is_root:
            archive.write_result(job.files.result, *record.running(simulation, series, job, status))

    failure = failure_of(write, simulation.world)
    clock.saved(time.monotonic() - started)
    if failure:
        text = f"the checkpoint was not written: {failure}; the one before stays"
        if status != "running" or simulation.deck.output.on_write_error == "stop":
            raise NotWritten(text)
        progress.warn(f"{text}, and the run goes on")


def failure_of(write, world):
    """Call write() on all ranks and return what kept rank 0 from writing, on all ranks; None if nothing did."""
    failure = None
    try:
        write()
    except OSError as error:
        failure = " ".join(str(error).split())
    world.wait()  # nobody leaves before the files are safe
    return world.broadcast(failure)


def finish(simulation, job, progress):
    """Do the statistics of the whole production and write the final result."""
    world = simulation.world
    series, walker_means = simulation.gathered_series(), simulation.gathered_walker_means()
    rows = simulation.gathered_observed()
    close_accounts(simulation)
    seconds, moves = np.sum(world.gather([simulation.production_seconds, simulation.production_moves]), axis=0)

    def write():
        archive.write_result(job.files.result, *record.finished(simulation, series, job, values, blocked, observed))

    if world.is_root:
        values, blocked = record.results(simulation, series, walker_means)
        speed = moves / seconds if moves else None
        if speed:
            per_move = values["effective_samples"] / simulation.moves
            values["effective_samples_per_core_second"] = per_move * speed
        for text in record.warnings(simulation, values, blocked):
            progress.warn(text)
        observed = simulation.observables.quantities(simulation.extent, rows)
        core_hours = simulation.core_seconds / 3600
        fields = values | {"moves_per_core_second": speed, "core_hours": core_hours}
        progress.conclude(summary(values, speed, core_hours), "result", **fields)
    failure = failure_of(write if world.is_root else lambda: None, world)
    if failure:
        raise NotWritten(f"the result was not written: {failure}; --resume goes on from the last checkpoint")


def close_accounts(simulation):
    """Note the time, and the CPU time of all ranks since the run was first started."""
    simulation.provenance[-1]["end"] = provenance.now()
    spent = sum(simulation.world.gather(time.process_time()))
    simulation.core_seconds = simulation.earlier_core_seconds + spent
