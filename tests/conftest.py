"""Fixtures for tests that start the program."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SEARCHED = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
MPIRUN = shutil.which("mpirun", path=SEARCHED)

TWO_ELECTRONS = """
[system]
kind = "trap"
particles = 2
dimensions = 2
interaction = {kind = "coulomb"}

[[state]]
kind = "gaussian_rbm"
"""
"""The start of a deck; what follows it first is the number of hidden units."""

SMALL = {"sampler.walkers": 256, "sampler.lanes": 128, "sampler.equilibration": 20, "optimizer.iterations": 3}
SMALL |= {"optimizer.samples": 256, "production.samples": 64 * 256, "production.equilibration": 20}
"""Settings that scale a deck down."""


def pytest_collection_modifyitems(items):
    """Skip tests that need mpirun where there is none."""
    if MPIRUN is None:
        reason = "no mpirun: install an MPI library, pip install '.[mpich]'"
        for item in items:
            if item.get_closest_marker("mpi"):
                item.add_marker(pytest.mark.skip(reason=reason))


def command(*arguments, ranks=None):
    """Return the command line of the program, under mpirun if ranks are given."""
    launcher = [] if ranks is None else [MPIRUN, "-n", str(ranks)]
    return [*launcher, sys.executable, "-m", "parvmc", *map(str, arguments)]


def environment(**more):
    """Return the environment for a child: root and oversubscription allowed, where Open MPI asks."""
    allowed = {
        "PATH": SEARCHED,  # Intel's mpirun looks for its other half there
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    return os.environ | allowed | more


@pytest.fixture
def parvmc(tmp_path):
    """Return a function that runs the program in a folder of its own and returns the completed process."""

    def run(*arguments, ranks=None, timeout=300, **more):
        return subprocess.run(
            command(*arguments, ranks=ranks),
            cwd=tmp_path,
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
