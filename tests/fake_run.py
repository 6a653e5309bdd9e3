"""The files of a run that was stopped in production, by the program's own hands but without kernels: nobody walked."""

import contextlib

import fake_result
import numpy as np

from parvmc import __main__, archive, checkpoint, job, provenance, record
from parvmc.parallel import World
from parvmc.progress import Progress
from parvmc.simulation import Simulation

ROWS = 16
SILENT = Progress(speaks=False, quiet=True)


def options(folder, *arguments):
    """Return the options of a command line for the run in this folder."""
    deck = folder / "run.toml"
    if not deck.exists():
        deck.write_text(fake_result.DECK)
    return __main__.command_line().parse_args([str(deck), "-o", str(folder / "run.h5"), *arguments])


def write(folder, *settings):
    """Write the pair of checkpoints, the result and the log into an empty folder and return their `Files`.

    settings: KEY=VALUE as for --set.
    """
    given = options(folder, *(f"--set={setting}" for setting in settings))
    deck, original = job.read_deck(given)
    random = np.random.default_rng(5)
    with contextlib.ExitStack() as held:
        prepared = job.prepare(deck, original, given, held, SILENT)
        simulation = Simulation(deck, World(), prepared.parameters)
        simulation.provenance = [provenance.describe(simulation.world)]
        for values in simulation.history.values():
            values.extend(random.normal(3.0, 0.1, deck.optimizer.iterations))
        simulation.history["shrunk"] = [0.0] * deck.optimizer.iterations
        simulation.iteration = deck.optimizer.iterations
        simulation.freeze()
        for _ in range(2):
            simulation.series.add(random.normal(3.0, 0.1, (simulation.batches, ROWS // 2, len(simulation.columns))))
            checkpoint.save(simulation, prepared)
        series = simulation.gathered_series()
        archive.write_result(prepared.files.result, *record.running(simulation, series, prepared, "stopped"))
        for number in range(deck.optimizer.iterations):
            energy = simulation.history["energy"][number]
            prepared.log({"phase": "optimization", "iteration": number + 1, "energy": energy}, SILENT)
    return prepared.files
