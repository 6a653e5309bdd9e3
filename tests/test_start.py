"""Start-up on several ranks: who compiles, who reads the deck, and what is said of the cache."""

import os
import shutil
import subprocess
import sys

import pytest
import short_deck
from conftest import MPIRUN, environment

from parvmc import kernel_cache

PRETENDED_NODES = """
import os, sys

from mpi4py import MPI

from parvmc.parallel import World


class OnNodes:
    '''MPI's communicator of all ranks, but with so many ranks on each node.'''

    def __init__(self, ranks_per_node):
        self._ranks = ranks_per_node

    def Split_type(self, kind):
        return MPI.COMM_WORLD.Split(MPI.COMM_WORLD.rank // self._ranks)

    def __getattr__(self, name):
        return getattr(MPI.COMM_WORLD, name)


ranks_per_node, cache, *arguments = sys.argv[1:]
node = MPI.COMM_WORLD.rank // int(ranks_per_node)
os.environ["PARVMC_CACHE_DIR"] = os.path.join(cache, f"node{node}")
World._communicator = staticmethod(lambda: OnNodes(int(ranks_per_node)))

from parvmc.__main__ import main

status = main(arguments)

from parvmc import walk

kernels = walk.equilibrate, walk.sample, walk.observe
compiled = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)
loaded = sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels)
print(f"rank {MPI.COMM_WORLD.rank}: {compiled} compiled, {loaded} loaded", flush=True)
sys.exit(status)
"""

DECK_FOR_RANK_0 = """
import sys

from mpi4py import MPI

deck = sys.argv[1]


def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith(deck):
        if MPI.COMM_WORLD.rank:
            raise PermissionError("the deck is not for this rank")
        print("the deck is read", flush=True)


sys.addaudithook(watch)

from parvmc.__main__ import main

sys.exit(main([deck]))
"""


@pytest.fixture
def ranks(tmp_path):
    """Return a function that runs a script on two ranks in a folder with a deck, small.toml."""
    short_deck.write(tmp_path)

    def run(script, *arguments, **more):
        path = tmp_path / "script.py"
        path.write_text(script)
        return subprocess.run(
            [MPIRUN, "-n", "2", sys.executable, path, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize(
    ("ranks_per_node", "expected"),
    [(1, {"node0": (2, 0), "node1": (2, 0)}), (2, {"node0": (2, 2)})],
)
def test_one_rank_of_each_node_compiles(ranks, tmp_path, ranks_per_node, expected):
    """Folders that only one node sees: the first rank of each compiles; on one node the second loads instead. The
    nodes are pretended, the folders and ranks are real."""
    done = ranks(PRETENDED_NODES, ranks_per_node, tmp_path / "cache", "small.toml")
    assert done.returncode == 0, done.stderr
    told = sorted(line for line in done.stdout.splitlines() if line.startswith("rank "))
    second = "2 compiled, 0 loaded" if ranks_per_node == 1 else "0 compiled, 2 loaded"
    assert told == ["rank 0: 2 compiled, 0 loaded", f"rank 1: {second}"]
    found = {path.name: len(list(path.rglob("*.nbc"))) for path in (tmp_path / "cache").iterdir()}
    assert found == {name: kernels for name, (kernels, _) in expected.items()}


@pytest.mark.mpi
def test_only_rank_0_reads_the_deck(ranks):
    """The others may not open it, and the run is done; that it is looked at is seen on rank 0."""
    done = ranks(DECK_FOR_RANK_0, "small.toml")
    assert done.returncode == 0, done.stderr
    assert "the deck is read" in done.stdout
    assert "2 ranks" in done.stdout


@pytest.mark.mpi
def test_a_cache_in_another_place_is_said_once(tmp_path, ranks):
    """The folder that was asked for lies below a file, and so does the home: the temporary one is used, two ranks
    warn once."""
    blocked, temporary = tmp_path / "file", tmp_path / "temporary"
    blocked.touch()
    shutil.copytree(kernel_cache.folder().parent, temporary / f"parvmc-{os.getuid()}")  # so that little is compiled
    places = dict.fromkeys(("PARVMC_CACHE_DIR", "XDG_CACHE_HOME", "HOME"), str(blocked / "cache"))
    done = ranks("from parvmc.__main__ import main; main()", "small.toml", TMPDIR=str(temporary), **places)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"compiled kernels are kept in {temporary}") == 1
    assert f"({blocked}/cache: [Errno 20] Not a directory" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a file system")
def test_a_full_file_system_for_the_cache_does_not_end_a_run(parvmc, tmp_path):
    """A real one, of 64 kB: the run is done, and one warning tells that kernels could not be kept."""
    full = tmp_path / "full"
    full.mkdir()
    short_deck.write(tmp_path)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", full], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system: {mounted.stderr.strip()}")
    try:
        done = parvmc("small.toml", PARVMC_CACHE_DIR=str(full))
    finally:
        subprocess.run(["umount", full], check=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No space left on device") == 1
    assert (tmp_path / "small.h5").exists()
