"""The memory that a deck will need, stated before anything is allocated."""

import math
import os
from dataclasses import dataclass, fields, replace

from parvmc import declarations, optimization, walk
from parvmc.observables.several import Observables
from parvmc.schema import DeckError
from parvmc.series import MOST_ROWS
from parvmc.simulation import OBSERVED_PER_CALL, OBSERVED_ROWS, STEPS_PER_CALL
from parvmc.starting import starting_parameters
from parvmc.states.product import TrialState
from parvmc.values import DENSE_ARRAYS, SAMPLE_ARRAYS


@dataclass(frozen=True)
class Memory:
    """Bytes of a rank, and those that rank 0 alone has.

    Walkers stay; samples and matrices are those of the optimisation, gone when production begins. In production a rank
    keeps its series and what its observables found, of which a part comes and goes (observed_in_passing); at the end
    rank 0 has those of all ranks as well.
    """

    walkers: int
    samples: int
    matrices: int
    series: int
    observed: int
    observed_in_passing: int
    matrices_of_root: int
    series_of_root: int
    observed_of_root: int

    @property
    def of_rank(self):
        """The most that every rank has at a time."""
        production = self.series + self.observed + self.observed_in_passing
        return self.walkers + max(self.samples + self.matrices, production)

    @property
    def of_root(self):
        """How much more rank 0 has at a time."""
        kept = self.series + self.observed + self.series_of_root
        production = kept + max(self.observed_in_passing, self.observed_of_root)
        return self.walkers + max(self.samples + self.matrices + self.matrices_of_root, production) - self.of_rank


def require_memory(deck, ranks):
    """Raise DeckError where rank 0 alone would need more memory than its machine has.

    With a target error the series may never become as long as they can: they are not counted.
    """
    space = declarations.space(deck.system)
    state = TrialState(deck.state, space)
    stated = memory(deck, state, state.coordinates(starting_parameters(deck, warm=False)).size, ranks)
    if deck.production.samples is None:
        stated = replace(stated, series=0, series_of_root=0)
    needed, there = stated.of_rank + stated.of_root, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        parts = {field.name: getattr(stated, field.name) for field in fields(stated)}
        most = max(parts, key=parts.get).replace("_", " ")
        reason = (
            f"needs {sized(needed)} on rank 0 of {ranks}, most of it for {most}, and this machine has {sized(there)}"
        )
        raise DeckError([("deck", f"{reason}; ask for less, or start more ranks; --check tells what a deck needs")])


def production_steps(deck):
    """Return the steps of production, at the most."""
    return -(-(deck.production.samples or deck.production.max_samples) // deck.sampler.walkers)


def memory(deck, state, coordinates, ranks):
    """Return the `Memory` of a run of a resolved deck on so many ranks; coordinates: trained ones of the TrialState."""
    sampler, space = deck.sampler, state.space
    batches, steps = sampler.walkers // sampler.lanes, production_steps(deck)
    own = -(-batches // ranks)
    columns = len(walk.MOMENTS) + len(declarations.components(deck.system)) + state.is_holomorphic
    rows = min(steps, MOST_ROWS)
    numbers = Observables(deck.production.observables, space).size
    per_call = min(max(OBSERVED_PER_CALL, numbers), STEPS_PER_CALL * numbers)
    samples, matrices, of_root = _memory_of_steps(deck, state, coordinates, own * sampler.lanes, ranks)
    return Memory(
        walkers=own * sampler.lanes * 8 * 3 * (space.units + 4),
        samples=samples,
        matrices=matrices,
        series=own * rows * columns * 8,
        observed=own * OBSERVED_ROWS * numbers * 8,
        observed_in_passing=own * (OBSERVED_ROWS // 2 * numbers + 2 * per_call) * 8,
        matrices_of_root=of_root,
        series_of_root=2 * batches * rows * columns * 8,
        observed_of_root=2 * batches * min(steps, OBSERVED_ROWS) * numbers * 8,
    )


def _memory_of_steps(deck, state, coordinates, local, ranks):
    """Return the bytes of a rank's samples, of a rank's matrices, and of those that rank 0 alone has."""
    optimizer = optimization.method(deck, state, coordinates)
    energies = 2 if state.is_holomorphic else 1
    number, trained = 8 * energies, coordinates // energies
    kept = optimization.keeps(deck, state, coordinates)
    samples = local * 8 * (energies + (coordinates if kept else state.space.units))
    samples *= optimizer.samples // deck.sampler.walkers
    if not declarations.needs_samples(optimizer):
        covariance = declarations.needs_covariance(optimizer)
        return samples, DENSE_ARRAYS * number * trained**2 if covariance else 0, 0
    if not kept:  # blocks that are computed again, and for minsr those of other ranks
        block = 8 * coordinates * deck.sampler.lanes
        most = int(1e9 * optimizer.memory / ranks)
        samples += block + (min(most, 8 * coordinates * optimizer.samples) if optimizer.method != "cg" else 0)
    return samples, 0, 0 if optimizer.method == "cg" else SAMPLE_ARRAYS * number * optimizer.samples**2


def sized(count):
    """Return a number of bytes in words, 1.2 MB."""
    exponent = min(max(int(math.log10(max(count, 1)) // 3), 1), 4)
    return f"{count / 1000**exponent:.1f} {' kMGT'[exponent]}B"
