"""All observables of a run as one: what they measure lies side by side in one row."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parvmc.declarations import Space, observable_pack, observed
from parvmc.dispatch import implements
from parvmc.operations import measure


class Nothing(NamedTuple):
    """Pack of no observable."""

    size: int = 0


class Both(NamedTuple):
    """Pack of two observables, of which the second may be two again; size: numbers that both measure."""

    size: int
    first: NamedTuple
    rest: NamedTuple


@implements(measure, Nothing)
def _measure_nothing(observable, state, work, positions, randoms, scratch, row):
    pass


@implements(measure, Both)
def _measure_both(observable, state, work, positions, randoms, scratch, row):
    measure(observable.first, state, work, positions, randoms, scratch, row[: observable.first.size])
    measure(observable.rest, state, work, positions, randoms, scratch, row[observable.first.size :])


@dataclass(frozen=True)
class Observables:
    """The observables of a deck, in its order."""

    settings: tuple
    space: Space

    def pack(self, extent):
        """Return the pack for the kernels; extent: float64[dimensions], how far out walkers were found (length)."""
        whole = Nothing()
        for observable in reversed(self.settings):
            first = observable_pack(observable, self.space, extent)
            whole = Both(first.size + whole.size, first, whole)
        return whole

    def quantities(self, extent, rows):
        """Return {name: Quantity} of all observables from rows float64[rows, batches, size]."""
        found, pack = {}, self.pack(extent)
        for observable in self.settings:
            size = pack.first.size
            found |= observed(observable, self.space, extent, rows[:, :, :size])
            rows, pack = rows[:, :, size:], pack.rest
        return found

    @property
    def size(self):
        """Numbers that all of them measure at a step."""
        return self.pack(np.ones(self.space.dimensions)).size
