"""The same optimisation step done by NetKet, with the fastest of its settings that were tried.

Made for NetKet 3.23, the extra `netket`. Import it in a process that is bound to one core, as netket_spins.py.
"""

import contextlib
import functools
import io
import os
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import netket as nk
import netket_spins
import numpy as np
from flax import linen

from parvmc.spaces import Spins
from parvmc.states import spin_rbm

CHAINS = (64, 256, 1024)
CHUNKS = (None, 256)
SHIFT, RATE = 1e-3, 0.01


def _with_matrix(hamiltonian, optimizer, state):
    """The matrix S in parameter space, solved densely."""
    geometry = nk.optimizer.qgt.QGTJacobianDense(holomorphic=False)
    solver = nk.optimizer.SR(qgt=geometry, solver=nk.optimizer.solver.cholesky, diag_shift=SHIFT)
    return nk.driver.VMC(hamiltonian, optimizer, variational_state=state, preconditioner=solver)


def _automatic(hamiltonian, optimizer, state):
    route = {"use_ntk": False, "on_the_fly": False}  # what it finds for so few parameters, and then says
    return nk.driver.VMC_SR(hamiltonian, optimizer, diag_shift=SHIFT, variational_state=state, **route)


DRIVERS = {"VMC_SR": _automatic, "VMC with SR": _with_matrix}


class Rival:
    """NetKet's optimisation of one machine.

    rule: makes the sampler of a number of chains; hamiltonians: {form: operator}; model, parameters: of the machine;
    samples: of a step; chains: that are tried.
    """

    def __init__(self, rule, hamiltonians, model, parameters, samples, chains=CHAINS):
        """Begin with the first settings."""
        self.rule, self.hamiltonians, self.samples, self.chains = rule, hamiltonians, samples, chains
        self.model, self.parameters = model, jax.tree.map(jnp.asarray, parameters)
        self._begin(chains[-1], next(iter(hamiltonians)), "VMC_SR", None)

    def _begin(self, chains, form, driver, chunk):
        self.settings = chains, form, driver, chunk
        size = {"n_samples": self.samples, "n_discard_per_chain": 0, "chunk_size": chunk}
        self.state = nk.vqs.MCState(self.rule(chains), self.model, seed=1, sampler_seed=2, **size)
        self.state.parameters = self.parameters
        with contextlib.redirect_stdout(io.StringIO()):  # it says what it will do
            self.driver = DRIVERS[driver](self.hamiltonians[form], nk.optimizer.Sgd(RATE), self.state)

    def energy(self):
        """Return (energy, standard error) at the parameters to begin with, after equilibration."""
        self.state.sample(n_discard_per_chain=100)
        found = [self.state.expect(next(iter(self.hamiltonians.values()))) for _ in range(8)]
        means = np.array([values.mean.real for values in found])
        return means.mean(), float(np.hypot.reduce([values.error_of_mean for values in found])) / len(found)

    def seconds(self, budget):
        """Take steps for so many seconds, at least three, and return the seconds of one."""
        count, start = 0, time.process_time()
        while count < 3 or time.process_time() - start < budget:
            self._advance(3)
            count += 3
        return (time.process_time() - start) / count

    def _advance(self, steps):
        self.driver.run(steps, show_progress=False)
        jax.block_until_ready(self.state.parameters)

    def choose(self):
        """Try settings one after the other, keep the fastest of each and return the text of them."""
        best = self.settings
        tried = (
            [(chains, *best[1:]) for chains in self.chains],
            [(form,) for form in self.hamiltonians],
            [(driver,) for driver in DRIVERS],
            [(chunk,) for chunk in CHUNKS],
        )
        for place, values in enumerate(tried):
            times = {}
            for value in values:
                settings = (*best[:place], value[0], *best[place + 1 :])
                self._begin(*settings)
                self._advance(2)  # compiles
                times[settings] = self.seconds(0.3)
            best = min(times, key=times.get)
        self._begin(*best)
        self._advance(2)
        chains, form, driver, chunk = best
        at_once = "all" if chunk is None else chunk
        return f"{driver}, {chains} chains, {form}, {at_once} samples at a time"


class Machine(linen.Module):
    """ln psi = sum_i -(x_i - a_i)^2 / (4 sigma_i^2) + 1/2 sum_j ln(1 + e^theta_j), theta = b + x w / sigma^2."""

    units: int
    hidden: int

    @linen.compact
    def __call__(self, x):
        """Return ln psi at x[..., units]."""
        shapes = {"a": (self.units,), "b": (self.hidden,), "w": (self.units, self.hidden), "width": (self.units,)}
        zeros = linen.initializers.zeros
        a, b, w, width = (self.param(name, zeros, shape, jnp.float64) for name, shape in shapes.items())
        inverse = jnp.exp(-2.0 * width)
        theta = b + (x * inverse) @ w
        return -0.25 * (inverse * (x - a) ** 2).sum(axis=-1) + 0.5 * jax.nn.softplus(theta).sum(axis=-1)


def _electrons(simulation, own):
    """Electrons in a trap with omega = 1 and Coulomb repulsion; all of them move at once in NetKet."""
    space, samples = simulation.space, simulation.deck.optimizer.samples
    free = nk.experimental.geometry.FreeSpace(d=space.dimensions)
    hilbert = nk.experimental.hilbert.Particle(N=space.particles, geometry=free)
    pairs = np.array([(i, k) for k in range(space.particles) for i in range(k)])

    def potential(x):
        places = x.reshape(space.particles, space.dimensions)
        apart = places[pairs[:, 0]] - places[pairs[:, 1]]
        return 0.5 * (x**2).sum() + (1.0 / jnp.sqrt((apart**2).sum(axis=-1))).sum()

    energy = nk.operator.KineticEnergy(hilbert, mass=1.0) + nk.operator.PotentialEnergy(hilbert, potential)
    parameters = {name: own[name] for name in "abw"} | {"width": np.log(own["sigma"])}
    rule = functools.partial(nk.sampler.MetropolisGaussian, hilbert, sigma=0.6, sweep_size=4)
    model = Machine(space.units, own["b"].size)
    return Rival(lambda chains: rule(n_chains=chains), {"jax": energy}, model, parameters, samples, (256, 1024, 4096))


def rival_of(simulation, parameters):
    """Return NetKet's side of a simulation; parameters: a dict of arrays for each factor, from which both begin."""
    own, deck, space = parameters[0], simulation.deck, simulation.space
    if not isinstance(space, Spins):
        return _electrons(simulation, own)
    exchanges, graph = space.magnetisation is not None, nk.graph.Grid(list(deck.system.lattice))
    hilbert = nk.hilbert.Spin(0.5, space.units, total_sz=0 if exchanges else None)
    rule = nk.sampler.MetropolisExchange if exchanges else nk.sampler.MetropolisLocal
    more = {"graph": graph} if exchanges else {}
    _, bias, weight = spin_rbm.expanded(deck.state[0], space, own)
    known = netket_spins.models(graph, bias, weight, (own["b"], own["w"]))
    return Rival(
        lambda chains: rule(hilbert, n_chains=chains, sweep_size=space.units, dtype=np.int8, **more),
        netket_spins.operators(exchanges, hilbert, graph),
        *known["RBMSymm"],
        deck.optimizer.samples,
    )
