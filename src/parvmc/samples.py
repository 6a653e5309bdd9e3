"""Local energies and log-derivatives of one iteration, a block for each measurement of each batch."""

import numpy as np

PANEL = 16e6  # bytes of other ranks' blocks that are kept: more in one broadcast would not be faster


class Samples:
    """Blocks float64[rows, lanes] of this rank's batches: the local energy, then d ln psi / d coordinate.

    The local energy has one row, or two (Re, Im) where psi is complex; then the coordinates are real and imaginary
    parts by turns, and so are their rows: Re O_0, Im O_0, Re O_1, ...

    values: float64[local batches, measurements, energies + n, lanes], which `walk.sample` fills. Where all log-
    derivatives are kept n is their number. Where they are not, n is the number of units, configurations are kept, and
    the log-derivatives are computed again whenever a block is asked for. weights: float64[local batches, lanes], how
    much each walker counts, their sum over all ranks the number of walkers; None where all count alike.
    """

    def __init__(self, shape, energies, count, units, keeps=True):
        """shape: (local batches, measurements, lanes); energies: rows of the local energy; count: coordinates; units:
        of a configuration; keeps: whether log-derivatives are kept."""
        batches, measurements, lanes = shape
        self.energies, self.count, self.keeps = energies, count, keeps
        self.values = np.empty((batches, measurements, energies + (count if keeps else units), lanes))
        self._differentiate = None
        self.begin()

    @classmethod
    def of(cls, values, energies=1, weights=None):
        """Return samples that are there already, float64[local batches, measurements, energies + coordinates, lanes];
        they are changed in place."""
        found = cls.__new__(cls)
        found.energies, found.count, found.keeps, found.values = energies, values.shape[2] - energies, True, values
        found.begin(weights)
        return found

    def begin(self, weights=None, differentiate=None):
        """Take new values as they are; differentiate(positions, derivatives) fills the log-derivatives of a block."""
        self.offset, self._divisor = np.zeros(self.energies + self.count), None
        self._roots = None if weights is None else np.sqrt(weights)
        self._differentiate = differentiate

    @property
    def weights(self):
        """How much each walker counts, float64[local batches, lanes]."""
        lanes = self.values.shape[::3]
        return np.ones(lanes) if self._roots is None else np.square(self._roots)

    @property
    def is_weighted(self):
        """Whether walkers count differently."""
        return self._roots is not None

    @property
    def blocks(self):
        """Number of blocks of this rank."""
        return self.values.shape[0] * self.values.shape[1]

    def subtract(self, offset):
        """Subtract float64[energies + coordinates] from the rows of all blocks."""
        rows = self.energies + (self.count if self.keeps else 0)
        self.values[:, :, :rows] -= offset[:rows, np.newaxis]
        self.offset = self.offset + offset

    def divide(self, divisor):
        """Divide the rows of all blocks by float64[energies + coordinates], once."""
        rows = self.energies + (self.count if self.keeps else 0)
        self.values[:, :, :rows] /= divisor[:rows, np.newaxis]
        self._divisor = divisor

    def block(self, number):
        """Return float64[energies + coordinates, lanes] of one of this rank's blocks, numbered batch by batch.

        Where walkers count differently, each row is multiplied by the roots of their weights; a walker without weight
        has zeros, also where psi = 0 leaves it without a local energy.
        """
        batch, measurement = divmod(number, self.values.shape[1])
        rows = self.values[batch, measurement]
        if not self.keeps:
            rows = self._computed(rows)
        if self._roots is None:
            return rows
        return np.where(self._roots[batch] > 0.0, rows, 0.0) * self._roots[batch]

    def group(self, first, most):
        """Return float64[n, energies + coordinates, lanes], at most so many blocks from the first on; only one where
        log-derivatives are computed again or walkers count differently."""
        if not self.keeps or self.is_weighted:
            return self.block(first)[np.newaxis]
        return self.values.reshape(self.blocks, *self.values.shape[2:])[first : first + most]

    def _computed(self, kept):
        rows = np.empty((self.energies + self.count, kept.shape[1]))
        rows[: self.energies] = kept[: self.energies]
        derivatives = rows[self.energies :]
        self._differentiate(np.ascontiguousarray(kept[self.energies :]), derivatives)
        derivatives -= self.offset[self.energies :, np.newaxis]
        if self._divisor is not None:
            derivatives /= self._divisor[self.energies :, np.newaxis]
        return rows

    def local_energies(self):
        """Return float64[local batches, measurements, energies, lanes] of all blocks, as `block` has them."""
        values = self.values[:, :, : self.energies]
        if self._roots is None:
            return values
        roots = self._roots[:, np.newaxis, np.newaxis]
        return np.where(roots > 0.0, values, 0.0) * roots

    def row_sums(self):
        """Return float64[local batches, lanes], sums that are not finite where a value of that walker is not."""
        return self.values.sum(axis=(1, 2))


def keeps_derivatives(count, units, samples, memory):
    """Return whether all log-derivatives are kept: they fit into the memory (gigabytes, of all ranks together), or
    configurations would take as much.

    count: coordinates; samples: of an iteration, over all ranks. The number of ranks has no say, the bits depend on it.
    """
    return units >= count or 8.0 * count * samples <= 1e9 * memory


def panel(count, lanes, keeps, memory, ranks):
    """Return how many blocks a rank may hold besides its own; no bit depends on it.

    count: coordinates; keeps: whether log-derivatives are kept; memory: gigabytes, of all ranks together.
    """
    return max(1, int((PANEL if keeps else 1e9 * memory / ranks) / (8.0 * count * lanes)))
