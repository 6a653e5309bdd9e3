"""analysis/compare.py: tables and figures of real small runs hold what their files do."""

import csv
import io
import sys

import fake_result
import numpy as np
import pytest
from scripts import ANALYSIS, run, tool
from test_run import DECK

from parvmc import archive, results
from parvmc.archive import Dataset

sys.path.insert(0, str(ANALYSIS))

import common
import compare
import compare_figures
import tables

HIDDEN, OMEGAS = (1, 2, 4), (0.25, 2.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return {name: result file} of runs with 1, 2, 4 hidden units, and of two more omegas with 2."""
    folder = tmp_path_factory.mktemp("runs")
    deck = folder / "small.toml"
    deck.write_text(DECK)
    found = {f"hidden_{n}": run(folder, deck, f"hidden_{n}", "--set", f"state.0.hidden={n}") for n in HIDDEN}
    for omega in OMEGAS:
        options = ["--set", f"system.omega={omega}", "--set", "state.0.hidden=2"]
        found[f"omega_{omega}"] = run(folder, deck, f"omega_{omega}", *options)
    return found


def named(runs, start):
    """Return the files whose names start so."""
    return [path for name, path in runs.items() if name.startswith(start)]


def arranged(files, by=(), with_covariance=False):
    """Return (keys, groups) of the files."""
    points, failures = common.each(files, lambda result: compare.point_of(result, with_covariance))
    assert not failures
    return compare.arranged(points, list(by))


def test_the_default_key_is_the_one_that_differs(runs):
    """Hidden units here, in order whatever the files' order; the numbers are the files', digits cut at the error."""
    files = named(runs, "hidden")
    done = tool("compare.py", *reversed(files))
    assert (done.returncode, done.stderr) == (0, "")
    title, header, *rows = done.stdout.splitlines()
    assert title.startswith("trap, particles 2, dimensions 2, omega 1, interaction.kind coulomb")
    assert header.split()[:3] == ["run", "state.0.hidden", "energy"]
    assert [row.split()[:2] for row in rows] == [[f"hidden_{n}", str(n)] for n in HIDDEN]
    for path, row in zip(files, rows, strict=True):
        with results.open(path) as result:
            energy, error = result.scalar("energy"), result.scalar("energy_error")
        assert row.split()[2] == results.with_error(energy, error)
        assert row.split()[4:7] == ["3", results.with_error(energy - 3.0, error), f"{(energy - 3.0) / error:+.1f}"]
        assert row.split()[7] == "finished"


def test_a_scan_of_the_system_is_one_table_and_other_systems_have_their_own(runs):
    """omega alone differs: one table; with hidden units besides, omega is still the first key; --by is obeyed."""
    by, groups = arranged([*named(runs, "omega"), runs["hidden_2"]])
    assert by == ["system.omega"]
    ((_, points),) = groups.items()
    assert [point.keys["system.omega"] for point in points] == [0.25, 1.0, 2.0]
    by, groups = arranged(runs.values())
    assert (by, len(groups)) == (["system.omega", "state.0.hidden"], 1)
    by, groups = arranged(runs.values(), ["state.0.hidden"])
    assert [len(points) for points in groups.values()] == [1, 3, 1]


def test_of_the_keys_that_differ_those_of_the_state_come_first(runs, tmp_path):
    """Numbers before texts, in an order that does not depend on the files'."""
    attributes, datasets, groups = fake_result.contents()
    with results.open(runs["hidden_2"]) as result:
        deck = result.deck_text.replace('kind = "metropolis"', 'kind = "langevin"').replace("hidden = 2", "hidden = 4")
    datasets["input"] = Dataset(deck.replace("learning_rate = 0.05", "learning_rate = 0.1"), "", "deck")
    archive.write_result(tmp_path / "other.h5", attributes, datasets, groups)
    for files in ([runs["hidden_2"], tmp_path / "other.h5"], [tmp_path / "other.h5", runs["hidden_2"]]):
        assert arranged(files)[0] == ["state.0.hidden", "optimizer.learning_rate", "sampler.kind"]


def test_systems_that_differ_in_more_than_a_number_are_not_mixed(runs, tmp_path):
    attributes, datasets, groups = fake_result.contents()
    deck = fake_result.DECK.replace("particles = 2", "particles = 6").replace("omega = 1.0", "omega = 0.5")
    datasets["input"] = Dataset(deck, "", "deck")
    archive.write_result(tmp_path / "six.h5", attributes, datasets, groups)
    _, found = arranged([*named(runs, "hidden"), tmp_path / "six.h5"])
    assert [len(points) for points in found.values()] == [3, 1]


def test_every_format_has_the_same_numbers(runs):
    """CSV with errors in columns of their own; LaTeX escaped, a plain tabular; Markdown with as many bars a line."""
    files = named(runs, "hidden")
    text = tool("compare.py", *files).stdout.splitlines()[2:]
    found = tool("compare.py", *files, "--format", "csv").stdout.splitlines()
    assert found[0].startswith("# trap")
    rows = list(csv.DictReader(io.StringIO("\n".join(found[1:]))))
    energies = [line.split()[2] for line in text]
    assert [row["energy"] for row in rows] == [energy.partition("(")[0] for energy in energies]
    for path, row in zip(files, rows, strict=True):
        with results.open(path) as result:
            assert float(row["energy"]) == pytest.approx(result.scalar("energy"), abs=result.scalar("energy_error"))
            assert float(row["energy error"]) == pytest.approx(result.scalar("energy_error"), rel=0.05)
    latex = tool("compare.py", *files, "--format", "latex").stdout.splitlines()
    assert latex[1] == r"\begin{tabular}{lrrrrrrr}"
    assert latex[4].startswith(rf"hidden\_1 & 1 & {energies[0]} & ")
    assert latex[-1] == r"\end{tabular}"
    assert all(line.count("&") == 7 and line.endswith(r"\\") for line in [latex[2], *latex[4:-1]])
    markdown = tool("compare.py", *files, "--format", "markdown").stdout.splitlines()
    assert markdown[4].startswith(f"| hidden_1 | 1 | {energies[0]} | ")
    assert {line.count("|") for line in markdown[2:]} == {9}


def test_what_latex_and_markdown_would_take_for_commands_is_escaped():
    assert r"a\_b\&\%\#\$\{\}\textbackslash{}\textasciitilde{}" in tables.table(["a_b&%#${}\\~"], [], "latex")
    assert r"| a\|b |" in tables.table(["a|b"], [], "markdown")
    assert tables.table(["a", "b"], [["x,y", None]], "csv") == 'a,b\n"x,y",'
    assert tables.table(["a", "b"], [["x", None]], "text") == "a  b\nx  -"


def test_where_kinds_differ_the_kind_alone_is_compared(tmp_path):
    """Of a factor that some runs have; runs at the same place on the axis are not joined by a line."""
    files = []
    for number, more in enumerate(("", '[[state]]\nkind = "pade_jastrow"\nbeta = 0.5\n\n', "")):
        attributes, datasets, groups = fake_result.contents()
        deck = fake_result.DECK.replace("[sampler]", f"{more}[sampler]")
        datasets["input"] = Dataset(deck, "", "deck")
        files.append(tmp_path / f"{number}.h5")
        archive.write_result(files[-1], attributes, datasets, groups)
    by, groups = arranged(files)
    assert by == ["state.1.kind"]
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
    (container,) = compare_figures.energies(groups, by, tmp_path / "figure.png").axes[0].containers
    assert len(container.lines[0].get_xdata()) == 3
    assert container.lines[0].get_linestyle() == "None"


def points_of(container):
    """Return (x, y, errors) of matplotlib's bars."""
    line, _, (bars,) = container.lines
    lengths = [(segment[1, 1] - segment[0, 1]) / 2 for segment in bars.get_segments()]
    return *line.get_data(), np.array(lengths)


def test_the_figure_shows_energies_and_differences(runs, tmp_path):
    """Energies of the omegas with bars, the exact ones as dashes, the differences below; labels name key and unit."""
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
    by, groups = arranged([*named(runs, "omega"), runs["hidden_2"]])
    figure = compare_figures.energies(groups, by, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    energies, differences = figure.axes
    assert (differences.get_xlabel(), energies.get_ylabel()) == ("system.omega", "energy E (hartree)")
    assert energies.get_xscale() == "log"
    ((_, points),) = groups.items()
    x, y, bars = points_of(energies.containers[0])
    assert list(x) == [0.25, 1.0, 2.0]
    assert list(y) == [point.energy for point in points]
    assert bars == pytest.approx([point.error for point in points])
    known = [point for point in points if point.reference]
    dashes = next(line for line in energies.get_lines() if line.get_label() == "reference")
    assert list(dashes.get_ydata()) == [point.reference[0] for point in known]
    x, y, _ = points_of(differences.containers[0])
    assert list(y) == pytest.approx([point.energy - point.reference[0] for point in known])
    assert differences.get_ylim()[0] < min(0.0, *y)
    assert [text.get_text() for text in energies.get_legend().get_texts()] == ["reference", "energy"]


def test_two_keys_make_an_axis_and_curves(runs, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
    by, groups = arranged(runs.values(), ["system.omega", "state.0.hidden"])
    figure = compare_figures.energies(groups, by, tmp_path / "figure.pdf")
    labels = [container.get_label() for container in figure.axes[0].containers]
    assert labels == [f"state.0.hidden = {n}" for n in (2, 1, 4)]


def test_extrapolation_of_real_runs(runs, tmp_path):
    """The line of three states, with the variance's own errors; a machine without a cusp is warned of; the figure."""
    _, groups = arranged(named(runs, "hidden"), with_covariance=True)
    ((system, points),) = groups.items()
    found, lines = compare.fitted(points)
    assert lines[0].startswith(f"at zero variance: E = {results.with_error(found.energy, found.error)} from 3 runs")
    assert found.freedom == 1
    assert sum("add a factor with the cusp" in line for line in lines) == 3
    for point in points:
        assert point.covariance[0, 0] == pytest.approx(point.error**2)
        assert 0.0 < point.covariance[1, 1] < point.variance**2
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
    (axes,) = compare_figures.lines(groups, {system: found}, tmp_path / "figure.png").axes
    x, y, *_ = axes.containers[0].lines[0].get_data()
    assert (list(x), list(y)) == ([p.variance for p in points], [p.energy for p in points])
    line = next(line for line in axes.get_lines() if line.get_label() == "line")
    assert line.get_ydata()[0] == found.energy
    assert axes.get_xlim()[0] == 0.0
    assert axes.get_xlabel() == "variance of the local energy"


def test_two_runs_are_warned_of_and_one_is_no_line(runs):
    two = tool("compare.py", runs["hidden_1"], runs["hidden_4"], "--extrapolate").stdout
    assert "warning: two points are on a line whatever they are" in two
    one = tool("compare.py", runs["hidden_1"], "--extrapolate")
    assert one.returncode == 0
    assert "not extrapolated: a line needs finished runs" in one.stdout


def test_the_errors_of_the_variances_are_those_of_independent_batches(tmp_path):
    """400 files of white noise: the scatter of variances, and its correlation with the energies', are as stated."""
    random, means, stated = np.random.default_rng(3), [], []

    class Pieces(np.ndarray):
        def pieces(self):
            return enumerate(np.array_split(self, 3))

    class Made:
        def __init__(self, energies):
            square = (energies**2).mean(axis=2)
            self.found = {"energy": energies.mean(axis=2), "local_energy_squared": square}
            self.found["local_energy"] = self.found["energy"]

        def lazy_series(self, name):
            return self.found[name].view(Pieces)

    for _ in range(400):
        energies = 3.0 + random.exponential(1.0, (8, 32, 4))  # skew: energy and variance are correlated
        made = Made(energies)
        means.append([energies.mean(), energies.var()])
        stated.append(compare._covariance(made, energies.std() / 32.0))
    assert np.cov(np.transpose(means)) == pytest.approx(np.mean(stated, axis=0), rel=0.25)


@pytest.mark.parametrize(("stage", "energy"), [("production", "3.0"), ("optimization", "3.10(2)")])
def test_runs_in_progress_are_shown_and_not_fitted(tmp_path, stage, energy):
    path = fake_result.write(tmp_path / "run.h5", "running", stage)
    done = tool("compare.py", path, "--extrapolate")
    assert (done.returncode, done.stderr) == (0, "")
    row = done.stdout.splitlines()[2]
    assert row.startswith("run")
    assert energy in row
    assert row.endswith("running")
    assert "not extrapolated" in done.stdout


def test_damaged_and_foreign_files_are_a_line_each(runs, tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    archive.write_result(tmp_path / "foreign.h5", {}, {})
    done = tool("compare.py", tmp_path / "text.h5", runs["hidden_1"], tmp_path / "foreign.h5", tmp_path / "missing.h5")
    assert done.returncode == 1
    assert "hidden_1" in done.stdout
    assert [line.split(".h5")[0].rpartition("/")[2] for line in done.stderr.splitlines()] == [
        "text",
        "foreign",
        "missing",
    ]


def test_an_unknown_key_is_answered_with_the_nearest(runs):
    done = tool("compare.py", runs["hidden_1"], "--by", "state.0.hiden")
    assert done.returncode == 1
    assert done.stderr == "--by state.0.hiden: no deck has this key; did you mean state.0.hidden?\n"


def test_it_needs_neither_mpi_nor_kernels(runs, tmp_path):
    done = tool("compare.py", *named(runs, "hidden"), "--extrapolate", "--output", tmp_path / "x.pdf", guard=True)
    assert done.returncode == 0, done.stderr
    assert "python analysis/compare.py omega_*.h5" in tool("compare.py", "--help").stdout
