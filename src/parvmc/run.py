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


def run(job, world, clock, progress):
    """Optimise and measure; return the exit status.

    Each MPI rank moves its own batches of walkers through |psi|^2, every optimisation step sums energies and gradients
    over the ranks, and rank 0 writes what came out.
    """
    simulation = begin(job, world, progress)
    compile_kernels(simulation)  # on one rank of each node, the others load what it left
    for text in launch.cache_warnings(world):
        progress.warn(text)
    try:
        for stage in (pretrain, equilibrate, optimize, settle, produce):
            for report in stage(simulation):  # at every place where a checkpoint may fall
                progress.report(report)
                job.log(report)
                stop, due = world.broadcast((clock.should_stop(), clock.checkpoint_due()))
                if stop or due or report.get("keep"):
                    save(simulation, job, clock, "stopped" if stop else "running")
                if stop:
                    progress.conclude(f"stopped before the time limit; go on with: {job.resume_command}")
                    return STOPPED
    except NotFinite:  # all ranks raise it together, from where the last step began
        save(simulation, job, clock, "failed")
        raise
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
        f"{trained} to train; kernels are compiled on the first run of a kind"
    )
    places = launch.survey(world)
    progress.say(launch.header(places))
    for text in launch.warnings(places):
        progress.warn(text)
    if job.deck.optimizer.iterations:
        progress.say(plan(job.deck, simulation.state, simulation.vector.size))
    if ", " in job.provenance["processors"]:
        progress.warn(f"ranks on different processors ({job.provenance['processors']}); the last bits may differ")
    if job.resumes:
        checkpoint.restore(simulation, job.checkpoint)
        at = f"pretraining iteration {simulation.pretrained}, " if job.deck.pretrain.iterations else ""
        at += f"optimisation iteration {simulation.iteration}, production step {simulation.series.steps}"
        progress.say(f"resumed at {at}")
    return simulation


def save(simulation, job, clock, status):
    """Write a checkpoint, and the result file as far as the run has come."""
    started = time.monotonic()
    close_accounts(simulation)
    checkpoint.save(simulation, job)
    series = simulation.gathered_series()
    if simulation.world.is_root:
        archive.write_result(job.files.result, *record.running(simulation, series, job, status))
    simulation.world.wait()  # nobody leaves before the files are safe
    clock.saved(time.monotonic() - started)


def finish(simulation, job, progress):
    """Do the statistics of the whole production and write the final result."""
    world = simulation.world
    series, walker_means = simulation.gathered_series(), simulation.gathered_walker_means()
    rows = simulation.gathered_observed()
    close_accounts(simulation)
    seconds, moves = np.sum(world.gather([simulation.production_seconds, simulation.production_moves]), axis=0)
    if world.is_root:
        values, blocked = record.results(simulation, series, walker_means)
        speed = moves / seconds if moves else None
        if speed:
            per_move = values["effective_samples"] / simulation.moves
            values["effective_samples_per_core_second"] = per_move * speed
        for text in record.warnings(simulation.deck, values, blocked):
            progress.warn(text)
        observed = simulation.observables.quantities(simulation.extent, rows)
        archive.write_result(job.files.result, *record.finished(simulation, series, job, values, blocked, observed))
        progress.conclude(summary(values, speed, simulation.core_seconds / 3600))
    world.wait()


def close_accounts(simulation):
    """Note the time, and the CPU time of all ranks since the run was first started."""
    simulation.provenance[-1]["end"] = provenance.now()
    spent = sum(simulation.world.gather(time.process_time()))
    simulation.core_seconds = simulation.earlier_core_seconds + spent
