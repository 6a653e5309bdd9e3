"""Maximum-likelihood pretraining: a machine is fitted to samples before the energy is minimised.

With P(x) = |psi(x)|^2 / Z of one factor alone and O_k = d ln psi / d theta_k, the mean log-likelihood of the data has
the gradient

    d <ln P>_data / d theta_k = 2 [<O_k>_data - <O_k>_P].

The mean over P comes from Gibbs chains that go on from iteration to iteration while the parameters change: persistent
contrastive divergence (Tieleman, ICML 2008, section 2.3). The walkers of the run are these chains.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from parvmc import declarations, walk
from parvmc.archive import Dataset
from parvmc.config import configurations
from parvmc.deck import OPTIMIZERS, fitted
from parvmc.dispatch import implements
from parvmc.moments import moments
from parvmc.operations import log_amplitude, log_derivatives, measure
from parvmc.placement import place
from parvmc.randoms import Purpose, generator
from parvmc.samplers import exact, gibbs
from parvmc.schema import DeckError
from parvmc.simulation import NotFinite
from parvmc.states.product import TrialState

NOTES = {
    "log_likelihood": (
        "nat",
        "mean of ln P over the data of the iteration, P = |psi|^2 / Z of the fitted factor alone",
    ),
    "divergence": (
        "nat",
        "mean of ln P_ideal - ln P over the same data, the relative entropy to the ideal gas; zero if P is it",
    ),
    "gradient_norm": ("nat", "Euclidean norm of the log-likelihood's gradient"),
}
"""What is recorded of every iteration; the first two where Z is known, the second for the ideal gas alone."""


class LogLikelihood(NamedTuple):
    """Pack of what the data say of a machine: the means of ln |psi|^2 and of the O_k; size: 1 + trained."""

    size: int


@implements(measure, LogLikelihood)
def _measure(observable, state, work, positions, randoms, scratch, row):
    logarithms, derivatives = scratch[0], np.empty((observable.size - 1, positions.shape[1]))
    logarithms[:] = 0.0
    log_amplitude(state, work, positions, logarithms)
    log_derivatives(state, work, positions, derivatives)
    row[0] += 2.0 * logarithms.mean()
    for k in range(observable.size - 1):
        row[1 + k] += derivatives[k].mean()


@dataclass(frozen=True)
class Machine:
    """The factor that is fitted, as a trial state of its own, and where its parameters are in the run's vector."""

    state: TrialState
    number: int
    coordinates: slice

    @classmethod
    def of(cls, simulation):
        """Return the machine of a simulation, the first factor that can be sampled in blocks."""
        number = fitted(simulation.deck)
        pairs = zip(simulation.state.factors, simulation.parameters, strict=True)
        ends = np.cumsum([0] + [declarations.coordinates(*pair).size for pair in pairs])
        state = TrialState((simulation.deck.state[number],), simulation.space)
        return cls(state, number, slice(int(ends[number]), int(ends[number + 1])))

    @property
    def count(self):
        """Number of its trained parameters."""
        return self.coordinates.stop - self.coordinates.start

    def parameters(self, simulation):
        """Return its present parameters, a list of one dict of arrays."""
        return [simulation.current_parameters[self.number]]

    def log_norm(self, parameters):
        """Return ln int |psi|^2 dx by listing all states of the hidden layer, nan where there are too many."""
        hidden, copies = declarations.hidden_copies(self.state.factors[0])
        if hidden > exact.MOST_HIDDEN[copies]:
            return math.nan
        logarithms = declarations.mixture(self.state.factors[0], self.state.space, parameters[0])
        largest = logarithms.max()
        return float(largest + np.log(np.exp(logarithms - largest).sum()))


# --- the data


def entropy(space):
    """Return the entropy of the trap's ideal gas in nats, the negative of the largest mean log-likelihood it allows.

    Every coordinate is normal with the variance 1 / (2 omega): sum 1/2 ln(pi e / omega).
    """
    return space.particles * sum(0.5 * math.log(math.pi * math.e / omega) for omega in space.omega)


def ideal_logarithm(space, positions):
    """Return ln P_ideal float64[lanes] at positions float64[units, lanes]."""
    omega = np.tile(space.omega, space.particles)
    return 0.5 * np.log(omega / np.pi).sum() - omega @ np.square(positions)


def minibatch(simulation, rows):
    """Return float64[rows, units, lanes], this iteration's data: of the ideal gas anew, or drawn from the file's.

    rows: numbers of the batches of data over the whole run; each has a stream of its own in every iteration.
    """
    space, lanes, deck = simulation.space, simulation.lanes, simulation.deck
    width = np.sqrt(0.5 / np.tile(space.omega, space.particles))
    data = np.empty((len(rows), space.units, lanes))
    for values, row in zip(data, rows, strict=True):
        number = simulation.pretrained * (deck.pretrain.samples // lanes) + row
        stream = generator(deck.seed, Purpose.PRETRAINING, number)
        if deck.pretrain.reference == "ideal":
            values[:] = width[:, np.newaxis] * stream.standard_normal(values.shape)
        else:
            values[:] = simulation.reference[stream.integers(len(simulation.reference), size=lanes)].T
    return data


def _read(simulation):
    """Read the configurations on rank 0 and send them to all; what cannot be read stops all ranks."""
    found = None
    if simulation.world.is_root:
        try:
            found = configurations(simulation.deck.pretrain.reference, simulation.space)
        except DeckError as error:
            found = str(error)
    found = simulation.world.broadcast(found)
    if isinstance(found, str):
        raise NotFinite(found)
    return found


# --- the stage


def pretrain(simulation):
    """Fit the machine to the data, an iteration at a time, and leave the walkers where the chains end."""
    settings, world = simulation.deck.pretrain, simulation.world
    if simulation.pretrained == settings.iterations:
        return
    machine, optimizer = Machine.of(simulation), OPTIMIZERS[settings.optimizer](learning_rate=settings.learning_rate)
    count, covers = machine.count, declarations.needs_covariance(optimizer)
    if simulation.pretrained == 0:
        simulation.pretraining_memory = declarations.start(optimizer, count)
        simulation.pretraining_history = {name: [] for name in NOTES}
        if settings.reference != "ideal":
            simulation.reference = _read(simulation)
    measurements = settings.samples // simulation.deck.sampler.walkers
    share, batches = simulation.share, simulation.batches
    rows = range(share.start * measurements, share.stop * measurements)
    samples = np.empty((len(share), measurements, 1 + count, simulation.lanes))
    while simulation.pretrained < settings.iterations:
        started = time.monotonic()
        before = simulation.positions.copy(), simulation.randoms.copy()
        _walk_chains(simulation, machine, simulation.positions, samples)
        terms = on_data(simulation, machine, minibatch(simulation, rows))
        data = world.sum(terms, batches * measurements) / (batches * measurements)
        found = moments(world, samples, np.zeros(1 + count), batches, covers)
        gradient = 2.0 * (found.mean[1:] - data[2:])
        if not np.isfinite(gradient).all():
            simulation.positions, simulation.randoms = before
            raise NotFinite(f"pretraining iteration {simulation.pretrained}: a derivative of ln psi is not finite")
        memory = simulation.pretraining_memory
        change, log_norm = gradient, math.nan
        if world.is_root:
            change, memory, log_norm = _step(simulation, machine, optimizer, replace(found, gradient=gradient))
        change, log_norm, *values = world.broadcast_arrays([change, np.array([log_norm]), *memory.values()])
        simulation.pretraining_memory = dict(zip(memory, values, strict=True))
        simulation.vector = simulation.vector.copy()
        simulation.vector[machine.coordinates] += change
        simulation.pretrained += 1
        log_likelihood = float(data[1] - log_norm[0])
        values = {
            "log_likelihood": log_likelihood,
            "divergence": float(data[0]) - log_likelihood,
            "gradient_norm": float(np.linalg.norm(gradient)),
        }
        for name, value in values.items():
            simulation.pretraining_history[name].append(value)
        if simulation.pretrained == settings.iterations:
            _leave(simulation)
        report = {"phase": "pretraining", "iteration": simulation.pretrained, "of": settings.iterations}
        known = {name: value for name, value in values.items() if not math.isnan(value)}
        yield report | known | {"seconds": time.monotonic() - started}


def kernel_calls(simulation):
    """Return a call on no work of each kernel of the stage."""
    machine, none, lanes = Machine.of(simulation), simulation.positions[:0], simulation.lanes
    samples = np.empty((0, 0, 1 + machine.count, lanes))
    return [
        lambda: _walk_chains(simulation, machine, none, samples),
        lambda: on_data(simulation, machine, none),
    ]


def _packs(simulation, machine):
    """Return the packs that all kernels here begin with: of the Gibbs sampler, the Hamiltonian and the machine."""
    parameters = machine.parameters(simulation)
    sampler = declarations.sampler_pack(gibbs.Settings(), machine.state, parameters, 0.0)
    return sampler, simulation.hamiltonian_pack(), machine.state.pack(parameters)


def _walk_chains(simulation, machine, chains, samples):
    """Walk the chains on and measure them, as `walk.sample` does."""
    packs, components = _packs(simulation, machine), len(simulation.components)
    walk.sample(*packs, chains, simulation.randoms, simulation.deck.pretrain.sweeps, components, samples)


def on_data(simulation, machine, data):
    """Return float64[rows, 2 + trained]: the means over each batch of data of ln P_ideal, ln |psi|^2 and the O_k.

    data: float64[rows, units, lanes]. ln P_ideal is nan where the data come from a file.
    """
    rows, _, lanes = data.shape
    observable = LogLikelihood(1 + machine.count)
    found = np.zeros((rows, 1, observable.size))
    randoms = np.zeros((rows, 4, lanes), np.uint64)  # for no sweep
    series, walker_sums = np.empty((rows, 1, len(simulation.columns))), np.zeros((rows, lanes))  # of no interest
    walk.observe(*_packs(simulation, machine), observable, data, randoms, 0, series, walker_sums, found)
    ideal = np.full((rows, 1), np.nan)
    if simulation.deck.pretrain.reference == "ideal":
        ideal[:, 0] = [ideal_logarithm(simulation.space, positions).mean() for positions in data]
    return np.concatenate([ideal, found[:, 0]], axis=1)


def _step(simulation, machine, optimizer, found):
    """Return (change, memory, ln Z); steps shrink to nothing towards the end, and with them the noise they leave."""
    change, memory = declarations.step(optimizer, simulation.pretraining_memory, found, simulation.pretrained)
    rest = 1.0 - simulation.pretrained / simulation.deck.pretrain.iterations
    return rest * change, memory, machine.log_norm(machine.parameters(simulation))


def _leave(simulation):
    """Drop the data; where psi has a core, put the walkers where no pair overlaps, of which the machine knew
    nothing."""
    simulation.reference = simulation.reference[:0]
    if simulation.state.core > 0.0:
        simulation.positions = place(
            simulation.deck.seed, simulation.share, simulation.lanes, simulation.space, simulation.state.core
        )


# --- what is written


def datasets(simulation):
    """Return the group /pretraining of a result file, one value per iteration; nothing where there was none."""
    if not simulation.pretrained:
        return {}
    axis = "pretraining/iteration"
    found = {axis: Dataset(np.arange(1, simulation.pretrained + 1), "1", "pretraining iteration")}
    for name, values in simulation.pretraining_history.items():
        if not np.isnan(values).all():
            found[f"pretraining/{name}"] = Dataset(np.array(values), *NOTES[name], axes=(axis,))
    if simulation.deck.pretrain.reference == "ideal":
        text = "minus the entropy of the ideal gas, the largest mean of ln P that its samples allow"
        found["pretraining/largest_log_likelihood"] = Dataset(-entropy(simulation.space), "nat", text)
    return found
