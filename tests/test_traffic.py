"""What is sent in an iteration: the exact number of calls of MPI and of bytes, so that it cannot creep up."""

import json
import subprocess
import sys

import numpy as np
import pytest
import traffic
from conftest import MPIRUN, environment
from ranks import on_ranks

from parvmc.parallel import Traffic, World
from parvmc.scaling_model import Work, calls

CASES = {
    "gradient": {"kind": "trap", "optimizer": 'kind = "gradient"'},
    "momentum": {"kind": "trap", "optimizer": 'kind = "momentum"'},
    "adam": {"kind": "trap", "optimizer": 'kind = "adam"'},
    "dense": {"kind": "trap", "optimizer": 'method = "dense"'},
    "cg": {"kind": "trap", "optimizer": 'method = "cg"'},
    "minsr": {"kind": "trap", "optimizer": 'method = "minsr"'},
    "spring": {"kind": "trap", "optimizer": 'method = "spring"'},
    "adam, complex": {"kind": "spins", "optimizer": 'kind = "adam"'},
    "dense, complex": {"kind": "spins", "optimizer": 'method = "dense"'},
    "cg, complex": {"kind": "spins", "optimizer": 'method = "cg"'},
    "spring, complex, computed again": {"kind": "spins", "optimizer": 'method = "spring"\nmemory = 1e-5', "hidden": 5},
    "dense, listed": {"kind": "listed", "optimizer": 'method = "dense"'},
}


def sums(real):
    """Return the numbers of an exact sum's two folds, and the accepted moves, as bytes."""
    return 8 * (2 * real + 1)


def stated(work, ranks, rank):
    """Return the `Traffic` of an iteration on equal shares, written out in words of its own.

    P real or complex parameters, f numbers each, N samples, k iterations of "cg":

    - the largest squares of 1 + P rows, the longest time of sampling (and the heaviest batch, where listed);
    - the sums: f (1 + P) rows, a spread, 1 + P squares, and f (1 + P) products with the energy; for "dense" all
      (1 + P)(2 + P) / 2 different products, (1 + P)^2 numbers where they are complex;
    - the step, its norm and what the optimiser remembers; "cg" instead a sum of f P numbers in each iteration; "minsr"
      and "spring" f P N numbers of all blocks, tiles, one or two vectors of samples, the solution, and a sum of f P;
    - whether to stop or to save.
    """
    f, parameters, n = work.parts, work.coordinates // work.parts, work.samples
    rows = 1 + parameters
    products = {1: rows * (rows + 1) // 2, 2: rows * rows}[f] if work.method == "dense" else f * rows
    collectives, messages = 2 + 1, 0
    size = 8 * (rows + 1) + sums(f * rows + 1 + rows + products) + 2 * 8
    if work.weighted:  # the largest amplitude, and the sum of all weights
        collectives, size = collectives + 3, size + 8 + 8 + 8 + 2 * 8
    if work.method == "cg":
        return Traffic(collectives + work.products, 0, size + work.products * 2 * 8 * f * parameters)
    if work.method not in ("minsr", "spring"):
        kept = {"momentum": 1, "adam": 2}.get(work.method, 0)
        return Traffic(collectives + 1, 0, size + 8 * ((1 + kept) * f * parameters + 1))
    vectors, blocks, lanes = 1 + (work.method == "spring"), n // work.lanes, work.lanes
    others = ranks - 1 if rank == 0 else 1
    # each pair of blocks once, and each block with itself
    tiles = sum(
        distance == 0 or 2 * distance < blocks or (2 * distance == blocks and block > other)
        for other in range(blocks)
        for block in range(blocks)
        for distance in [(block - other) % blocks]
        if (block * ranks // blocks == rank if rank else block * ranks // blocks > 0)
    )
    messages, size = others, size + 8 * f * tiles * lanes**2
    size += 8 * f * parameters * n + 8 * f * vectors * n // ranks + 8 * (f * n + 1) + 2 * 8 * f * parameters
    broadcasts = ranks if work.keeps else blocks  # here a rank holds one block besides its own
    return Traffic(collectives + broadcasts + 3, messages, size)


def modelled(work, ranks, rank):
    """Return the `Traffic` that the model of scaling states."""
    found = calls(work, ranks, rank)
    messages = sum(call.count for call in found if call.kind == "message")
    return Traffic(sum(call.count for call in found) - messages, messages, sum(call.bytes for call in found))


def assert_as_stated(name, rows, ranks):
    """Assert that every rank has sent what is stated in every iteration, and that the case is what its name says."""
    assert len(rows) == ranks
    for rank, iterations in enumerate(rows):
        assert len(iterations) == traffic.ITERATIONS
        for work, found in iterations:
            assert work.method == name.partition(",")[0]
            assert (work.parts == 2) == ("complex" in name or "listed" in name)
            assert work.keeps == ("again" not in name)
            assert work.weighted == ("listed" in name)
            assert found == modelled(work, ranks, rank)
            if work.batches % ranks == 0:
                assert found == stated(work, ranks, rank)


@pytest.mark.mpi
def test_two_ranks_send_what_is_stated():
    """All optimisers and routes, real and complex, log-derivatives kept and computed again, under mpirun."""
    words = [MPIRUN, "-n", "2", sys.executable, traffic.__file__, *map(json.dumps, CASES.values())]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name, line in zip(CASES, done.stdout.splitlines(), strict=True):
        rows = [[(Work(**work), Traffic(*found)) for work, found in own] for own in json.loads(line)]
        assert_as_stated(name, rows, 2)


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [3, 4])
def test_more_ranks_send_what_is_stated(ranks):
    """As threads, on shares that are equal and on some that are not: six batches."""
    for name in ("adam", "dense", "cg, complex", "spring", "spring, complex, computed again"):
        assert_as_stated(name, on_ranks(ranks, lambda world, name=name: traffic.measured(world, CASES[name])), ranks)


def test_one_rank_sends_nothing():
    work, found = traffic.measured(World(), CASES["dense"])[-1]
    assert found == modelled(work, 1, 0) == Traffic()


@pytest.mark.mpi
def test_objects_and_blocks_are_counted():
    """A broadcast of an object is two calls, a message counts at both ends; none of it for one rank (control)."""

    def exchange(world):
        world.broadcast("x" * 1000 if world.is_root else None)
        before = world.traffic
        list(world.blocks(np.zeros((2, 3))))
        return before, world.traffic.since(before)

    (first, received), (second, sent), (third, _) = on_ranks(3, exchange)
    assert first.collectives == second.collectives == third.collectives == 2
    assert first.bytes == second.bytes > 1000
    assert (received, sent) == (Traffic(0, 2, 2 * 48), Traffic(0, 1, 48))
    assert exchange(World()) == (Traffic(), Traffic())
