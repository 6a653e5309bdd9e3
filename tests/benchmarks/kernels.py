"""The speed of the kernels beside a scalar loop: moves and local energies per core-second.

python tests/benchmarks/kernels.py [--json FILE]

Both sides do the same sweeps on as many walkers in the same run; times are of this process (CPU), repeats in turn. A
smaller run of the same under pytest asserts the least ratio.
"""

import argparse
import json
import math
import re
import statistics
import sys
import time
from pathlib import Path

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import lanes
import scalar_loop

from parvmc import declarations, parallel, provenance, randoms, walk
from parvmc.samplers import metropolis
from parvmc.values import Control

SYSTEMS = ((2, 2, 2), (2, 2, 8), (2, 2, 32), (10, 3, 10), (50, 3, 20))  # particles, dimensions, hidden units
STEPS = {2: 1.3, 3: 0.95}  # by dimensions, half of the moves are accepted
LANES, BATCHES = 128, 2
WALKERS = LANES * BATCHES
WORKS = ("moves and energies", "moves", "energies")


class Contest:
    """One system with its walkers, equilibrated on both sides, and the same work as done by either."""

    def __init__(self, particles, dimensions, hidden, spread=0.1):
        """Make a machine with random parameters; spread: of its biases and weights."""
        self.size = particles, dimensions, hidden
        self.system = lanes.system(particles, dimensions)
        state, parameters = lanes.machine(self.system, spread=spread, hidden=hidden)
        self.state, step = state.pack(parameters), STEPS[dimensions]
        self.sampler = declarations.sampler_pack(metropolis.Settings(), state, parameters, step)
        self.hamiltonian = declarations.hamiltonian_pack(self.system, Control())
        own = parameters[0]
        inverse, weight = own["sigma"] ** -2, own["w"] / own["sigma"][:, np.newaxis] ** 2
        self.scalar = scalar_loop.Machine(
            particles, dimensions, step, own["a"], inverse, own["b"], weight, (weight**2).sum(axis=0)
        )
        self.positions = np.random.default_rng(3).standard_normal((BATCHES, state.space.units, LANES))
        self.randoms = randoms.streams(1, randoms.Purpose.PRODUCTION, range(BATCHES), LANES)
        self.walkers = self.positions.transpose(0, 2, 1).reshape(WALKERS, -1).copy()
        scalar_loop.seed(1)
        self.lanes("moves", 200)
        self.loop("moves", 200)

    def lanes(self, work, count):
        """Do a kind of work that many times with the kernels; return (accepted moves, sum over each walker)."""
        sums, series = np.zeros((BATCHES, LANES)), np.empty((BATCHES, count, 7))
        if work == "moves":
            return walk.equilibrate(self.sampler, self.state, self.positions, self.randoms, count), sums.ravel()
        arguments = self.sampler, self.hamiltonian, self.state, self.positions, self.randoms
        return lanes.observe(*arguments, int(work != "energies"), series, sums), sums.ravel()

    def loop(self, work, count):
        """Do the same with the scalar loop."""
        sums = np.zeros((WALKERS, 2))
        if work == "energies":
            return scalar_loop.energies(self.scalar, self.walkers, count, sums), sums[:, 0]
        return scalar_loop.walk(self.scalar, self.walkers, count, work != "moves", sums), sums[:, 0]

    def disagreement(self, sweeps):
        """Return how many standard errors lie between the mean energies of the kernels and of the scalar loop."""
        means = [side(WORKS[0], sweeps)[1] / sweeps for side in (self.lanes, self.loop)]
        return abs(means[0].mean() - means[1].mean()) / math.sqrt(sum(mean.var(ddof=1) / WALKERS for mean in means))

    def race(self, work, seconds=0.15, repeats=7):
        """Return the rates per core-second, medians and best; seconds: of the scalar loop in one repeat."""
        sides = {"kernels": self.lanes, "scalar": self.loop}
        for side in sides.values():  # compiles
            side(work, 1)
        count = max(1, round(10 * seconds / _seconds(self.loop, work, 10)))
        times = [[_seconds(side, work, count) for side in sides.values()] for _ in range(repeats)]
        items = WALKERS * count * (1 if work == "energies" else self.size[0])
        columns = dict(zip(sides, zip(*times, strict=True), strict=True))
        rates = {name: items / statistics.median(column) for name, column in columns.items()}
        best = {f"{name}_best": items / min(column) for name, column in columns.items()}
        return rates | best | {"ratio": rates["kernels"] / rates["scalar"]}


def _seconds(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def machine():
    """Return {name: value} of the processor and the versions; vector_bits: width of the vectors in compiled code."""
    randoms.uniform(np.ones((4, LANES), np.uint64), np.empty(LANES))
    found = re.findall("%([xyz])mm", "".join(randoms.uniform.inspect_asm().values()))
    bits = max(({"x": 128, "y": 256, "z": 512}[name] for name in found), default="unknown")
    row = provenance.describe(parallel.World())
    names = ("processors", "python", "numpy", "numba", "parvmc", "git_commit", "start")
    return {name: row[name] for name in names} | {"vector_bits": bits, "svml": numba.config.USING_SVML}


def main():
    """Print the table, and write it with the machine as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    file, table, described = parser.parse_args().json, [], machine()
    print(*(f"{name}: {value}" for name, value in described.items()), sep="\n")
    print("\nper core-second: medians, best in brackets")
    print(f"{'N':>3}{'D':>3}{'H':>4}  {'work':<18}{'kernels':>22}{'scalar loop':>22}{'ratio':>8}")
    for size in SYSTEMS:
        contest = Contest(*size)
        if not (errors := contest.disagreement(100)) < 5.0:
            sys.exit(f"(N, D, H) = {size}: kernels and scalar loop are {errors:.1f} standard errors apart in energy")
        for work in WORKS:
            rates = contest.race(work)
            table.append(dict(zip("NDH", size, strict=True)) | {"work": work} | rates)
            sides = "".join(f"{rates[name]:>11.3g} ({rates[f'{name}_best']:.2e})" for name in ("kernels", "scalar"))
            print("{:>3}{:>3}{:>4}".format(*size), f" {work:<18}{sides}{rates['ratio']:>8.2f}", flush=True)
    if file:
        file.write_text(json.dumps({"machine": described, "rates": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
