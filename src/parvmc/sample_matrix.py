"""The centred and scaled log-derivatives as a matrix, parameters by samples, shared out over the ranks.

Z_ks = conj(O_ks - <O_k>) sqrt(w_s) / (v_k sqrt(N)), N samples of weight w_s (one each where all count alike), v_k a
scale of parameter k; e_s = (E_s - <E>) sqrt(w_s / N). Then Z Z^+ is S_kl / (v_k v_l) and Z e is f_k / v_k. Vectors of
parameters are float64[coordinates], complex ones as real and imaginary parts by turns; vectors of samples are
float64[local blocks, parts, lanes], parts 1 or 2 (Re, Im). Every product has the shape of a block whatever the number
of ranks, and sums over blocks do not depend on who has them, so that all ranks get the bits of one.

Such a sum needs a bound on its terms on which all ranks agree. Here it takes no call of MPI: with r_k the largest norm
of row k in a block, which follows from the moments, |sum_s Z_ks y_s| <= r_k |y| in each block (Cauchy-Schwarz), and
|Z^+ v| <= sum_k r_k |v_k|.
"""

import itertools
import math

import numpy as np

from parvmc.sums import fixed_sum, in_groups


class SampleMatrix:
    """Z of the Samples of an iteration, which are centred and scaled in place."""

    def __init__(self, world, samples, moments, scale, batches, panel=1):
        """scale: v, float64[parameters]; batches: on all ranks; panel: blocks that a rank may hold besides its own."""
        self.world, self.samples, self.panel = world, samples, panel
        self.batches, self.parts = batches, samples.energies
        self.measurements, self.lanes = samples.values.shape[1], samples.values.shape[3]
        self.count = batches * self.measurements * self.lanes
        divisor = np.concatenate([np.ones(self.parts), np.repeat(scale, self.parts)]) * np.sqrt(self.count)
        samples.subtract(moments.mean - samples.offset)
        samples.divide(divisor)
        self.reach = moments.reach[1:] / (scale * np.sqrt(self.count)) * (1.0 + 1e-9)  # rounding

    def energies(self):
        """Return e of this rank's samples."""
        found = self.samples.local_energies()
        return found.reshape(self.samples.blocks, self.parts, self.lanes)

    def _rows(self, number):
        return self.samples.block(number)[self.parts :]

    def _left(self, vector):
        """Return float64[parts, coordinates], whose product with a block is Z^+ vector of its samples."""
        if self.parts == 1:
            return vector[np.newaxis]
        real, imaginary = vector[0::2], vector[1::2]
        return np.stack([np.stack([real, -imaginary], 1).ravel(), np.stack([imaginary, real], 1).ravel()])

    def _partial(self, rows, values):
        """Return the part of Z y that comes from one block, y float64[parts, lanes]."""
        found = rows @ values.T
        if self.parts == 1:
            return found[:, 0]
        real, imaginary = found[0::2], found[1::2]
        return np.stack([real[:, 0] + imaginary[:, 1], real[:, 1] - imaginary[:, 0]], 1).ravel()

    def _moduli(self, values):
        """Return the moduli of numbers, complex ones as real and imaginary parts by turns."""
        return np.abs(values) if self.parts == 1 else np.sqrt(np.square(values[0::2]) + np.square(values[1::2]))

    def _sum(self, partials, norm):
        """Return the sum over all blocks; norm: a bound on that of the vector of samples in any of them."""
        terms = np.array(partials).reshape(self.samples.blocks, self.samples.count)
        bounds = np.repeat(self.reach * (norm * (1.0 + 1e-9)), self.parts)
        return self.world.sum_bounded(in_groups(terms), bounds, self.batches * self.measurements)

    def adjoint(self, vector):
        """Return Z^+ vector, of this rank's samples."""
        left = self._left(vector)
        found = [left @ self._rows(number) for number in range(self.samples.blocks)]
        return np.array(found).reshape(self.samples.blocks, self.parts, self.lanes)

    def apply(self, vector):
        """Return Z y, the same on every rank; vector: y of all samples, float64 or complex128, on all ranks."""
        values = self._own(vector)
        partials = [self._partial(self._rows(number), values[number]) for number in range(self.samples.blocks)]
        return self._sum(partials, math.sqrt(fixed_sum(np.square(vector.view(np.float64)))))

    def product(self, vector):
        """Return Z Z^+ vector: one call of MPI, and each block is used once."""
        left, partials = self._left(vector), []
        for number in range(self.samples.blocks):
            rows = self._rows(number)
            partials.append(self._partial(rows, left @ rows))
        return self._sum(partials, fixed_sum(self.reach * self._moduli(vector)))

    # --- samples by samples

    def _first(self, rank):
        """Return the run's number of the first block of a rank."""
        return self.world.range_of(rank, self.batches).start * self.measurements

    def _owner(self, block):
        return self.world.owner(block // self.measurements, self.batches)

    def _blocks_of(self, rank):
        """Return the run's numbers of the blocks of a rank."""
        return range(self._first(rank), self._first(rank + 1))

    def _tile(self, rows, others):
        """Return [lanes, lanes], Z^+ Z between the samples of two blocks."""
        if self.parts == 1:
            return rows.T @ others
        turned = np.empty_like(others)
        turned[0::2], turned[1::2] = -others[1::2], others[0::2]
        return rows.T @ others + 1j * (rows.T @ turned)

    def _computes(self, block, other):
        """Return whether the owner of `block` computes its tile with `other`: each pair has one that does, and all
        blocks have as many."""
        blocks = self.batches * self.measurements
        distance = 2 * ((block - other) % blocks)
        return distance < blocks or (distance == blocks and block > other)

    def gram(self):
        """Return on rank 0 Z^+ Z, float64 or complex128[samples, samples]; elsewhere None.

        The blocks are broadcast, `panel` at a time and those of a rank in one call, and never are all on one rank;
        where log-derivatives are not kept, a rank computes its own once for each panel. Rank 0 gets from each other
        rank its tiles in one message.
        """
        world, blocks, kind = self.world, self.batches * self.measurements, (float, complex)[self.parts - 1]
        own, shape = self._blocks_of(world.rank), (self.lanes, self.lanes)
        panels = [range(start, min(start + self.panel, blocks)) for start in range(0, blocks, self.panel)]
        matrix = np.empty((blocks, self.lanes, blocks, self.lanes), kind) if world.is_root else None
        tiles = np.empty((0 if world.is_root else len(self._pairs(own, panels)), *shape), kind)
        free = iter(tiles)
        for columns in panels:
            others = self._broadcast(columns)
            for number, block in enumerate(own):
                wanted = [column for column in columns if self._computes(block, column)]
                rows = self._rows(number) if wanted else None
                for column in wanted:
                    found = self._tile(rows, others[column - columns.start])
                    if world.is_root:
                        _put(matrix, block, column, found)
                    else:
                        next(free)[...] = found

        def pairs(rank):
            return self._pairs(self._blocks_of(rank), panels)

        for rank, found in world.received(tiles, lambda rank: (len(pairs(rank)), *shape)):
            for (block, column), tile in zip(pairs(rank), found, strict=True):
                _put(matrix, block, column, tile)
        return matrix.reshape(self.count, self.count) if world.is_root else None

    def _pairs(self, own, panels):
        """Return the pairs of blocks whose tiles a rank computes, in its order."""
        return [
            (block, column)
            for columns in panels
            for block in own
            for column in columns
            if self._computes(block, column)
        ]

    def _broadcast(self, columns):
        """Return the rows of some consecutive blocks, on every rank."""
        found = []
        for owner, blocks in itertools.groupby(columns, self._owner):
            numbers, mine = [block - self._first(owner) for block in blocks], None
            if owner == self.world.rank:
                mine = np.stack([self._rows(number) for number in numbers])
            found += [*self.world.broadcast_array(mine, (len(numbers), self.samples.count, self.lanes), owner)]
        return found

    def gathered(self, *vectors):
        """Return on rank 0 the list of vectors of samples, float64 or complex128[samples]; elsewhere None."""
        lengths = [len(self._blocks_of(rank)) for rank in range(self.world.size)]
        every = self.world.joined(np.stack(vectors, axis=1), lengths)
        if every is None:
            return None
        every = every.transpose(1, 2, 0, 3).reshape(len(vectors), self.parts, self.count)
        return [parts[0] if self.parts == 1 else parts[0] + 1j * parts[1] for parts in every]

    def _own(self, vector):
        """Return this rank's part of a vector of all samples."""
        own = vector.reshape(-1, self.lanes)[self._first(self.world.rank) :][: self.samples.blocks]
        return np.stack([own.real, own.imag][: self.parts], axis=1)


def _put(matrix, block, column, tile):
    matrix[block, :, column] = tile
    matrix[column, :, block] = tile.conj().T
