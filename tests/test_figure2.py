"""analysis/figure2.py puts finished runs of spins beside the paper's numbers, as a figure and as a table."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import fake_result
import numpy as np
import pytest

import parvmc
from parvmc import archive
from parvmc.archive import Dataset

SCRIPT = Path(__file__).parents[1] / "analysis" / "figure2.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(parvmc.__file__).parents[1])}
RINGS = {"h = 0.5": ("ising", 0.5, -85.08355279784), "h = 1": ("ising", 1.0, -101.86570885792)}
RINGS |= {"h = 2": ("ising", 2.0, -170.16710559576), "": ("heisenberg", None, -141.84830459888)}
DECK = """\
title = "Spins, made up"

[system]
kind = "{kind}"
lattice = {lattice}
periodic = true
{more}

[[state]]
kind = "spin_rbm"
hidden = {hidden}
density = {density}
"""


def spins(path, kind, lattice, density, reference, relative, error, more="", status="finished", stage="result"):
    """Write the file of a run of spins with this relative error and its standard error; return its path."""
    attributes, datasets, groups = fake_result.contents(status, stage)
    hidden = round(density * np.prod(lattice))
    deck = DECK.format(kind=kind, lattice=lattice, more=more, hidden=hidden, density=float(density))
    datasets["input"] = Dataset(deck, "", "deck")
    if stage == "result":
        found = {"energy": reference + relative * abs(reference), "energy_error": error * abs(reference)}
        datasets |= {f"result/{name}": Dataset(value, "1", name) for name, value in found.items()}
        datasets["result/reference"] = Dataset(reference, "1", "exact energy", attributes={"source": "made up"})
    archive.write_result(path, attributes, datasets, groups)
    return path


def ring(path, curve, density, relative, error, **more):
    """Write the file of a ring of 80 sites, `curve` naming it in RINGS; return its path."""
    kind, field, reference = RINGS[curve]
    return spins(path, kind, [80], density, reference, relative, error, f"field = {field}" if field else "", **more)


def everything(folder):
    """Write a made-up run for every point of the figure; return the paths."""
    sizes, made = {"h = 0.5": 3e-5, "h = 1": 2.5e-3, "h = 2": 2e-6, "": 4e-4}, []
    for curve, size in sizes.items():
        for density in (1, 2, 4):
            path = folder / f"{curve.replace(' ', '')}_{density}.h5"
            made.append(ring(path, curve, density, size / density**2.5, 3e-7))
    for density in (1, 2, 4):
        path = folder / f"square_{density}.h5"
        made.append(spins(path, "heisenberg", [10, 10], density, -268.6196, 6e-3 / density, 2e-5))
    return made


def figure2(*arguments):
    """Run the script."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def drawn(*files, output):
    """Return matplotlib's figure of the files."""
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
    script = runpy.run_path(str(SCRIPT))
    found, _, failures = script["read"]([str(file) for file in files])
    assert not failures
    return script["draw"](found, output)


def line(axes, label):
    """Return float64[points, 2] of the curve with this label, (alpha, relative error), not shifted aside."""
    points = next(found for found in axes.get_lines() if found.get_label() == label).get_xydata()
    return np.stack([points[:, 0].round(), points[:, 1]], axis=1)


def test_the_figure_shows_all_runs_beside_the_papers_files(tmp_path):
    """Three panels in the paper's order; points, labels and scales are those of the files and of the paper."""
    figure = drawn(*everything(tmp_path), output=tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    ising, chain, square = figure.axes
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Ising ring, N = 80", "Heisenberg ring, N = 80", "Heisenberg square, 10 x 10"]
    assert all((axes.get_xscale(), axes.get_yscale()) == ("log", "log") for axes in figure.axes)
    assert "relative error" in ising.get_ylabel()
    assert all("density" in axes.get_xlabel() for axes in figure.axes)
    alphas = np.array([1.0, 2.0, 4.0])
    assert line(ising, "h = 1") == pytest.approx(np.stack([alphas, 2.5e-3 / alphas**2.5], axis=1), rel=1e-6)
    assert line(ising, "h = 1, paper")[:, 1] == pytest.approx([3.2e-3, 5.6e-5, 7e-6])
    assert line(chain, "this program, paper")[:, 1] == pytest.approx([4.2e-4, 1e-4, 1.1e-5])
    assert line(square, "this program")[:, 1] == pytest.approx(6e-3 / alphas, rel=1e-6)
    assert line(square, "this program, paper")[:, 0] == pytest.approx([1, 2, 4, 8])
    legend = [text.get_text() for text in ising.get_legend().get_texts()]
    assert legend == ["h = 0.5", "h = 1", "h = 2", "paper's files", "upper limit"]


def test_one_file_is_one_panel_with_its_curve_alone(tmp_path):
    figure = drawn(ring(tmp_path / "run.h5", "h = 1", 2, 5e-5, 1e-6), output=tmp_path / "figure.pdf")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["h = 1", "paper's files"]
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_a_bar_that_reaches_zero_is_an_upper_limit(tmp_path):
    """Of two standard errors above the point, or above zero where the point is below; a bar above zero is no limit."""
    read = runpy.run_path(str(SCRIPT))["read"]
    values = {1: (1e-6, 2e-6), 2: (-3e-6, 2e-6), 4: (3e-6, 2e-6)}
    files = [str(ring(tmp_path / f"{alpha}.h5", "h = 2", alpha, *pair)) for alpha, pair in values.items()]
    ((system, points),) = read(files)[0].items()
    assert (system.panel, system.curve) == ("Ising ring, N = 80", "h = 2")
    assert [point.limit for point in points] == [True, True, False]
    assert [point.value for point in points] == pytest.approx([5e-6, 4e-6, 3e-6], rel=1e-6)
    assert points[2].error == pytest.approx(2e-6, rel=1e-6)


def test_the_table_has_the_same_numbers(tmp_path):
    """Also without matplotlib; nothing is drawn unless a name for the figure is given."""
    done = figure2(*everything(tmp_path), "--table")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(row.split()) for row in done.stdout.splitlines()]
    assert "Ising ring, N = 80 h = 1 1 2.50e-03 +- 3e-07 3.2e-03" in lines
    assert "Ising ring, N = 80 h = 1 4 7.81e-05 +- 3e-07 7.00e-06 +- 3e-06" in lines
    assert "Ising ring, N = 80 h = 2 2 3.54e-07 +- 3e-07 < 3.0e-07" in lines
    assert "Heisenberg square, 10 x 10 8 - 1.0e-03" in lines
    assert len(lines) == 1 + 5 * 3 + 1
    assert not list(Path.cwd().glob("figure2.pdf"))


def test_other_systems_are_not_put_beside_the_papers(tmp_path):
    """A ring of 20, an open chain, another coupling, a J1-J2 square have names of their own and no published points."""
    script = runpy.run_path(str(SCRIPT))
    made = [
        spins(tmp_path / "a.h5", "heisenberg", [20], 1, -35.6, 1e-4, 1e-6),
        spins(tmp_path / "b.h5", "heisenberg", [80], 1, -141.8, 1e-4, 1e-6, "coupling = 2.0"),
        spins(tmp_path / "c.h5", "j1j2", [4, 4], 1, -33.8, 1e-4, 1e-6, "j2 = 0.5"),
        spins(tmp_path / "d.h5", "ising", [80], 1, -101.8, 1e-4, 1e-6, "coupling = -1.0"),
    ]
    found = script["read"](list(map(str, made)))[0]
    assert len(found) == 4
    assert not found.keys() & script["PUBLISHED"].keys()
    assert ("J1-J2 square, 4 x 4", "J2 = 0.5") in found


def test_runs_that_give_no_point_are_named_and_left_out(tmp_path):
    """Unfinished ones, traps, runs without a reference; damaged files besides make the exit status 1."""
    (tmp_path / "text.h5").write_text("not HDF5")
    good = ring(tmp_path / "good.h5", "h = 1", 1, 3e-3, 1e-5)
    running = ring(tmp_path / "running.h5", "h = 1", 2, 3e-3, 1e-5, status="running", stage="production")
    trap = fake_result.write(tmp_path / "trap.h5")
    done = figure2(good, running, trap, tmp_path / "text.h5", "--table")
    assert done.returncode == 1
    assert "3.00e-03" in done.stdout
    reasons = dict(row.split(": ", 1) for row in done.stderr.splitlines())
    assert "not finished (status: running)" in reasons[str(running)]
    assert "not a lattice" in reasons[str(trap)]
    assert str(tmp_path / "text.h5") in reasons
    assert figure2(good, running, "--table").returncode == 0
    nothing = figure2(running, "--table")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "nothing to draw" in nothing.stderr


def test_without_matplotlib_the_message_says_what_to_do(tmp_path):
    """One line with the extra's name, no traceback."""
    path = ring(tmp_path / "run.h5", "h = 1", 1, 3e-3, 1e-5)
    source = "import runpy, sys\nsys.modules['matplotlib'] = None\nrunpy.run_path(sys.argv[1], run_name='__main__')\n"
    command = [sys.executable, "-c", source.replace("sys.argv[1]", "sys.argv.pop(1)"), str(SCRIPT), str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert "pip install 'parvmc[plots]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_reading_imports_neither_mpi_nor_kernels(tmp_path):
    path = ring(tmp_path / "run.h5", "h = 1", 1, 3e-3, 1e-5)
    source = (
        "import runpy, sys\n"
        "status = runpy.run_path(sys.argv[1])['main']([*sys.argv[2:], '--table'])\n"
        "assert not {'mpi4py', 'numba', 'llvmlite', 'pydantic', 'matplotlib'} & sys.modules.keys()\n"
        "sys.exit(status)\n"
    )
    command = [sys.executable, "-c", source, str(SCRIPT), str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
