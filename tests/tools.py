"""The tools of analysis/ in tests: as modules, as commands, their figures, and small real runs for them to read."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

from conftest import TWO_ELECTRONS, command, environment

import parvmc

FOLDER = Path(__file__).parents[1] / "analysis"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(parvmc.__file__).parents[1])}
TRAP = f"""
title = "Two electrons, a short run"
seed = 5
{TWO_ELECTRONS}hidden = 2

[sampler]
walkers = 512
lanes = 32
equilibration = 100

[optimizer]
iterations = 40
average = 0.25

[production]
samples = 65_536
"""
"""16 batches of 128 steps."""


def tool(name):
    """Return a tool as a module."""
    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    return importlib.import_module(name)


def called(name, *arguments, cwd=None):
    """Run a tool as a command."""
    line = [sys.executable, str(FOLDER / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, cwd=cwd)


def imports_nothing_heavy(name, *arguments):
    """Whether a tool that prints its table imports neither MPI, nor kernels, nor matplotlib."""
    source = (
        "import runpy, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "status = runpy.run_path(f'{sys.argv[1]}/{sys.argv[2]}.py')['main']([*sys.argv[3:], '--table'])\n"
        "assert not {'mpi4py', 'numba', 'llvmlite', 'pydantic', 'matplotlib'} & sys.modules.keys()\n"
        "sys.exit(status)\n"
    )
    line = [sys.executable, "-c", source, str(FOLDER), name, *map(str, arguments)]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    return (done.returncode, done.stderr) == (0, "")


def drawn(module, runs):
    """Return the figure of what a tool has read, drawn to the end."""
    common = tool("common")
    figure = common.figure(*module.size(runs))
    with common.drawing():
        module.draw(figure, runs)
        figure.draw_without_rendering()
    return figure


def axes_of(figure, label):
    """Return the axes whose vertical label begins so."""
    return next(axes for axes in figure.axes if axes.get_ylabel().startswith(label))


def texts(axes):
    """Return the texts of a legend."""
    return [text.get_text() for text in axes.get_legend().get_texts()]


def bars(axes, label=None):
    """Return (float64[points, 2], float64[points]), the points of an errorbar with this label, or of the first, and
    half the length of its bars."""
    found = next(part for part in axes.containers if label in (None, part.get_label()))
    (lines,) = found.lines[2]
    halves = [0.5 * (segment[1, 1] - segment[0, 1]) for segment in lines.get_segments()]
    return found.lines[0].get_xydata(), halves


def made(folder, name, text, *options):
    """Run a deck on one rank, without mpirun, and return its result file."""
    deck = folder / f"{name}.toml"
    deck.write_text(text)
    line = command(deck, "--quiet", *options)
    done = subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / f"{name}.h5"
