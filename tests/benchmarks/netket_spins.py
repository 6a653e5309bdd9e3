"""The same sampling and the same local energies done by NetKet, with its fastest settings for each, found by trying.

Made for NetKet 3.23, the extra `netket`. Import it in a process that is bound to one core: XLA makes as many threads as
it finds cores.
"""

import functools
import os
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import netket as nk
import numpy as np

CHAINS = (64, 256, 1024)
SAMPLES = 1024  # of which local energies are taken
CHUNKS = (None, 64, 256)


def operators(exchanges, space, graph):
    """Return {name: Hamiltonian} in all forms that NetKet has of it, Pauli matrices, Marshall rotation."""
    if not exchanges:
        made = nk.operator.IsingNumba, nk.operator.IsingJax
        return {"numba": made[0](space, graph, h=1.0, J=-1.0), "jax": made[1](space, graph, h=1.0, J=-1.0)}
    found = nk.operator.Heisenberg(space, graph, sign_rule=True)
    return {"jax": found, "numba": found.to_numba_operator(), "pauli strings": found.to_pauli_strings()}


def models(graph, bias, weight, shared):
    """Return {name: (model, parameters)}: the machine, and where weights are shared the symmetric model too."""
    more = {"alpha": bias.size // graph.n_nodes, "param_dtype": weight.dtype.type, "use_visible_bias": False}
    found = {"RBM": (nk.models.RBM(**more), {"Dense": {"kernel": weight, "bias": bias}})}
    if shared is not None:
        own_bias, own = shared
        model = nk.models.RBMSymm(symmetries=graph.translation_group(), **more)
        found["RBMSymm"] = model, {"Dense": {"kernel": own.T[:, np.newaxis], "bias": own_bias}}
    return found


class Rival:
    """One machine on a lattice in NetKet.

    exchanges: whether spins are exchanged in the Heisenberg model, or flipped in the Ising model at the field 1; bias,
    weight: of all hidden units, [hidden] and [sites, hidden]; shared: the same of the filters where they share weights.
    """

    def __init__(self, exchanges, bias, weight, lattice, shared=None, seconds=0.1, tries=True):
        """Find the fastest settings, unless told not to; seconds: for each that is tried; lattice: its sides."""
        sites = weight.shape[0]
        graph = nk.graph.Grid(list(lattice))
        space = nk.hilbert.Spin(0.5, sites, total_sz=0 if exchanges else None)
        self.rule = functools.partial(nk.sampler.MetropolisExchange, graph=graph)
        self.rule = self.rule if exchanges else nk.sampler.MetropolisLocal
        self.sites, self.space, self.operators = sites, space, operators(exchanges, space, graph)
        self.models, self.states = models(graph, bias, weight, shared), {}
        self.walk, self.way = ("RBM", 256), ("RBM", "numba", 256)
        # the derivatives by shared parameters are those of the symmetric model alone
        self.slope = list(self.models)[-1], 256
        if tries:
            self._try_all(seconds)

    def _try_all(self, seconds):
        walks = [(model, chains) for model in self.models for chains in CHAINS]
        self.walk = max(walks, key=lambda way: self._rate(self.proposals, way, seconds))
        ways = [(model, form, chunk) for model in self.models for form in self.operators for chunk in CHUNKS]
        self.way = max(ways, key=lambda way: self._rate(self.energies, way, seconds))
        slopes = [(self.slope[0], chunk) for chunk in CHUNKS]
        self.slope = max(slopes, key=lambda way: self._rate(self.derivatives, way, seconds))

    @property
    def settings(self):
        """Text of the fastest settings."""
        (model, chains), (other, form, chunk), (_, slopes) = self.walk, self.way, self.slope
        at_once, slopes_at_once = ("all" if number is None else number for number in (chunk, slopes))
        energies = f"{other}, {form}, {at_once} samples at a time"
        return f"{model}, {chains} chains; {energies}; derivatives of {slopes_at_once}"

    def _rate(self, work, way, seconds):
        work(1, way)
        start, items = time.process_time(), 0
        while time.process_time() - start < seconds:
            items += work(1, way)
        return items / (time.process_time() - start)

    def _state(self, model, chains):
        if (model, chains) not in self.states:
            sampler = self.rule(self.space, n_chains=chains, sweep_size=self.sites, dtype=np.int8)
            machine, parameters = self.models[model]
            size = {"n_samples": chains, "n_discard_per_chain": 0}
            state = nk.vqs.MCState(sampler, machine, seed=1, sampler_seed=2, **size)
            state.parameters = jax.tree.map(jax.numpy.asarray, parameters)
            self.states[model, chains] = state
        return self.states[model, chains]

    def proposals(self, sweeps, way=None):
        """Walk all chains and return how many moves were proposed; way: (model, chains), the fastest if left out."""
        model, chains = way or self.walk
        state = self._state(model, chains)
        for _ in range(sweeps):
            jax.block_until_ready(state.sample(chain_length=1))
        return sweeps * chains * self.sites

    def energies(self, times, way=None):
        """Compute the local energies of the samples and return how many; way: (model, operator, chunk size)."""
        model, form, chunk = way or self.way
        state = self._state(model, SAMPLES)
        for _ in range(times):
            jax.block_until_ready(state.local_estimators(self.operators[form], chunk_size=chunk).data)
        return times * SAMPLES

    def derivatives(self, times, way=None):
        """Compute d ln psi by all parameters at the samples and return how many vectors; way: (model, chunk size)."""
        model, chunk = way or self.slope
        state = self._state(model, SAMPLES)
        rows = state.samples.reshape(-1, self.sites)
        for _ in range(times):
            jax.block_until_ready(self._jacobian(state, rows, chunk))
        return times * SAMPLES

    def _jacobian(self, state, rows, chunk):
        mode = "holomorphic" if jax.numpy.iscomplexobj(jax.tree.leaves(state.parameters)[0]) else "real"
        options = {"mode": mode, "dense": True, "chunk_size": chunk}
        return nk.jax.jacobian(state._apply_fun, state.parameters, rows, state.model_state, **options)

    def squared_norms(self, spins):
        """Return float64[walkers], sum_k |d ln psi / d parameter k|^2 at spins float64[walkers, sites]."""
        model, chunk = self.slope
        found = self._jacobian(self._state(model, SAMPLES), spins.astype(np.int8), chunk)
        return np.square(np.abs(np.asarray(found))).sum(axis=1)

    def mean_energies(self, sweeps):
        """Return float64[SAMPLES], the mean local energy of each chain, one measured after each sweep."""
        (model, form, chunk), total = self.way, 0.0
        state = self._state(model, SAMPLES)
        for _ in range(sweeps):
            state.sample(chain_length=1)
            total = total + np.asarray(state.local_estimators(self.operators[form], chunk_size=chunk).data).real
        return np.ravel(total) / sweeps

    def acceptance(self):
        """Return the share of proposals that were accepted."""
        return float(self._state(*self.walk).sampler_state.acceptance)

    def local_energies(self, spins):
        """Return complex128[walkers], sum_s' H(s, s') psi(s') / psi(s) at spins float64[walkers, sites]."""
        state = self._state("RBM", SAMPLES)
        rows = spins.astype(np.int8)
        connected, elements = self.operators["numba"].get_conn_padded(rows)
        changes = np.asarray(state.log_value(connected)) - np.asarray(state.log_value(rows))[:, np.newaxis]
        return (elements * np.exp(changes)).sum(axis=1)
