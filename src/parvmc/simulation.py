"""The moving parts of a run: walkers, parameters, counters, and what of them goes into a checkpoint."""

import itertools
import math

import numpy as np

from parvmc import declarations, enumeration, walk
from parvmc.observables.several import Observables
from parvmc.placement import place
from parvmc.randoms import Purpose, streams
from parvmc.series import Series
from parvmc.spaces import Spins
from parvmc.states.product import TrialState
from parvmc.values import Control

TIMES = ("seconds", "sampling_seconds", "slowest_sampling_seconds", "exchange_seconds", "solve_seconds")
HISTORY = ("energy", "energy_error", "variance", "acceptance", "gradient_norm", "step_norm", "shrunk", *TIMES)
"""What is recorded of every optimisation iteration."""

STEPS_PER_CALL = 64
MOVES_PER_CALL = 4_000_000
OBSERVED_ROWS = 64  # of a batch, enough for blocking: each bin of each observable has a series of its own
OBSERVED_PER_CALL = 65_536  # numbers that a batch's observables may fill between two places for a checkpoint


class NotFinite(Exception):
    """A local energy or a derivative is not finite: the run cannot go on."""


class Simulation:
    """All that changes while a run goes on, on this rank: its batches of walkers, and what all ranks have in common.

    positions: float64[local batches, units, lanes]; randoms: uint64[local batches, 4, lanes]; vector: the trained
    parameters; pretrained: iterations done of the pretraining, with pretraining_memory, pretraining_history and
    reference, the configurations float64[samples, units] that were read for it; memory: the optimiser's; center: the
    last iteration's means; trusted: arrays, what to go back to if the last step did harm, empty before the first;
    distrusts_last: whether the very last one did; window: the vectors that production will average; history: one list
    per name in HISTORY; equilibrated, settled: sweeps done before the optimisation and before production; frozen:
    whether the optimisation is over; optimized_...: the walkers at its end; step_length: the sampler's step; beta: of
    the control variate; series, walker_sums, accepted: what production has measured.
    """

    def __init__(self, deck, world, parameters):
        """Place the walkers of this rank's batches; parameters: a dict of arrays for each factor of the trial state."""
        self.deck, self.world = deck, world
        self.space = declarations.space(deck.system)
        self.state = TrialState(deck.state, self.space)
        self.components = declarations.components(deck.system)
        self.columns = (*walk.MOMENTS, *self.components, *(["imaginary"] if self.state.is_holomorphic else []))
        self.observables = Observables(deck.production.observables, self.space)
        self.lanes = deck.sampler.lanes
        self.batches = deck.sampler.walkers // self.lanes
        self.share = world.share(self.batches)

        self.parameters = parameters
        self.vector = self.state.coordinates(parameters)
        self.memory = declarations.start(deck.optimizer, self.vector.size)
        self.center = np.zeros((2 if self.state.is_holomorphic else 1) + self.vector.size)
        self.trusted = {}
        self.distrusts_last = False
        self.window = np.empty((0, self.vector.size))
        self.history = {name: [] for name in HISTORY}
        self.pretrained = self.equilibrated = self.iteration = 0
        self.pretraining_memory, self.pretraining_history = {}, {}
        self.reference = np.empty((0, self.space.units))

        self.positions = self._placed()
        self.randoms = self._streams(Purpose.OPTIMIZATION)
        self.step_length = declarations.first_step(deck.sampler, self.space)
        self.optimized_positions, self.optimized_randoms = self.positions, self.randoms
        self.optimized_step = self.step_length
        self.frozen = False
        self._begin_production()
        self.provenance = []
        self.production_moves = 0
        self.production_seconds = 0.0
        self.core_seconds = self.earlier_core_seconds = 0.0

    # --- the start

    def _begin_production(self):
        self.settled = self.accepted = 0
        self.beta = self.space.inverse_length
        self.series = Series(len(self.share), len(self.columns))
        self.observed = Series(len(self.share), self.observables.size, OBSERVED_ROWS)
        self.extent = np.ones(self.space.dimensions)
        self.walker_sums = np.zeros((len(self.share), self.lanes))

    def _placed(self):
        """Return walkers as they are at the start of a run: all configurations where the sampler lists them."""
        every = enumeration.configurations(self.deck.sampler, self.space, self.share, self.lanes)
        return place(self.deck.seed, self.share, self.lanes, self.space, self.state.core) if every is None else every

    def _streams(self, purpose):
        return streams(self.deck.seed, purpose, self.share, self.lanes)

    # --- packs

    @property
    def current_parameters(self):
        """The parameters at the present vector, a dict of arrays for each factor."""
        return self.state.moved(self.parameters, self.vector)

    def sampler_pack(self):
        """Return the sampler's pack at the present step."""
        return declarations.sampler_pack(self.deck.sampler, self.state, self.current_parameters, self.step_length)

    def state_pack(self):
        """Return the trial state's pack at the present parameters."""
        return self.state.pack(self.current_parameters)

    def observables_pack(self):
        """Return the pack of all observables."""
        return self.observables.pack(self.extent)

    def hamiltonian_pack(self, beta=None):
        """Return the Hamiltonian's pack; beta: of the control variate, None leaves the components as they are."""
        control = Control()
        if beta is not None and self.deck.production.control_variate != "off":
            control = Control(beta, *declarations.poles(self.deck.system, self.state.cusp(self.current_parameters)))
        return declarations.hamiltonian_pack(self.deck.system, control)

    # --- sizes

    @property
    def steps_per_call(self):
        """Production steps between places where a checkpoint may fall: a power of two that the deck alone decides."""
        moves = self.deck.sampler.walkers * self.space.particles * self.deck.sampler.thinning
        most = min(MOVES_PER_CALL // moves, OBSERVED_PER_CALL // max(self.observables.size, 1), STEPS_PER_CALL)
        return 2 ** int(math.log2(max(most, 1)))

    def moves_per_batch(self, measurements):
        """Return how many single-particle moves a batch proposes for a number of measurements."""
        return measurements * self.deck.sampler.thinning * self.space.particles * self.lanes

    @property
    def moves(self):
        """Single-particle moves proposed in production so far, on all ranks and in all starts of the run."""
        return self.batches * self.moves_per_batch(self.series.steps)

    @property
    def measurements(self):
        """Measurements of every walker in one optimisation iteration."""
        return self.deck.optimizer.samples // self.deck.sampler.walkers

    @property
    def averaged(self):
        """Number of last iterations whose parameters production averages."""
        iterations = self.deck.optimizer.iterations
        return min(iterations, max(1, round(self.deck.optimizer.average * iterations)))

    # --- the turning points

    def remember(self, vector):
        """Keep the vector after an iteration for the average, as far as it belongs there."""
        self.window = np.concatenate([self.window, vector[np.newaxis]])
        self.trim_window()

    def trim_window(self):
        """Drop the vectors before the last part that the deck, perhaps extended, asks to average; the newest stays."""
        first = self.deck.optimizer.iterations - self.averaged
        self.window = self.window[-max(1, self.iteration - first) :]

    def freeze(self):
        """Fix the parameters for production at their average, and give the walkers streams of their own for it.

        Spins begin anew, anywhere: psi can have learned to be large where no walker was when it learned, and walkers
        that go on from there would never tell. R-hat does, where walkers from everywhere do not come together.
        """
        if len(self.window):
            last = self.trusted["vector"] if self.distrusts_last else self.window[-1]
            self.vector = np.concatenate([self.window[:-1], last[np.newaxis]]).mean(axis=0)
        self.optimized_positions, self.optimized_randoms = self.positions, self.randoms
        self.optimized_step = self.step_length
        self.positions = self._placed() if isinstance(self.space, Spins) else self.positions.copy()
        self.randoms = self._streams(Purpose.PRODUCTION)
        self.frozen = True

    def thaw(self):
        """Go back to the end of the optimisation, for more iterations than there were, and drop the production."""
        if len(self.window):
            self.vector = self.window[-1]
        self.positions, self.randoms = self.optimized_positions, self.optimized_randoms
        self.step_length = self.optimized_step
        self.frozen = False
        self._begin_production()

    def culprit(self, sums):
        """Name the first walker on any rank whose entry in sums float64[local batches, lanes] is not finite."""
        bad = np.argwhere(~np.isfinite(sums))
        found = [(self.share[bad[0][0]], int(bad[0][1]), self.world.rank)] if len(bad) else []
        everywhere = sorted(itertools.chain(*self.world.gather(found)))
        if not everywhere:
            return "a sum over walkers is not finite, although what each contributes is"
        batch, lane, rank = everywhere[0]
        what = "the local energy or a log-derivative" if not self.frozen else "the local energy"
        return f"{what} of walker {lane} of batch {batch} (rank {rank}) is not finite"

    # --- what rank 0 writes

    def gathered_series(self):
        """Return on rank 0 the production rows of all batches, float64[rows, batches, columns]; elsewhere None."""
        blocks = list(self.world.blocks(self.series.rows))
        return np.concatenate(blocks).transpose(1, 0, 2) if blocks else None

    def gathered_observed(self):
        """Return on rank 0 what the observables found, float64[rows, batches, size]; elsewhere None."""
        blocks = list(self.world.blocks(self.observed.rows))
        return np.concatenate(blocks).transpose(1, 0, 2) if blocks else None

    def gathered_walker_means(self):
        """Return on rank 0 the mean of the estimator for each walker, float64[walkers]; elsewhere None."""
        blocks = list(self.world.blocks(self.walker_sums))
        return np.concatenate(blocks).ravel() / max(self.series.steps, 1) if blocks else None
