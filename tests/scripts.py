"""Running the scripts of analysis/ in tests, as users do."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import command, environment

import parvmc

ANALYSIS = Path(__file__).parents[1] / "analysis"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(parvmc.__file__).parents[1])}
GUARD = (
    "import runpy, sys\n"
    "sys.path.insert(0, sys.argv[1].rpartition('/')[0])\n"
    "status = runpy.run_path(sys.argv[1])['main'](sys.argv[2:])\n"
    "assert not {'mpi4py', 'numba', 'llvmlite', 'pydantic'} & sys.modules.keys()\n"
    "sys.exit(status)\n"
)


def tool(name, *arguments, guard=False, cwd=None):
    """Run a script; guard: in a process that fails where it imports MPI or kernels; cwd: the folder to run it in."""
    start = ["-c", GUARD] if guard else []
    words = [sys.executable, *start, str(ANALYSIS / name), *map(str, arguments)]
    return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, cwd=cwd)


def run(folder, deck, name, *options, ranks=None):
    """Run the program in a folder and return the result file."""
    words = command(deck, "-o", f"{name}.h5", "--quiet", *options, ranks=ranks)
    subprocess.run(words, cwd=folder, env=environment(), check=True, timeout=300, capture_output=True)
    return folder / f"{name}.h5"
