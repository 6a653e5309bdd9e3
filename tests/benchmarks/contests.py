"""A contest between the kernels and scalar loops: one system, the same work done by each side."""

import math
import statistics
import time

import derivatives
import lanes
import native_loop
import numpy as np
import scalar_loop

from parvmc import declarations, randoms, walk
from parvmc.samplers import metropolis
from parvmc.values import Control

STEPS = {2: 1.3, 3: 0.95}  # by dimensions, half of the moves are accepted
LANES, BATCHES = 128, 2
WALKERS = LANES * BATCHES
WORKS = ("moves and energies", "moves", "energies", "derivatives")
MOST_ERRORS, ROUNDING = 5.0, 1e-10


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
