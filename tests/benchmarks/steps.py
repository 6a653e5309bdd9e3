"""One optimisation step and its parts, in milliseconds of CPU time, beside NetKet's step of the same work.

python tests/benchmarks/steps.py [--json FILE] [--netket]

Stochastic reconfiguration with as many samples, as many sweeps between them and as many parameters on both sides, in
float64 on one core; they start from the same parameters, and their energies there are compared first. A whole step is
timed as a run takes it, with its line of JSON. Sampling is one kernel in a run: its parts, move, local energy and
derivatives, are timed alone, as are the packs that are made for it of the present parameters; what a kernel derives
from its walkers at its start is counted with the move; the rest is what the whole step takes longer than its parts. A
checkpoint is written every ten minutes and not in a step.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import math
import statistics
import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import contests
import derivatives
import kernels
import lanes
import spins

from parvmc import checkpoint, config, optimization, parallel, stages, walk
from parvmc.files import Files, Metrics
from parvmc.job import Job
from parvmc.simulation import Simulation
from parvmc.starting import starting_parameters

INPUTS = Path(__file__).parent.parent.parent / "inputs"
ON_LATTICE = """
[system]
kind = "{kind}"
lattice = {lattice}
[[state]]
kind = "spin_rbm"
density = {density}
symmetry = "translation"
parameters = "real"
[sampler]
walkers = 1024
thinning = 1
[optimizer]
kind = "reconfiguration"
samples = 1024
learning_rate = 0.01
[production]
samples = 16384
"""
ELECTRONS = ("state.0.hidden=2", "sampler.walkers=4096", "sampler.thinning=4", "optimizer.samples=4096")
SYSTEMS = {
    "two electrons, H = 2": ((INPUTS / "two_electrons.toml").read_text(), ELECTRONS),
    "Ising 80, alpha 1": (ON_LATTICE.format(kind="ising", lattice=[80], density=1), ()),
    "Heisenberg 80, alpha 1": (ON_LATTICE.format(kind="heisenberg", lattice=[80], density=1), ()),
    "Heisenberg 10 x 10, alpha 2": (ON_LATTICE.format(kind="heisenberg", lattice=[10, 10], density=2), ()),
}
ALWAYS = ("optimizer.iterations=1000000", "sampler.equilibration=200")
PARTS = ("packs", "move", "local energy", "derivatives", "sums", "solve", "output", "rest")


@contextlib.contextmanager
def accounts_in_cpu_time():
    """Let the stage keep its accounts in CPU time: on a machine that others use too, wall time says little."""
    kept, optimization.time = optimization.time, types.SimpleNamespace(monotonic=time.process_time)
    try:
        yield
    finally:
        optimization.time = kept


class Run:
    """A run that optimises, equilibrated, one step at a time."""

    def __init__(self, text, overrides, folder):
        """Compile and equilibrate; folder: for the files."""
        deck = config.resolved(config.loads(text, [*overrides, *ALWAYS]))
        self.simulation = Simulation(deck, parallel.World(), starting_parameters(deck))
        for stage in (stages.compile_kernels, stages.equilibrate):
            for _ in stage(self.simulation):
                pass
        files = Files(folder / "run.h5")
        self.job = Job(deck, config.dumps(deck), text, files, self.simulation.parameters, resumes=False)
        self.job.metrics, self.steps = Metrics(files.metrics), optimization.optimize(self.simulation)
        self.start = self.simulation.current_parameters

    def energy(self, steps=1):
        """Take so many steps and return the (energy, standard error) of the first of them."""
        first, *_ = [next(self.steps) for _ in range(steps)]
        return first["energy"], first["energy_error"]

    def seconds(self, budget):
        """Take steps for so many seconds, at least three, and return the medians of {part: seconds of one}."""
        rows = []
        while len(rows) < 3 or sum(row["whole"] for row in rows) < budget:
            start = time.process_time()
            report = next(self.steps)
            stepped = time.process_time()
            self.job.log(report, None)
            end = time.process_time()
            sampling, solve = report["sampling_seconds"], report["solve_seconds"]
            row = {"sampling": sampling, "solve": solve, "sums": report["seconds"] - sampling - solve}
            rows.append(row | {"output": end - stepped, "whole": end - start})
        return {name: statistics.median(row[name] for row in rows) for name in rows[0]}

    def sampling(self, repeats=15):
        """Return the medians of {part: seconds} of the sampling of one step, each timed alone on copies."""
        simulation, sampler = self.simulation, self.simulation.deck.sampler
        measurements = simulation.measurements

        def packs():
            return simulation.sampler_pack(), simulation.hamiltonian_pack(), simulation.state_pack()

        moves, hamiltonian, state = packs()
        walkers = simulation.positions.copy(), simulation.randoms.copy()
        batches, count = len(simulation.share), simulation.vector.size
        rows = np.empty((batches, count, simulation.lanes))
        series, sums = np.empty((batches, measurements, len(simulation.columns))), np.zeros((batches, simulation.lanes))
        calls = {
            "packs": packs,
            "beginning": lambda: walk.equilibrate(moves, state, *walkers, 0),
            "move": lambda: walk.equilibrate(moves, state, *walkers, sampler.thinning * measurements),
            "local energy": lambda: lanes.observe(moves, hamiltonian, state, *walkers, 0, series, sums),
            "derivatives": lambda: derivatives.fill(state, walkers[0], measurements, rows),
        }
        for call in calls.values():  # compiles
            call()
        times = {name: statistics.median(_seconds(call) for _ in range(repeats)) for name, call in calls.items()}
        begins = times.pop("beginning")
        return {name: taken if name in ("packs", "move") else max(taken - begins, 0.0) for name, taken in times.items()}

    def checkpoint(self, repeats=5):
        """Return the seconds of CPU time of a checkpoint, the median."""
        return statistics.median(_seconds(lambda: checkpoint.save(self.simulation, self.job)) for _ in range(repeats))


def _seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def errors_apart(run, rival):
    """Return how many standard errors lie between the energies that both begin with."""
    (energy, error), (other, its) = run.energy(), rival.energy()
    return abs(energy - other) / math.hypot(error, its)


@accounts_in_cpu_time()
def measure(name, folder, netket, repeats=5):
    """Return a row of the table; exit where NetKet has another energy."""
    run, rival, row = Run(*SYSTEMS[name], folder), None, {"system": name}
    if netket:
        from netket_steps import rival_of

        rival = rival_of(run.simulation, run.start)
        row["standard_errors_apart"] = apart = errors_apart(run, rival)
        if not apart < contests.MOST_ERRORS:
            sys.exit(f"{name}: NetKet's energy is {apart:.1f} standard errors away")
        row["netket_settings"] = rival.choose()
    run.energy(20)
    own, theirs = [], []
    for _ in range(repeats):
        own.append(run.seconds(0.4))
        theirs += [rival.seconds(1.0)] if rival else []
    row |= {part: statistics.median(times[part] for times in own) for part in own[0]}
    row |= run.sampling() | {"checkpoint": run.checkpoint()}
    row["rest"] = row["whole"] - sum(row[part] for part in PARTS[:-1])
    if rival:
        row["netket"] = statistics.median(theirs)
        row["ratio_netket"] = row["netket"] / row["whole"]
    return row | {"parameters": run.simulation.vector.size, "energy": run.simulation.history["energy"][-1]}


def main():
    """Print the table, and write it with the machine as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    parser.add_argument("--netket", action="store_true", help="time NetKet's steps too, the extra `netket`")
    given = parser.parse_args()
    if given.netket and importlib.util.find_spec("netket") is None:
        sys.exit("--netket: NetKet is not installed; `pip install netket`, or leave the option out")
    described, table = {"bound": spins.bind()} | kernels.machine(), []
    if given.netket:
        described |= {"netket": importlib.metadata.version("netket")}
    print(*(f"{name}: {value}" for name, value in described.items()), sep="\n")
    columns = [*PARTS, "whole", "checkpoint", *(["netket"] if given.netket else [])]
    print("\nmilliseconds of CPU time of one optimisation step, medians")
    print(f"{'':<28}{'parameters':>11}" + "".join(f"{name:>13}" for name in columns), "  NetKet / whole, its settings")
    for name in SYSTEMS:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(name, Path(folder), given.netket)
        table.append(row)
        numbers = "".join(f"{1e3 * row[column]:>13.4g}" for column in columns)
        ratio = f"{row['ratio_netket']:>8.1f}   {row['netket_settings']}" if given.netket else ""
        print(f"{name:<28}{row['parameters']:>11}{numbers}{ratio}", flush=True)
        if given.json:
            given.json.write_text(json.dumps({"machine": described, "steps": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
