"""World, the ranks of a run: the only importer of MPI, and sums that do not depend on the number of ranks."""

import math
import os
import pickle
import time
from typing import NamedTuple

import numpy as np

from parvmc.sums import folds, in_groups

LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
"""Variables with which a launcher tells a process how many there are (SLURM_NTASKS is set in the batch shell too)."""


def launched():
    """Return {variable: number} of what launchers say about how many processes there are; empty for one alone."""
    claims = {name: int(os.environ[name]) for name in LAUNCHERS if os.environ.get(name, "").isdigit()}
    return {name: count for name, count in claims.items() if count > 1}


class LaunchError(Exception):
    """The processes that a launcher started do not see each other."""


class Traffic(NamedTuple):
    """What a rank has exchanged with the others.

    collectives, messages: calls of MPI, by all ranks and between two; bytes: in this rank's buffers, what it gives or,
    where it gives nothing, takes; how often an MPI library sends them on its way to all ranks is its own affair.
    """

    collectives: int = 0
    messages: int = 0
    bytes: int = 0

    def since(self, before):
        """Return what has come since an earlier state."""
        return Traffic(*(now - then for now, then in zip(self, before, strict=True)))


class World:
    """All ranks of a run, or one rank where no MPI library can be loaded.

    exchanging: seconds that this rank has spent in calls of MPI since it began, waiting for the others included;
    traffic: the `Traffic` of these calls.
    """

    def __init__(self, communicator=None):
        """Wrap an MPI communicator; None is a world of one."""
        self._comm = communicator
        self.rank = communicator.rank if communicator else 0
        self.size = communicator.size if communicator else 1
        self.is_root = self.rank == 0
        self.exchanging = 0.0
        self.traffic = Traffic()

    def _collective(self, size, call, *arguments, **more):
        """Return call(...), a call of MPI by all ranks with so many bytes."""
        return self._counted(Traffic(1, 0, size), call, *arguments, **more)

    def _message(self, size, call, *arguments, **more):
        """Return call(...), which sends or receives so many bytes."""
        return self._counted(Traffic(0, 1, size), call, *arguments, **more)

    def _counted(self, traffic, call, *arguments, **more):
        started = time.monotonic()
        result = call(*arguments, **more)
        self.exchanging += time.monotonic() - started
        self.traffic = Traffic(*(total + own for total, own in zip(self.traffic, traffic, strict=True)))
        return result

    @classmethod
    def start(cls, alone=False):
        """Return the world of all ranks of this job; raise LaunchError where n processes each see a world of one.

        alone: whether this process is meant to be by itself, whoever started it; no MPI library is loaded then.
        """
        if alone:
            return cls()
        world = cls(cls._communicator())
        claims = launched()
        name = max(claims, key=claims.get, default=None)
        if world.size == 1 and name:
            why = (
                f"the launcher and the MPI library that Python loaded ({world.mpi_library}) do not belong together: "
                "use its own mpirun, or srun with its --mpi"
            )
            if world.mpi_library == "none":
                why = "Python could load no MPI library: python -m mpi4py --mpi-lib-version tells why"
            raise LaunchError(
                f"{name} says that {claims[name]} processes were started, but this one sees a world of one and would "
                f"write the same files as the others; {why}. For a process that shall be by itself there is --alone"
            )
        return world

    @staticmethod
    def _communicator():
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError):  # RuntimeError: mpi4py is there, an MPI library is not
            return None
        return MPI.COMM_WORLD

    @property
    def mpi_library(self):
        """Name and version of the MPI library."""
        if self._comm is None:
            return "none"
        from mpi4py import MPI

        return MPI.Get_library_version().split("\n")[0].strip("\0 ")

    # --- who does what -------------------------------------------------------------------------------------------

    def share(self, count):
        """Return the range of batches, of `count` numbered over the whole run, that this rank walks."""
        return self.range_of(self.rank, count)

    def range_of(self, rank, count):
        """Return the range of batches that a rank walks; shares differ by one batch at most."""
        return range(rank * count // self.size, (rank + 1) * count // self.size)

    def owner(self, batch, count):
        """Return the rank that walks a batch, of `count`."""
        return ((batch + 1) * self.size - 1) // count

    def one_per_node_first(self, work):
        """Call `work` on one rank of each node, then on the others: the first compiles, the others load what it
        left."""
        if self.size == 1:
            work()
            return
        from mpi4py import MPI

        node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        if node.rank == 0:
            work()
        self.wait()
        if node.rank != 0:
            work()
        node.Free()
        self.wait()  # the others may be many on few cores

    def wait(self):
        """Wait for all ranks without keeping a core busy: waiting ranks of MPI libraries spin."""
        if self._comm is None:
            return
        request = self._comm.Ibarrier()
        pause = 1e-4
        while not request.Test():
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def lost(self, error):
        """Return a line on an exception that MPI has raised, as a rule because another rank is gone; "" for others."""
        if self._comm is None:
            return ""
        from mpi4py import MPI

        if not isinstance(error, MPI.Exception):
            return ""
        return f"another rank or its node seems to be gone (MPI: {str(error).splitlines()[-1].strip()})"

    def abort(self, code):
        """End the whole job: a rank that merely left would hang the others."""
        if self.size > 1:
            time.sleep(1)  # launchers kill at once, and what was printed last but not yet read by them is lost
            self._comm.Abort(code)
        raise SystemExit(code)

    # --- objects and blocks of batches ------------------------------------------------------------------------------

    def broadcast(self, value):
        """Return rank 0's value on every rank, for rare things."""
        if self.size == 1:
            return value
        data = np.frombuffer(pickle.dumps(value, protocol=5) if self.is_root else b"", np.uint8)
        length = self.broadcast_array(np.array([float(len(data))]), (1,), 0)
        data = data if self.is_root else np.empty(int(length[0]), np.uint8)
        self._collective(data.nbytes, self._comm.Bcast, data, root=0)
        return value if self.is_root else pickle.loads(data)

    def broadcast_array(self, values, shape, owner):
        """Return float64[shape] of the owner on every rank; elsewhere `values` is of no meaning."""
        if self.size == 1:
            return values
        values = np.ascontiguousarray(values) if self.rank == owner else np.empty(shape)
        self._collective(values.nbytes, self._comm.Bcast, values, root=owner)
        return values

    def broadcast_arrays(self, arrays):
        """Return rank 0's float64 arrays on every rank, in one call for all; elsewhere their shapes alone matter."""
        if self.size == 1:
            return arrays
        flat = np.concatenate([array.ravel() for array in arrays])
        parts = np.split(self.broadcast_array(flat, flat.shape, 0), np.cumsum([array.size for array in arrays])[:-1])
        return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]

    def gather(self, value):
        """Return the list of all ranks' values on every rank, for small and rare things."""
        if self.size == 1:
            return [value]
        return self._collective(len(pickle.dumps(value, protocol=5)), self._comm.allgather, value)

    def joined(self, rows, lengths):
        """Return on rank 0 the rows of all ranks, one below the other; elsewhere None.

        rows: an array [own, ...]; lengths: how many each rank has.
        """
        rows = np.ascontiguousarray(rows)
        if self.size == 1:
            return rows
        every = np.empty((sum(lengths), *rows.shape[1:]), rows.dtype) if self.is_root else None
        places = [length * math.prod(rows.shape[1:]) for length in lengths]
        self._collective(rows.nbytes, self._comm.Gatherv, rows, (every, places) if self.is_root else None, root=0)
        return every

    def received(self, values, shapes):
        """Yield on rank 0 (rank, array) of each other rank in turn; the others send `values` and yield nothing.

        shapes: function of the rank; all arrays are of the type of `values`.
        """
        if not self.is_root:
            self._message(values.nbytes, self._comm.Send, np.ascontiguousarray(values), dest=0)
            return
        for rank in range(1, self.size):
            found = np.empty(shapes(rank), values.dtype)
            self._message(found.nbytes, self._comm.Recv, found, source=rank)
            yield rank, found

    def blocks(self, local):
        """Yield on rank 0 the local arrays of all ranks, in their order and one at a time; elsewhere send and yield
        none."""
        if not self.is_root:
            self._message(local.nbytes, self._comm.send, local, dest=0)
            return
        yield local
        for rank in range(1, self.size):
            found = self._message(0, self._comm.recv, source=rank)
            self.traffic = self.traffic._replace(bytes=self.traffic.bytes + found.nbytes)
            yield found

    def scatter(self, count, read):
        """Return this rank's share of `count` batches; read(first, last) is called on rank 0, a share at a time."""
        if not self.is_root:
            return self._comm.recv(source=0)
        for rank in range(self.size - 1, 0, -1):
            share = self.range_of(rank, count)
            self._comm.send(read(share.start, share.stop), dest=rank)
        share = self.share(count)
        return read(share.start, share.stop)

    # --- sums ------------------------------------------------------------------------------------------------------

    def count(self, *values):
        """Return the sum of an integer over the ranks; of several the list of sums, in one call for all."""
        total = self._reduced(np.array([int(value) for value in values]), "SUM").tolist()
        return total if len(values) > 1 else total[0]

    def _reduced(self, local, operation):
        """Return the elementwise sum or maximum of an array over the ranks."""
        if self.size == 1:
            return local
        from mpi4py import MPI

        result = np.empty_like(local)
        self._collective(local.nbytes, self._comm.Allreduce, local, result, op=getattr(MPI, operation))
        return result

    def largest(self, values):
        """Return the elementwise largest of float64 arrays over the ranks; NaN counts as infinite."""
        return self._reduced(np.where(np.isnan(values), np.inf, values), "MAX")

    def sum(self, terms, count):
        """Return the sum of float64[local, ...] over its first axis and over the ranks, the same bits however shared
        out.

        count: number of terms on all ranks.
        """
        bounds = self.largest(np.abs(terms).max(axis=0, initial=0.0))
        return self.sum_bounded(in_groups(terms), bounds, count)

    def sum_bounded(self, groups, bounds, count, integers=None):
        """Return the sum over the groups of `folds` and over the ranks, given |term| <= bounds, the same on every rank.

        The result is not a number where bounds are not finite. Bounds that are known without a maximum over the ranks
        save a call, and may be far too large: a factor of a thousand costs ten bits of a hundred. integers: of this
        rank, exact in float64, whose sums come along in the same call; then (sum, sums of the integers) is returned.
        """
        own = folds(groups, bounds, count)
        total = self._reduced(own if integers is None else np.append(own, np.array(integers, float)), "SUM")
        if integers is None:
            return total[0] + total[1]
        high, low = total[: own.size].reshape(own.shape)
        return high + low, [int(value) for value in total[own.size :]]
