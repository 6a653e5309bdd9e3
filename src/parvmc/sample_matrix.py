"""The centred and scaled log-derivatives as a matrix, parameters by samples, shared out over the ranks.

Z_ks = conj(O_ks - <O_k>) sqrt(w_s) / (v_k sqrt(N)), N samples of weight w_s (one each where all count alike), v_k a
scale of parameter k; e_s = (E_s - <E>) sqrt(w_s / N). Then Z Z^+ is S_kl / (v_k v_l) and Z e is f_k / v_k. Vectors of
parameters are float64[coordinates], complex ones as real and imaginary parts by turns; vectors of samples are
float64[local blocks, parts, lanes], parts 1 or 2 (Re, Im). Every product has the shape of a block whatever the number
of ranks, and sums over blocks do not depend on who has them, so that all ranks get the bits of one.
"""

import numpy as np


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

    def _sum(self, partials):
        terms = np.array(partials).reshape(self.samples.blocks, self.samples.count)
        return self.world.sum(terms, self.batches * self.measurements)

    def adjoint(self, vector):
        """Return Z^+ vector, of this rank's samples."""
        left = self._left(vector)
        found = [left @ self._rows(number) for number in range(self.samples.blocks)]
        return np.array(found).reshape(self.samples.blocks, self.parts, self.lanes)

    def apply(self, values):
        """Return Z y of y on all ranks' samples, the same on every rank."""
        return self._sum([self._partial(self._rows(number), values[number]) for number in range(self.samples.blocks)])

    def product(self, vector):
        """Return Z Z^+ vector: one sum over the ranks, and each block is used once."""
        left, partials = self._left(vector), []
        for number in range(self.samples.blocks):
            rows = self._rows(number)
            partials.append(self._partial(rows, left @ rows))
        return self._sum(partials)

    # --- samples by samples

    def _first(self, rank):
        """Return the run's number of the first block of a rank."""
        return self.world.range_of(rank, self.batches).start * self.measurements

    def _owner(self, block):
        return next(rank for rank in range(self.world.size) if block < self._first(rank + 1))

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

        The blocks are broadcast in turn, `panel` at a time, and never are all on one rank; where log-derivatives are
        not kept, a rank computes its own once for each panel.
        """
        world, blocks = self.world, self.batches * self.measurements
        first, kind = self._first(world.rank), (float, complex)[self.parts - 1]
        matrix = np.empty((blocks, self.lanes, blocks, self.lanes), kind) if world.is_root else None
        for start in range(0, blocks, self.panel):
            columns = range(start, min(start + self.panel, blocks))
            others = [self._broadcast(column) for column in columns]
            tiles = []
            for number in range(self.samples.blocks):
                wanted = [self._computes(first + number, column) for column in columns]
                rows = self._rows(number) if any(wanted) else None
                tiles += [self._tile(rows, other) for other, is_wanted in zip(others, wanted, strict=True) if is_wanted]
            for rank, found in enumerate(world.blocks(np.array(tiles).reshape(-1, self.lanes, self.lanes))):
                self._put(matrix, found, range(self._first(rank), self._first(rank + 1)), columns)
        return matrix.reshape(self.count, self.count) if world.is_root else None

    def _broadcast(self, block):
        owner = self._owner(block)
        mine = self._rows(block - self._first(owner)) if owner == self.world.rank else None
        return self.world.broadcast_array(mine, (self.samples.count, self.lanes), owner)

    def _put(self, matrix, tiles, blocks, columns):
        pairs = [(block, column) for block in blocks for column in columns if self._computes(block, column)]
        for (block, column), tile in zip(pairs, tiles, strict=True):
            matrix[block, :, column] = tile
            matrix[column, :, block] = tile.conj().T

    def gathered(self, values):
        """Return on rank 0 a vector of samples, float64 or complex128[samples]; elsewhere None."""
        blocks = list(self.world.blocks(np.ascontiguousarray(values)))
        if not self.world.is_root:
            return None
        every = np.concatenate(blocks)
        return (every[:, 0] if self.parts == 1 else every[:, 0] + 1j * every[:, 1]).ravel()

    def scattered(self, vector):
        """Return this rank's part of rank 0's vector of samples; elsewhere `vector` is of no meaning."""
        every = self.world.broadcast(vector).reshape(-1, self.lanes)
        first = self._first(self.world.rank)
        own = every[first : first + self.samples.blocks]
        return np.stack([own.real, own.imag][: self.parts], axis=1)
