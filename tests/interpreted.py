"""A short walk with every kernel; as a script, save what came of it. The test runs it compiled and interpreted."""

import sys

import lanes
import numpy as np

from parvmc import declarations, walk
from parvmc.hamiltonians import heisenberg
from parvmc.placement import place
from parvmc.randoms import Purpose, streams
from parvmc.samplers import exact, gibbs, langevin, metropolis
from parvmc.states import spin_rbm
from parvmc.states.product import TrialState
from parvmc.values import Control

OTHERS = {
    "machine": (langevin.Settings(), gibbs.Settings(), exact.Settings()),
    "product": (langevin.Settings(),),
}
"""Samplers that only walk; of the other kernels the sampler is a small part."""


def short_walk():
    """Return {name: array} after a few sweeps of two batches of four lanes, for one machine and a product of two."""
    found = {}
    for name, dimensions in (("machine", 2), ("product", 3)):
        system = lanes.system(2, dimensions)
        state, parameters = lanes.machine(system, hidden=5)
        if name == "product":
            other, more = lanes.machine(system, seed=3, amplitude="full", hidden_values=(-1, 1))
            state, parameters = TrialState(state.factors + other.factors, state.space), parameters + more
        pack, space = state.pack(parameters), state.space
        sampler = declarations.sampler_pack(metropolis.Settings(), state, parameters, 1.0)
        hamiltonian = declarations.hamiltonian_pack(system, Control(0.8, -0.3, 1.0))
        positions = np.stack([lanes.walkers(space, 4, seed) for seed in (1, 2)])
        randoms = streams(1, Purpose.WALKERS, range(2), 4)
        samples, series, sums = np.empty((2, 2, 1 + pack.count, 4)), np.empty((2, 2, 7)), np.zeros((2, 4))
        with np.errstate(over="ignore"):  # integers wrap around in the generator
            accepted = [
                walk.equilibrate(sampler, pack, positions, randoms, 2),
                walk.sample(sampler, hamiltonian, pack, positions, randoms, 1, 3, samples),
                lanes.observe(sampler, hamiltonian, pack, positions, randoms, 1, series, sums),
            ]
            places = [positions.copy()]
            for other in OTHERS[name]:
                sampler = declarations.sampler_pack(other, state, parameters, 0.3)
                accepted.append(walk.equilibrate(sampler, pack, positions, randoms, 2))
                places.append(positions.copy())
        values = {"positions": places, "samples": samples, "series": series, "sums": sums, "accepted": accepted}
        found |= {f"{name} {key}": np.array(value) for key, value in values.items()}
    return found | short_spin_walk()


def short_spin_walk():
    """Return {name: array} after a few sweeps of exchanges on a ring, for a real and a complex machine."""
    found, system = {}, heisenberg.Settings(lattice=(8,))
    space = declarations.space(system)
    for kind in ("real", "complex"):
        more = {"biases": ("visible", "hidden"), "initial_spread": 0.3, "symmetry": "translation"}
        state = TrialState((spin_rbm.Settings(parameters=kind, density=2.0, **more),), space)
        parameters = state.initial(np.random.default_rng(1))
        pack, rows = state.pack(parameters), 2 if kind == "complex" else 1
        sampler = declarations.sampler_pack(metropolis.Settings(), state, parameters, 0.0)
        hamiltonian = declarations.hamiltonian_pack(system, Control())
        positions, randoms = place(1, range(2), 4, space, 0.0), streams(1, Purpose.WALKERS, range(2), 4)
        samples, logarithms = np.empty((2, 2, rows + pack.count, 4)), np.zeros((2, 4))
        with np.errstate(over="ignore"):
            accepted = walk.sample(sampler, hamiltonian, pack, positions, randoms, 1, 2, samples)
        walk.amplitudes(pack, positions, logarithms)
        values = {"positions": positions, "samples": samples, "logarithms": logarithms, "accepted": accepted}
        found |= {f"{kind} spins {key}": np.array(value) for key, value in values.items()}
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **short_walk())
