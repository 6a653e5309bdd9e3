"""Ranks as threads of one process: worlds of any size without a launcher, for code that talks to `World` alone."""

import functools
import operator
import queue
import threading

import numpy as np

from parvmc.parallel import World


class _Communicator:
    """What `World` needs of an MPI communicator, between threads."""

    def __init__(self, rank, size, shared):
        self.rank, self.size, self._shared = rank, size, shared

    def _exchange(self, value):
        """Return what every rank brought."""
        values, barrier, _ = self._shared
        values[self.rank] = value
        barrier.wait()
        found = list(values)
        barrier.wait()
        return found

    def bcast(self, value, root=0):
        return self._exchange(value)[root]

    def allgather(self, value):
        return self._exchange(value)

    def allreduce(self, value, op=operator.add):
        return functools.reduce(op, self._exchange(value))

    def Bcast(self, values, root):
        found = self._exchange(values)
        if self.rank != root:
            values[...] = found[root]
        self._shared[1].wait()

    def Allreduce(self, local, result, op):
        from mpi4py import MPI

        function = np.maximum if op == MPI.MAX else np.add
        total = self._exchange(local)[0].copy()
        for other in self._exchange(local)[1:]:
            total = function(total, other)
        result[...] = total

    def Gatherv(self, local, result, root):
        found = self._exchange(local)
        if self.rank == root:
            every, lengths = result
            assert [part.size for part in found] == lengths
            every[...] = np.concatenate(found)
        self._shared[1].wait()

    def Send(self, values, dest):
        self.send(values.copy(), dest)

    def Recv(self, values, source):
        values[...] = self.recv(source)

    def send(self, value, dest):
        self._shared[2][self.rank, dest].put(value)

    def recv(self, source):
        return self._shared[2][source, self.rank].get(timeout=60)


def on_ranks(size, function):
    """Return [function(world) of every rank], called at the same time on worlds of this size."""
    queues = {(a, b): queue.Queue() for a in range(size) for b in range(size)}
    shared = [None] * size, threading.Barrier(size, timeout=60), queues
    found = [None] * size

    def call(rank):
        try:
            found[rank] = function(World(_Communicator(rank, size, shared)))
        except BaseException as error:
            found[rank] = error
            shared[1].abort()

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value in found:
        if isinstance(value, BaseException):
            raise value
    return found
