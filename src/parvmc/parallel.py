"""World, the ranks of a run: the only importer of MPI, and sums that do not depend on the number of ranks."""

import math
import os
import time

import numpy as np

LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
"""Variables with which a launcher tells a process how many there are (SLURM_NTASKS is set in the batch shell too)."""


def launched():
    """Return {variable: number} of what launchers say about how many processes there are; empty for one alone."""
    claims = {name: int(os.environ[name]) for name in LAUNCHERS if os.environ.get(name, "").isdigit()}
    return {name: count for name, count in claims.items() if count > 1}


class LaunchError(Exception):
    """The processes that a launcher started do not see each other."""


class World:
    """All ranks of a run, or one rank where no MPI library can be loaded.

    exchanging: seconds that this rank has spent in calls of MPI since it began, waiting for the others included.
    """

    def __init__(self, communicator=None):
        """Wrap an MPI communicator; None is a world of one."""
        self._comm = communicator
        self.rank = communicator.rank if communicator else 0
        self.size = communicator.size if communicator else 1
        self.is_root = self.rank == 0
        self.exchanging = 0.0

    def _timed(self, call, *arguments, **more):
        """Return call(...), a call of MPI, whose time is added up."""
        started = time.monotonic()
        result = call(*arguments, **more)
        self.exchanging += time.monotonic() - started
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
        """Return rank 0's value on every rank."""
        return self._timed(self._comm.bcast, value) if self.size > 1 else value

    def broadcast_array(self, values, shape, owner):
        """Return float64[shape] of the owner on every rank; elsewhere `values` is of no meaning."""
        if self.size == 1:
            return values
        values = np.ascontiguousarray(values) if self.rank == owner else np.empty(shape)
        self._timed(self._comm.Bcast, values, root=owner)
        return values

    def gather(self, value):
        """Return the list of all ranks' values on every rank, for small and rare things."""
        return self._timed(self._comm.allgather, value) if self.size > 1 else [value]

    def blocks(self, local):
        """Yield on rank 0 the local arrays of all ranks, in their order and one at a time; elsewhere send and yield
        none."""
        if not self.is_root:
            self._timed(self._comm.send, local, dest=0)
            return
        yield local
        for rank in range(1, self.size):
            yield self._timed(self._comm.recv, source=rank)

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

    def count(self, value):
        """Return the sum of an integer over the ranks."""
        return self._timed(self._comm.allreduce, int(value)) if self.size > 1 else int(value)

    def count_and_largest(self, value, other):
        """Return (sum of an integer, largest of another number) over the ranks, in one call for both."""
        if self.size == 1:
            return int(value), other

        def both(one, two):
            return one[0] + two[0], max(one[1], two[1])

        return self._timed(self._comm.allreduce, (int(value), other), op=both)

    def largest(self, values):
        """Return the elementwise largest of float64 arrays over the ranks; NaN counts as infinite."""
        local = np.where(np.isnan(values), np.inf, values)
        if self.size == 1:
            return local
        from mpi4py import MPI

        result = np.empty_like(local)
        self._timed(self._comm.Allreduce, local, result, op=MPI.MAX)
        return result

    def sum(self, terms, count):
        """Return the sum of float64[local, ...] over its first axis and over the ranks, the same bits however shared
        out.

        count: number of terms on all ranks.
        """
        bounds = self.largest(np.abs(terms).max(axis=0, initial=0.0))
        return self.sum_bounded(terms, bounds, count)

    def sum_bounded(self, terms, bounds, count):
        """Return the sum of an iterable of arrays and over the ranks, given |term| <= bounds, the same on every rank.

        The result is not a number where bounds are not finite.
        """
        folds = self.folds(terms, bounds, count)
        if self.size > 1:
            from mpi4py import MPI

            total = np.empty_like(folds)
            self._timed(self._comm.Allreduce, folds, total, op=MPI.SUM)
            folds = total
        return folds[0] + folds[1]

    @staticmethod
    def folds(terms, bounds, count):
        """Return float64[2, ...], partial sums whose own sums over any grouping are exact: pre-rounding in two folds.

        sigma = 1.5 * 2^e with 2^e >= count * bound: (x + sigma) - sigma is a multiple of 2^(e - 52), of which any
        partial sum is exact, so that their order cannot matter; the remainders are summed in the same way. Both
        together are off by 2^-52 of the largest sum of magnitudes, at the most.
        Demmel and Nguyen, Fast Reproducible Floating-Point Summation, ARITH 21 (2013); Rump, Ogita and Oishi, SIAM J.
        Sci. Comput. 31, 189 (2008).
        """
        with np.errstate(invalid="ignore", over="ignore"):
            exponent = np.maximum(np.frexp(bounds * count)[1], -900)  # terms below 2^-900 leave no bits to keep
            first = np.where(np.isfinite(bounds), np.ldexp(1.5, exponent), np.nan)
            second = np.ldexp(1.5, exponent - 53 + math.ceil(math.log2(count)) + 1)
            del exponent  # bounds can be as many as the elements of a large matrix
            folds, high, rest = np.zeros((2, *np.shape(bounds))), np.empty_like(first), np.empty_like(first)
            for term in terms:
                np.add(term, first, out=high)
                high -= first
                folds[0] += high
                np.subtract(term, high, out=rest)
                rest += second
                rest -= second
                folds[1] += rest
                del term  # before the next one is made
        return folds
