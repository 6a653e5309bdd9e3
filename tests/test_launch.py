"""What the header says of how the ranks were started, and what is warned of."""

import os
import subprocess
import sys

import pytest

from parvmc.launch import Place, header, survey, warnings
from parvmc.parallel import World


def places(*cores, machine=8, threads=1, host="n1"):
    """Return the places of ranks on one node; cores: a text of their numbers for each rank, such as "013"."""
    return [Place(host, sum(1 << int(core) for core in text), machine, threads) for text in cores]


FREE = places("01234567", "01234567")
BOUND = places("0", "1", "2", "3")
SOCKETS = places("0123", "0123", "4567", "4567")
SHARED_JOB = places("0123", "0123", "0123")  # a scheduler gave the job half of the machine
OVERLAP = places("0", "0", "1", "23")
TOO_MANY = places("01", "01", "01")
THREADED = places("01", "23", threads=4)
TWO_NODES = places("0", "1") + places("0", "1", host="n2")


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        (FREE, "2 ranks on 1 node, 1 thread each, not bound: 8 cores"),
        (places("01234567"), "1 rank on 1 node, 1 thread each, not bound: 8 cores"),
        (places("3"), "1 rank on 1 node, 1 thread each, bound to 1 core"),
        (BOUND, "4 ranks on 1 node, 1 thread each, bound to 1 core"),
        (SOCKETS, "4 ranks on 1 node, 1 thread each, bound to 4 cores, which others share"),
        (SHARED_JOB, "3 ranks on 1 node, 1 thread each, not bound: 4 cores"),
        (OVERLAP, "4 ranks on 1 node, 1 thread each, bound to 1 to 2 cores, which others share"),
        (THREADED, "2 ranks on 1 node, 4 threads each, bound to 2 cores"),
        (TWO_NODES, "4 ranks on 2 nodes, 1 thread each, bound to 1 core"),
        (BOUND + places("01234567", threads=2), "5 ranks on 1 node, 1 to 2 threads each, 4 bound to 1 core, 1 not"),
        (places("0", machine=1), "1 rank on 1 node, 1 thread each, not bound: 1 core"),
    ],
)
def test_the_header_tells_how_ranks_were_started(ranks, expected):
    """Ranks, nodes, threads, and whether cores are shared."""
    assert header(ranks).startswith(f"launch: {expected}")


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        (TOO_MANY, ["n1: 3 ranks on 2 cores of the machine's 8"]),
        (places(*(9 * ["01234567"])), ["n1: 9 ranks on 8 cores;"]),
        (OVERLAP, ["n1: 2 ranks bound to the same core while others are free"]),
        (places("0", "0"), ["n1: 2 ranks on 1 core of the machine's 8"]),
        (places("01", "01", "01", "4567"), ["n1: 3 ranks bound to the same 2 cores while others are free"]),
        (THREADED, ["n1: 2 ranks of 4 threads on 4 cores; set OMP_NUM_THREADS=1"]),
        (places("0123", "4", threads=2), ["n1: 1 rank of 2 threads on 1 core"]),
        (
            TOO_MANY + [place._replace(host=f"n{i}") for i in range(2, 6) for place in TOO_MANY],
            ["n1, n2, n3 and 2 more: 3 ranks on 2 cores"],
        ),
        (OVERLAP + [place._replace(host="n2") for place in BOUND], ["n1: 2 ranks bound"]),
    ],
)
def test_ranks_without_a_core_of_their_own_are_warned_of(ranks, expected):
    """Once for each kind of mistake, with the nodes where it was made."""
    found = warnings(ranks)
    assert len(found) == len(expected)
    for text, start in zip(found, expected, strict=True):
        assert text.startswith(start)


@pytest.mark.parametrize("ranks", [FREE, BOUND, SOCKETS, SHARED_JOB, TWO_NODES, places("0123", "4567", threads=4)])
def test_nothing_is_said_where_all_is_well(ranks):
    """A core for each rank, or for each thread of each rank: no warning."""
    assert warnings(ranks) == []


def test_hardware_threads_of_a_core_are_one_core(monkeypatch):
    """Two cores of two hardware threads: a rank on threads 1 and 3 has core 1 alone."""
    known = [{"processor": str(i), "physical id": "0", "core id": str(i % 2)} for i in range(4)]
    monkeypatch.setattr("parvmc.launch.cpuinfo", lambda: known)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 3}, raising=False)
    (place,) = survey(World())
    assert (place.cores, place.machine) == (0b10, 2)
    assert "bound to 1 core" in header([place])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="OpenBLAS takes no more threads than there are cores")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [({"OMP_NUM_THREADS": "2"}, "2"), ({"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}, "1")],
)
def test_threads_are_what_the_library_takes(asked, expected):
    """OpenBLAS has a variable of its own, which comes before OMP_NUM_THREADS."""
    script = "from parvmc import launch, parallel; print(launch.survey(parallel.World())[0].threads)"
    without = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", script], env=without | asked, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr
