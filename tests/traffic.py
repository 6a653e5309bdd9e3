"""What the ranks of an optimisation exchange in each iteration, measured by `World`; also as a program for mpirun."""

import json
import math
import sys
import threading
from dataclasses import asdict

from conftest import TWO_ELECTRONS

from parvmc import config, optimization, stages
from parvmc.clock import Clock
from parvmc.enumeration import configurations
from parvmc.parallel import World
from parvmc.sample_matrix import SampleMatrix
from parvmc.scaling_model import Work
from parvmc.simulation import Simulation
from parvmc.starting import starting_parameters
from parvmc.stopping import Orders, Signals

ITERATIONS = 3
TRAP = f"{TWO_ELECTRONS}hidden = HIDDEN\n[sampler]\nwalkers = WALKERS\nlanes = 32\nequilibration = 20\n"
SPINS = """
system = {kind = "heisenberg", lattice = [8]}
state = [{kind = "spin_rbm", hidden = HIDDEN, parameters = "complex", initial_spread = 0.1}]
sampler = {walkers = WALKERS, lanes = 32, equilibration = 20}
"""
LISTED = SPINS.replace("{walkers = WALKERS, lanes = 32, equilibration = 20}", '{kind = "enumerate", lanes = 32}')
here = threading.local()  # ranks may be threads


class Counting(SampleMatrix):
    """A matrix that counts its products, the iterations of conjugate gradients."""

    def product(self, vector):
        here.products += 1
        return super().product(vector)


optimization.SampleMatrix = Counting
DECKS = {"trap": TRAP, "spins": SPINS, "listed": LISTED}


def deck_of(kind, optimizer, hidden=2, walkers=192, samples=384):
    """Return a resolved deck; optimizer: the fields of its table as TOML."""
    text = DECKS[kind].replace("HIDDEN", str(hidden)).replace("WALKERS", str(walkers))
    fields = f"samples = {samples}\n" if kind != "listed" else ""
    return config.resolved(
        config.loads(f"{text}\n[optimizer]\niterations = {ITERATIONS}\n{fields}{optimizer}\n[production]\n")
    )


def work_of(deck, simulation, products=0):
    """Return the sizes of an iteration as the model of scaling takes them."""
    state, count = simulation.state, simulation.vector.size
    optimizer = optimization.method(deck, state, count)
    return Work(
        method=getattr(optimizer, "method", optimizer.kind),
        coordinates=count,
        parts=2 if state.is_holomorphic else 1,
        batches=simulation.batches,
        measurements=simulation.measurements,
        lanes=simulation.lanes,
        products=products,
        keeps=optimization.keeps(deck, state, count),
        memory=optimizer.memory,
        weighted=configurations(deck.sampler, simulation.space, [0], simulation.lanes) is not None,
    )


def measured(world, case):
    """Return [(Work, Traffic) of every iteration] of this rank, each with the look at orders after it."""
    deck = deck_of(**case)
    simulation = Simulation(deck, world, starting_parameters(deck))
    for _ in stages.equilibrate(simulation):
        pass
    orders, here.products = Orders(Signals(), Clock(None, math.inf)), 0
    found, before = [], world.traffic
    for report in optimization.optimize(simulation):
        assert report["shrunk"] == 0
        orders.agreed(world)
        found.append((work_of(deck, simulation, here.products), world.traffic.since(before)))
        here.products, before = 0, world.traffic
    return found


if __name__ == "__main__":
    everybody = World.start()
    for own in map(json.loads, sys.argv[1:]):
        rows = everybody.gather([(asdict(work), traffic) for work, traffic in measured(everybody, own)])
        if everybody.is_root:
            print(json.dumps(rows), flush=True)
