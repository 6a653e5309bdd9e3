"""The speed of the spin kernels: proposals, local energies and derivative vectors per core-second, beside a scalar
loop, NetKet and the limit.

python tests/benchmarks/spins.py [--json FILE] [--netket]

Rings of 80 sites and a square of 10 x 10: flips in the Ising model at the critical field, exchanges of neighbours in
the Heisenberg model. All sides have the same parameters and the same work, in the same run, bound to one core; times
are of this process (CPU), repeats in turn, compiled before. An exchange of equal spins counts as a proposal of the
kernels and of the scalar loop (which skips it at once); NetKet proposes exchanges of unequal spins only. The kernels
take local energies as a run does, of walkers whose tables are there; NetKet takes them of its samples. The limit is
that of limits.py; what a lane does for an exchange of equal spins is not part of it.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import contests
import derivatives
import kernels
import lanes
import limits
import spin_loop

from parvmc import declarations, randoms, walk
from parvmc.hamiltonians import heisenberg, ising
from parvmc.placement import place
from parvmc.samplers import metropolis
from parvmc.states import spin_rbm
from parvmc.states.product import TrialState
from parvmc.values import Control

MODELS = {"ising": ising, "heisenberg": heisenberg}
MACHINES = [(kind, symmetry) for kind in ("real", "complex") for symmetry in ("none", "translation")]
RING = (80,)
CASES = [(model, density, *machine, RING) for model in MODELS for density in (1, 4) for machine in MACHINES]
CASES += [("heisenberg", 4, "real", "translation", (10, 10))]
QUICK = [("ising", 1, "real", "none", RING), ("heisenberg", 1, "complex", "translation", RING)]
LANES, BATCHES = 128, 2
WALKERS = LANES * BATCHES
WORKS = ("proposals", "local energies", "derivatives")
LABELS = {"kernels": "kernels", "loop": "scalar loop", "netket": "NetKet"}


class Contest:
    """One machine with random parameters and its walkers, equilibrated on all sides, and the same work done by each."""

    def __init__(self, model, density, parameters, symmetry="none", lattice=RING, spread=None, netket=False):
        """Make the sides; spread: of the parameters, by default one at which walkers forget where they were soon."""
        system = MODELS[model].Settings(lattice=lattice)
        spread = 0.03 / math.sqrt(density) if spread is None else spread
        factor = spin_rbm.Settings(density=density, parameters=parameters, symmetry=symmetry, initial_spread=spread)
        state = TrialState((factor,), declarations.space(system))
        own = state.initial(np.random.default_rng(1))
        self.sites, self.is_complex, self.state = state.space.units, parameters == "complex", state.pack(own)
        self.sampler = declarations.sampler_pack(metropolis.Settings(global_flip=False), state, own, 0.0)
        self.hamiltonian = declarations.hamiltonian_pack(system, Control())
        _, bias, weight = spin_rbm.expanded(factor, state.space, own[0])
        pair = system.geometry.nearest, self.state.places
        self.machine = spin_loop.Machine(model == "heisenberg", bias, np.ascontiguousarray(weight), *pair)
        self.positions = place(1, range(BATCHES), LANES, state.space, 0.0)
        self.randoms = randoms.streams(1, randoms.Purpose.PRODUCTION, range(BATCHES), LANES)
        self.walkers = self.positions.transpose(0, 2, 1).reshape(WALKERS, -1).copy()
        spin_loop.seed(1)
        self.sides, self.rival = {"kernels": self.kernels, "loop": self.loop}, None
        if netket:
            from netket_spins import Rival

            shared = (own[0]["b"], own[0]["w"]) if symmetry == "translation" else None
            self.rival = Rival(self.machine.exchanges, bias, self.machine.weight, lattice, shared)
            self.sides["netket"] = self.netket
        self.moved, trained = dict.fromkeys(("kernels", "loop"), 0), self.state.count
        self.rows = {"kernels": np.empty((BATCHES, trained, LANES)), "loop": np.empty((WALKERS, trained))}
        for side in self.sides.values():
            side("proposals", 50)

    def kernels(self, work, count, sums=None):
        """Do a kind of work that many times and return how many items that were; sums: of each walker's energy."""
        if work == "proposals":
            self.moved["kernels"] = walk.equilibrate(self.sampler, self.state, self.positions, self.randoms, count)
            return WALKERS * count * self.sites
        if work == "derivatives":
            derivatives.fill(self.state, self.positions, count, self.rows["kernels"])
            return WALKERS * count
        series = np.empty((BATCHES, count, 7 if self.is_complex else 6))
        sums = np.zeros((BATCHES, LANES)) if sums is None else sums
        arguments = self.sampler, self.hamiltonian, self.state, self.positions, self.randoms
        lanes.observe(*arguments, int(work == "sweeps with energies"), series, sums)
        return WALKERS * count

    def loop(self, work, count, sums=None):
        """Do the same with the scalar loop."""
        sums = np.zeros(WALKERS) if sums is None else sums
        if work == "local energies":
            spin_loop.energies(self.machine, self.walkers, count, sums)
            return WALKERS * count
        if work == "derivatives":
            rows = self.rows["loop"].view(self.machine.bias.dtype)
            spin_loop.derivatives(self.machine, self.walkers, count, rows)
            return WALKERS * count
        measures = work == "sweeps with energies"
        self.moved["loop"] = spin_loop.walk(self.machine, self.walkers, count, measures, sums)
        return WALKERS * count * (1 if measures else self.sites)

    def netket(self, work, count):
        """Do the same with NetKet."""
        works = self.rival.proposals, self.rival.energies, self.rival.derivatives
        return works[WORKS.index(work)](count)

    def mean_energies(self, sweeps):
        """Return {side: float64[walkers]}, each walker's mean local energy over so many sweeps."""
        sums = np.zeros((BATCHES, LANES)), np.zeros(WALKERS)
        self.kernels("sweeps with energies", sweeps, sums[0])
        self.loop("sweeps with energies", sweeps, sums[1])
        found = {"kernels": sums[0].ravel() / sweeps, "loop": sums[1] / sweeps}
        return found | ({"netket": self.rival.mean_energies(sweeps)} if self.rival else {})

    def disagreements(self, sweeps):
        """Return {side: standard errors} between the mean energy of the kernels and that of every other side."""
        found = {
            side: (means.mean(), means.var(ddof=1) / means.size) for side, means in self.mean_energies(sweeps).items()
        }
        mean, square = found.pop("kernels")
        return {side: abs(other - mean) / math.sqrt(square + its) for side, (other, its) in found.items()}

    def derivative_error(self):
        """Return by what part of the largest the loop's derivatives differ from the kernels' at the same spins."""
        self.walkers[:] = derivatives.by_walker(self.positions)
        for side in ("kernels", "loop"):
            self.sides[side]("derivatives", 1)
        return derivatives.difference(self.rows["loop"], derivatives.by_walker(self.rows["kernels"]))

    def acceptances(self):
        """Return {side: share of proposals that are accepted}."""
        for side in ("kernels", "loop"):
            self.sides[side]("proposals", 20)
        found = {side: moved / (20 * WALKERS * self.sites) for side, moved in self.moved.items()}
        return found | ({"netket": self.rival.acceptance()} if self.rival else {})

    def needed(self):
        """Return {work: operations}, what one item of it cannot do without, as limits.py counts."""
        hidden, accepted = self.machine.bias.size, self.acceptances()["kernels"]
        if not self.machine.exchanges:
            return limits.spins(self.sites, hidden, self.sites, self.is_complex, accepted=accepted)
        first, second = self.machine.bonds.T
        unequal = float((self.positions[:, first] != self.positions[:, second]).mean())
        return limits.spins(self.sites, hidden, len(self.machine.bonds), self.is_complex, unequal, accepted)

    def race(self, work, seconds=0.2, repeats=7):
        """Return {side: (median, best) rate per core-second}; seconds: of each side in one repeat."""
        counts, rates = {}, {name: [] for name in self.sides}
        for name, side in self.sides.items():
            side(work, 1)  # compiles
            counts[name] = max(1, round(seconds / _seconds(side, work, 1)[1]))
        for _ in range(repeats):
            for name, side in self.sides.items():
                items, spent = _seconds(side, work, counts[name])
                rates[name].append(items / spent)
        return {name: (statistics.median(found), max(found)) for name, found in rates.items()}


def _seconds(side, work, count):
    start = time.process_time()
    items = side(work, count)
    return items, max(time.process_time() - start, 1e-6)


def bind():
    """Bind this process to one core where the system can, before libraries make threads; return what was done."""
    if not hasattr(os, "sched_setaffinity"):
        return "not bound to a core, the system cannot"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"bound to core {core}, one thread"


def rows(case, netket, repeats, costs):
    """Yield a row of the table for each kind of work of one case; exit if the sides disagree in energy."""
    contest = Contest(*case, netket=netket)
    found = contest.disagreements(20)
    for side, errors in found.items():
        if not errors < contests.MOST_ERRORS:
            sys.exit(f"{case}: kernels and {LABELS[side]} are {errors:.1f} standard errors apart in energy")
    if not (error := contest.derivative_error()) < contests.ROUNDING:
        sys.exit(f"{case}: derivatives of kernels and scalar loop differ by {error:.1e} of the largest")
    settings = {"netket_settings": contest.rival.settings} if netket else {}
    needed, names = contest.needed(), ("model", "density", "parameters", "symmetry", "lattice")
    for work in WORKS:
        row = dict(zip(names, case, strict=True)) | {"work": work, "limit": 1 / limits.seconds(needed[work], costs)}
        for side, (median, best) in (rates := contest.race(work, repeats=repeats)).items():
            row |= {side: median, f"{side}_best": best, f"ratio_{side}": rates["kernels"][0] / median}
        yield row | {"standard_errors_apart": found, "acceptance": contest.acceptances()} | settings


def show(row, sides):
    """Print one row."""
    sites = " x ".join(map(str, row["lattice"]))
    case = "{model:<11}{sites:<8}{density:>5}  {parameters:<8}{symmetry:<12}{work:<15}".format(**row, sites=sites)
    rates = "".join(f"{row[side]:>12.3g} ({row[f'{side}_best']:.2e})" for side in sides)
    ratios = "".join(f"{row[f'ratio_{side}']:>15.1f}" for side in sides[1:])
    accepted = " ".join(f"{row['acceptance'][side]:.2f}" for side in sides)
    share = f"{row['kernels'] / row['limit']:>7.0%}"
    print(f"{case}{rates}{ratios}{share}   {accepted}   {row.get('netket_settings', '')}".rstrip(), flush=True)


def _write(file, described, table):
    if file:  # after every row, since the whole table takes long
        file.write_text(json.dumps({"machine": described, "rates": table}, indent=2) + "\n")


def main():
    """Print the table, and write it with the machine as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    parser.add_argument("--netket", action="store_true", help="race NetKet too, the extra `netket`")
    parser.add_argument("--quick", action="store_true", help="two cases, and three repeats in place of seven")
    given = parser.parse_args()
    if given.netket and importlib.util.find_spec("netket") is None:
        sys.exit("--netket: NetKet is not installed; `pip install netket`, or leave the option out")
    described, table = {"bound": bind()} | kernels.machine(), []
    if given.netket:
        described |= {"netket": importlib.metadata.version("netket")}
    costs = limits.throughput()
    print(*(f"{name}: {value}" for name, value in described.items()), sep="\n")
    print("nanoseconds of a lane:", ", ".join(f"{name} {1e9 * cost:.3f}" for name, cost in costs.items()))
    sides = list(LABELS)[: 3 if given.netket else 2]
    print(f"\n{LANES} lanes, per core-second: medians, best in brackets; then ratios, and of the limit")
    print(f"{'model':<11}{'sites':<8}{'alpha':>5}  {'numbers':<8}{'symmetry':<12}{'work':<15}", end="")
    print("".join(f"{LABELS[side]:>23}" for side in sides), end="")
    ratios = "".join(f"{'/ ' + LABELS[side]:>15}" for side in sides[1:])
    print(f"{ratios}  limit   accepted, NetKet's settings", flush=True)
    for case in QUICK if given.quick else CASES:
        for row in rows(case, given.netket, 3 if given.quick else 7, costs):
            table.append(row)
            show(row, sides)
            _write(given.json, described, table)


if __name__ == "__main__":
    main()
