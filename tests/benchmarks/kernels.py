"""The speed of the kernels beside scalar loops and the limit: moves, local energies and derivative vectors per
core-second.

python tests/benchmarks/kernels.py [--json FILE]

All sides do the same sweeps on as many walkers in the same run: the kernels, a scalar loop compiled by Numba, and the
same in C++ where there is a compiler. Times are of this process (CPU), repeats in turn. The limit is that of limits.py.
Two more systems have factors for pairs: ten electrons with a Pade-Jastrow factor, and ten hard spheres; beside them
there is a scalar loop in Numba alone, and the limit has not been counted.
A smaller run of the same under pytest asserts the least ratios.
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
import derivatives
import lanes
import limits
import native_loop
import scalar_loop

from parvmc import declarations, parallel, provenance, randoms, walk
from parvmc.samplers import metropolis
from parvmc.values import Control

SYSTEMS = ((2, 2, 2), (2, 2, 8), (2, 2, 32), (10, 3, 10), (50, 3, 20))  # particles, dimensions, hidden units
PLAIN = "machine"  # what the state of these is called
STEPS = {2: 1.3, 3: 0.95}  # by dimensions, half of the moves are accepted
LANES, BATCHES = 128, 2
WALKERS = LANES * BATCHES
WORKS = ("moves and energies", "moves", "energies", "derivatives")
MOST_ERRORS, ROUNDING = 5.0, 1e-10
LABELS = {"kernels": "kernels", "scalar": "scalar loop", "native": "C++ loop"}


def scalar_machine(particles, dimensions, step, own):
    """Return the machine of the scalar loops; own: parameters of a Gaussian-binary machine."""
    inverse = own["sigma"] ** -2
    weight = own["w"] * inverse[:, np.newaxis]
    return scalar_loop.Machine(
        particles, dimensions, step, own["a"], inverse, own["b"], weight, (weight**2).sum(axis=0)
    )


def electrons(particles, dimensions, hidden, spread=0.1):
    """Return the contest of electrons with a machine of random parameters; spread: of its biases and weights."""
    system, step = lanes.system(particles, dimensions), STEPS[dimensions]
    state, parameters = lanes.machine(system, spread=spread, hidden=hidden)
    scalar = scalar_machine(particles, dimensions, step, parameters[0])
    loops = {"scalar": scalar_loop.Loop(scalar)}
    if native_loop.compiler():
        loops["native"] = native_loop.Loop(scalar)
    return Contest((particles, dimensions, hidden), system, state, parameters, step, loops)


class Contest:
    """One system with its walkers, equilibrated on all sides, and the same work as done by each."""

    def __init__(self, size, system, state, parameters, step, loops):
        """size: particles, dimensions, hidden units; step: of the moves; loops: {side: loop} to compare with."""
        self.size, self.system, self.state, self.loops = size, system, state.pack(parameters), loops
        self.sampler = declarations.sampler_pack(metropolis.Settings(), state, parameters, step)
        self.hamiltonian = declarations.hamiltonian_pack(self.system, Control())
        has_derivatives = all(hasattr(loop, "derivatives") for loop in loops.values())
        self.works = [work for work in WORKS if work != "derivatives" or has_derivatives]
        self.positions = np.random.default_rng(3).standard_normal((BATCHES, state.space.units, LANES))
        self.randoms = randoms.streams(1, randoms.Purpose.PRODUCTION, range(BATCHES), LANES)
        walkers = self.positions.transpose(0, 2, 1).reshape(WALKERS, -1)
        self.walkers = {name: walkers.copy() for name in self.loops}
        self.sides = ("kernels", *self.loops)
        self.rows = {side: np.empty((WALKERS, self.state.count)) for side in self.loops}
        self.rows["kernels"] = np.empty((BATCHES, self.state.count, LANES))
        for side in self.sides:
            self.work(side, "moves", 200)

    def work(self, side, work, count):
        """Do a kind of work that many times with one of the sides; return (accepted moves, sum over each walker), of
        derivatives the rows."""
        return self._lanes(work, count) if side == "kernels" else self._loop(side, work, count)

    def _lanes(self, work, count):
        if work == "derivatives":
            derivatives.fill(self.state, self.positions, count, self.rows["kernels"])
            return self.rows["kernels"]
        sums, series = np.zeros((BATCHES, LANES)), np.empty((BATCHES, count, 7))
        if work == "moves":
            return walk.equilibrate(self.sampler, self.state, self.positions, self.randoms, count), sums.ravel()
        arguments = self.sampler, self.hamiltonian, self.state, self.positions, self.randoms
        return lanes.observe(*arguments, int(work != "energies"), series, sums), sums.ravel()

    def _loop(self, side, work, count):
        loop, walkers = self.loops[side], self.walkers[side]
        if work == "derivatives":
            loop.derivatives(walkers, count, self.rows[side])
            return self.rows[side]
        sums = np.zeros((WALKERS, 2))
        if work == "energies":
            return loop.energies(walkers, count, sums), sums[:, 0]
        return loop.walk(walkers, count, work != "moves", sums), sums[:, 0]

    def disagreement(self, sweeps):
        """Return how many standard errors lie between the mean energies of the kernels and of a loop, at the most."""
        kernels, *loops = (self.work(side, WORKS[0], sweeps)[1] / sweeps for side in self.sides)
        own = kernels.var(ddof=1)
        return max(abs(kernels.mean() - loop.mean()) / math.sqrt((own + loop.var(ddof=1)) / WALKERS) for loop in loops)

    def derivative_error(self):
        """Return by what part of the largest a loop's derivatives differ from the kernels' at the same positions."""
        found = []
        for side, walkers in self.walkers.items():
            walkers[:] = derivatives.by_walker(self.positions)
            rows = derivatives.by_walker(self.work("kernels", "derivatives", 1))
            found.append(derivatives.difference(self.work(side, "derivatives", 1), rows))
        return max(found)

    def items(self, work):
        """Return how many moves, local energies or vectors one walker makes of a work."""
        return self.size[0] if "moves" in work else 1

    def race(self, work, seconds=0.15, repeats=7):
        """Return the rates per core-second, medians and best, and how many times a loop's the kernels' median is.

        seconds: of the scalar loop in one repeat.
        """
        for side in self.sides:  # compiles
            self.work(side, work, 1)
        count = max(1, round(10 * seconds / _seconds(self.work, "scalar", work, 10)))
        times = [[_seconds(self.work, side, work, count) for side in self.sides] for _ in range(repeats)]
        items = WALKERS * count * self.items(work)
        columns = dict(zip(self.sides, zip(*times, strict=True), strict=True))
        rates = {name: items / statistics.median(column) for name, column in columns.items()}
        best = {f"{name}_best": items / min(column) for name, column in columns.items()}
        ratios = {f"ratio_{name}": rates["kernels"] / rates[name] for name in self.loops}
        return rates | best | ratios


def _seconds(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def machine():
    """Return {name: value} of the processor and the versions; vector_bits: width of the vectors in compiled code."""
    randoms.uniform(np.ones((4, LANES), np.uint64), np.empty(LANES))
    found = re.findall("%([xyz])mm", "".join(randoms.uniform.twin.inspect_asm().values()))
    bits = max(({"x": 128, "y": 256, "z": 512}[name] for name in found), default="unknown")
    row = provenance.describe(parallel.World())
    names = ("processors", "python", "numpy", "numba", "parvmc", "git_commit", "start")
    return {name: row[name] for name in names} | {"vector_bits": bits, "svml": numba.config.USING_SVML}


def contests():
    """Yield (trial state, contest) of each system, in turn."""
    for size in SYSTEMS:
        yield PLAIN, electrons(*size)
    from correlated import CONTESTS  # it needs this file

    for name, make in CONTESTS.items():
        yield name, make()


def show(row, sides):
    """Print one row."""
    columns = "".join(f"{row[name]:>11.3g} ({row[f'{name}_best']:.2e})" if name in row else 22 * " " for name in sides)
    ratios = "".join(f"{row.get(f'ratio_{name}', math.nan):>8.2f}" for name in sides[1:])
    share = f"{row['kernels'] / row['limit']:>7.0%}" if "limit" in row else ""
    print("{state:<14}{N:>3}{D:>3}{H:>4}  {work:<18}".format(**row), f"{columns}{ratios}{share}", flush=True)


def main():
    """Print the table, and write it with the machine as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    file, table, described, costs = parser.parse_args().json, [], machine(), limits.throughput()
    print(*(f"{name}: {value}" for name, value in described.items()), sep="\n")
    print("nanoseconds of a lane:", ", ".join(f"{name} {1e9 * cost:.3f}" for name, cost in costs.items()))
    sides = ("kernels", "scalar", *(["native"] if native_loop.compiler() else []))
    print(
        "\nper core-second: medians, best in brackets; then how many times each loop the kernels do, and of the limit"
    )
    heads = "".join(f"{LABELS[name]:>22}" for name in sides)
    print(f"{'state':<14}{'N':>3}{'D':>3}{'H':>4}  {'work':<18} {heads}{'ratios':>8}")
    for name, contest in contests():
        found = f"{name}, (N, D, H) = {contest.size}: kernels and a scalar loop"
        if not (errors := contest.disagreement(100)) < MOST_ERRORS:
            sys.exit(f"{found} are {errors:.1f} standard errors apart in energy")
        if "derivatives" in contest.works and not (error := contest.derivative_error()) < ROUNDING:
            sys.exit(f"{found} differ in the log-derivatives by {error:.1e} of the largest")
        needed = limits.trap(*contest.size) if name == PLAIN else {}
        for work in contest.works:
            row = {"state": name} | dict(zip("NDH", contest.size, strict=True)) | {"work": work} | contest.race(work)
            if work in needed:
                row["limit"] = contest.items(work) / limits.seconds(needed[work], costs)
            table.append(row)
            show(row, sides)
    if file:
        file.write_text(json.dumps({"machine": described, "rates": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
