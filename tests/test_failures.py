"""One rank fails, all know: the job ends within seconds and says once what happened."""

import signal
import subprocess
import sys
import time

import h5py
import pytest
from conftest import MPIRUN, environment
from files import descendants, kill
from runs import DECK

from parvmc import checkpoint_file
from parvmc.files import Files

SECONDS = 20.0  # for the whole job to end, on a machine with other work to do

FAULTY = """
import os, resource, sys
import numpy as np
from parvmc import optimization
from parvmc.__main__ import main

sample, victim, fault = optimization._sample, int(sys.argv[1]), sys.argv[2]

def fail(simulation):
    if fault == "exception":
        raise ZeroDivisionError("a fault of this very rank")
    if fault == "exit":
        sys.exit(3)
    if fault == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        np.ones(1 << 40)
    if fault == "gone":
        from mpi4py import MPI
        raise MPI.Exception(MPI.ERR_OTHER)
    if fault == "nan":
        simulation.positions[0, 0, 3] = np.nan
    if fault in ("KILL", "SEGV"):
        os.kill(os.getpid(), getattr(__import__("signal"), "SIG" + fault))

def faulty(simulation, samples):
    if simulation.iteration == 5 and simulation.world.rank == victim:
        open(f"failed_{os.getpid()}", "w").close()
        fail(simulation)
    return sample(simulation, samples)

optimization._sample = faulty
sys.exit(main(sys.argv[3:]))
"""


def failing(folder, fault, victim, *options, ranks=3):
    """Run a deck in which a rank fails in the sixth iteration; return (process, output, errors, seconds it took)."""
    (folder / "faulty.py").write_text(FAULTY)
    deck = folder / "long.toml"
    deck.write_text(DECK)
    arguments = [MPIRUN, "-n", str(ranks), sys.executable, folder / "faulty.py", str(victim), fault, deck]
    arguments += ["--set", 'output.checkpoint_interval="0 s"', *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(arguments, cwd=folder, env=environment(), **pipes)
    try:
        output, errors = process.communicate(timeout=180)
        took = time.time() - next(folder.glob("failed_*")).stat().st_mtime
        assert not descendants(process.pid)
    finally:
        kill(process)
    return process, output, errors, took


@pytest.mark.mpi
def test_what_mpi_raises_when_a_rank_is_gone_is_one_line(tmp_path):
    """The launcher says which; the ranks that are left do not add a traceback each."""
    process, _, errors, _ = failing(tmp_path, "gone", 1)
    assert process.returncode not in (0, 75)
    assert "parvmc: rank 1: another rank or its node seems to be gone (MPI: " in errors
    assert "Traceback" not in errors


@pytest.mark.mpi
@pytest.mark.parametrize("victim", [0, 2])
@pytest.mark.parametrize(
    ("fault", "message"),
    [("exception", "ZeroDivisionError: a fault"), ("memory", "Unable to allocate"), ("exit", "SystemExit: 3")],
)
def test_an_exception_on_one_rank_ends_the_job(tmp_path, fault, message, victim):
    """An exception, memory that is not there, and a rank that leaves: that rank's message once, and a checkpoint."""
    process, _, errors, took = failing(tmp_path, fault, victim)
    assert process.returncode not in (0, 75)
    assert errors.count(message) == 1
    assert errors.count(f"parvmc: rank {victim}:") == errors.count("parvmc: rank") == 1
    assert took < SECONDS
    warned = []
    checkpoint = checkpoint_file.read(Files(tmp_path / "long.h5"), warned.append)
    assert (checkpoint.attributes["counters"]["iteration"], warned) == (5, [])


@pytest.mark.mpi
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_rank_that_dies_ends_the_job(tmp_path, number):
    """What the kernel does when memory runs out, and what a fault in a library does; the launcher speaks of it."""
    process, _, _, took = failing(tmp_path, number.name.removeprefix("SIG"), 1)
    assert process.returncode not in (0, 75)
    assert took < SECONDS


@pytest.mark.mpi
@pytest.mark.parametrize("victim", [0, 2])
def test_a_number_that_is_none_on_one_rank_ends_the_job(tmp_path, victim):
    """All ranks end together, the rank's walker is named once, and the result file says that the run has failed."""
    process, _, errors, took = failing(tmp_path, "nan", victim, "--set", "optimizer.retry=false")
    assert process.returncode == 1
    assert errors.count("is not finite") == 1
    assert f"walker 3 of batch {(0, 0, 5)[victim]} (rank {victim})" in errors
    assert "Traceback" not in errors
    assert took < SECONDS
    with h5py.File(tmp_path / "long.h5") as file:
        assert file.attrs["status"] == "failed"


@pytest.mark.mpi
def test_a_number_that_is_none_costs_no_more_than_a_step(tmp_path):
    """With `retry`, the default, the step is taken back and the run goes on."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    (tmp_path / "long.toml").write_text(DECK)
    arguments = [MPIRUN, "-n", "2", sys.executable, "faulty.py", "1", "nan", "long.toml"]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "is taken back" in done.stdout
