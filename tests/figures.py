"""Figures of the tools of analysis/ in tests: drawn from what they have read, and looked at."""

import importlib
import sys

import scripts
from conftest import TWO_ELECTRONS

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
CUT = 3.0  # pixels of 100 to the inch that a box may reach beyond the edge


def module(name):
    """Return a tool as a module."""
    if str(scripts.ANALYSIS) not in sys.path:
        sys.path.insert(0, str(scripts.ANALYSIS))
    return importlib.import_module(name)


def made(folder, name, text):
    """Write a deck into a folder, run it there on one rank, without mpirun, and return its result file."""
    deck = folder / f"{name}.toml"
    deck.write_text(text)
    return scripts.run(folder, deck, name)


def read(load, *paths):
    """Return what a tool's load reads of files; none may fail."""
    found, failures = module("common").each(list(map(str, paths)), load)
    assert not failures
    return found


def drawn(tool, runs):
    """Return the figure of what a tool has read, drawn to the end; no label or number may be cut off at its edges."""
    common = module("common")
    figure = common.figure(*tool.size(runs))
    with common.drawing():
        tool.draw(figure, runs)
        figure.draw_without_rendering()
        whole = figure.bbox.padded(CUT)
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert whole.contains(*box.min), (axes.get_title(), axes.get_ylabel(), box)
            assert whole.contains(*box.max), (axes.get_title(), axes.get_ylabel(), box)
    return figure


def texts(axes):
    """Return the texts of the legend in a panel, or of the one beside it."""
    legend = axes.get_legend() or axes.figure.legends[0]
    return [text.get_text() for text in legend.get_texts()]


def bars(axes, label=None):
    """Return (float64[points, 2], float64[points]), the points of an errorbar with this label, or of the first, and
    half the length of its bars."""
    found = next(part for part in axes.containers if label in (None, part.get_label()))
    (lines,) = found.lines[2]
    halves = [0.5 * (segment[1, 1] - segment[0, 1]) for segment in lines.get_segments()]
    return found.lines[0].get_xydata(), halves
