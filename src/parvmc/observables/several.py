"""All observables of a run as one: what they measure lies side by side in one row."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parvmc.declarations import observable_pack, observed
from parvmc.dispatch import implements
from parvmc.operations import measure
from parvmc.spaces import Space


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
        """Return {name: Quantity} of all observables from rows float64[rows, batches, size].

        A name begins with the observable's kind; of a kind that is there twice the second is kind_2.
        """
        found, pack = {}, self.pack(extent)
        kinds = [observable.kind for observable in self.settings]
        for index, observable in enumerate(self.settings):
            size, kind, number = pack.first.size, observable.kind, kinds[: index + 1].count(observable.kind)
            label = f"{kind}_{number}" if number > 1 else kind
            for name, quantity in observed(observable, self.space, extent, rows[:, :, :size]).items():
                found[label + name.removeprefix(kind)] = quantity
            rows, pack = rows[:, :, size:], pack.rest
        return found

    @property
    def size(self):
        """Numbers that all of them measure at a step."""
        return self.pack(np.ones(self.space.dimensions)).size
