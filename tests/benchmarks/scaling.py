"""Parallel efficiency of the optimisation from 1 to 2 ranks, and what communication takes of it.

python tests/benchmarks/scaling.py [DECK] [--set KEY=VALUE] [--iterations 200] [--repeats 9] [--ranks 2] [--json FILE]

Runs on one rank and on several by turns, kernels compiled before; medians over the repeats. Efficiency is iterations
per second, or per second of CPU time of all ranks, relative to those of one rank in the same repeat, the same work on
all ranks. Waiting ranks spin, so that CPU time counts waiting too; "CPU time outside MPI" does not, and shows on a busy
machine as well what is done by every rank alike. Communication is the time in calls of MPI: of rank 0, waiting for
others included; and of the rank that spent least in each iteration.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
WARM = 20  # iterations that are not counted


def measure(path, overrides, iterations):
    """Optimise on all ranks of this job; print on rank 0 JSON of seconds of an iteration."""
    import numpy as np

    from parvmc import config, stages
    from parvmc.optimization import optimize
    from parvmc.parallel import World
    from parvmc.simulation import Simulation
    from parvmc.starting import starting_parameters

    class Timed(World):
        """Adds up the CPU time in calls of MPI."""

        inside = 0.0

        def _counted(self, *arguments, **more):
            started = time.process_time()
            result = super()._counted(*arguments, **more)
            self.inside += time.process_time() - started
            return result

    world = Timed.start()
    overrides = [*overrides, f"optimizer.iterations={WARM + iterations}", "sampler.equilibration=100"]
    deck = config.resolved(config.loads(Path(path).read_text(), overrides))
    simulation = Simulation(deck, world, starting_parameters(deck))
    for stage in (stages.compile_kernels, stages.equilibrate):
        for _ in stage(simulation):
            pass
    for report in optimize(simulation):
        if report["iteration"] == WARM:
            world.largest(np.zeros(1))
            wall, cpu, before, inside = time.monotonic(), time.process_time(), world.traffic, world.inside
    world.largest(np.zeros(1))
    wall, cpu, traffic = time.monotonic() - wall, time.process_time() - cpu, world.traffic.since(before)
    inside = world.inside - inside
    columns = {name: simulation.history[f"{name}_seconds"][WARM:] for name in ("sampling", "exchange", "solve")}
    ranks = world.gather((cpu, columns, cpu - inside))
    if world.is_root:
        exchanges = np.array([mine["exchange"] for _, mine, _ in ranks])
        row = {"wall": wall / iterations, "cpu": sum(own for own, _, _ in ranks) / iterations}
        row |= {"outside": sum(own for _, _, own in ranks) / iterations}
        row |= {name: float(np.mean(values)) for name, values in ranks[0][1].items()}
        row |= {"least_exchange": float(exchanges.min(axis=0).mean()), "energy": simulation.history["energy"][-1]}
        print(json.dumps(row | {"calls": traffic.collectives / iterations, "bytes": traffic.bytes / iterations}))


def run(given, ranks):
    """Return what `measure` prints, on so many ranks."""
    mpirun = str(Path(sys.executable).parent / "mpirun")
    words = [mpirun, "-n", str(ranks), sys.executable, __file__, str(given.deck), "--measure"]
    words += ["--iterations", str(given.iterations), *(word for item in given.set for word in ("--set", item))]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Print the table; write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deck", nargs="?", type=Path, default=ROOT / "inputs" / "two_electrons.toml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a deck entry")
    parser.add_argument("--iterations", type=int, default=200, help="counted, of a run; default: 200")
    parser.add_argument("--repeats", type=int, default=9, help="default: 9")
    parser.add_argument("--ranks", type=int, default=2, help="default: 2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs as JSON")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        return measure(given.deck, given.set, given.iterations)
    print(f"{given.deck.name} {' '.join(given.set)}: load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores before")
    run(given, given.ranks)  # compiles
    pairs = [(run(given, 1), run(given, given.ranks)) for _ in range(given.repeats)]
    if len({row["energy"] for pair in pairs for row in pair}) != 1:
        sys.exit("runs differ in their energies: they are not the same run")

    def median(value):
        values = sorted(value(one, many) for one, many in pairs)
        return statistics.median(values), values[0], values[-1]

    rows = {
        "ms of an iteration, one rank": median(lambda one, many: 1e3 * one["wall"]),
        f"ms of an iteration, {given.ranks} ranks": median(lambda one, many: 1e3 * many["wall"]),
        "efficiency by wall time": median(lambda one, many: one["wall"] / (given.ranks * many["wall"])),
        "efficiency by CPU time": median(lambda one, many: one["cpu"] / many["cpu"]),
        "efficiency by CPU time outside MPI": median(lambda one, many: one["outside"] / many["outside"]),
        "share of calls of MPI, rank 0": median(lambda one, many: many["exchange"] / many["wall"]),
        "share of calls of MPI, least waiting": median(lambda one, many: many["least_exchange"] / many["wall"]),
        "share of the step, rank 0": median(lambda one, many: many["solve"] / many["wall"]),
        "calls of MPI in an iteration": median(lambda one, many: many["calls"]),
        "bytes in an iteration": median(lambda one, many: many["bytes"]),
    }
    for name, (middle, low, high) in rows.items():
        print(f"{name:<40}{middle:>12.4g}   ({low:.4g} to {high:.4g})")
    print(f"load {os.getloadavg()[0]:.1f} after")
    if given.json:
        given.json.write_text(json.dumps({"repeats": pairs, "medians": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
