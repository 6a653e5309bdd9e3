"""analysis/convergence.py draws and tells how the optimisations of real small runs went."""

import fake_result
import figures
import numpy as np
import pytest
import scripts

from parvmc import archive, results
from parvmc.archive import Dataset

pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
convergence = figures.module("convergence")
PANELS = ["energy (hartree)", "$E - E_0$ (hartree)", "variance (hartree$^2$)", "acceptance"]
PANELS += ["norm of the gradient (hartree)", "norm of the step"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The result file of a short run of two electrons."""
    return figures.made(tmp_path_factory.mktemp("run"), "electrons", figures.TRAP)


def read(*paths):
    """What the tool reads of files."""
    return figures.read(convergence.load, *paths)


def changed(path, **columns):
    """Write a made-up file whose optimisation has other columns, and return its path."""
    attributes, datasets, groups = fake_result.contents()
    for name, values in columns.items():
        datasets[f"optimization/{name}"] = Dataset(np.asarray(values, float), "1", name, ("optimization/iteration",))
    archive.write_result(path, attributes, datasets, groups)
    return path


def test_the_panels_show_the_history_of_the_file(path):
    """Six panels; every curve is its column to the bit; the exact energy is a line, its distance is logarithmic."""
    figure = figures.drawn(convergence, read(path))
    with results.open(path) as result:
        history, energy = result.optimization, result.scalar("energy")
    assert [axes.get_ylabel() for axes in figure.axes] == PANELS
    assert {axes.get_xlabel() for axes in figure.axes} == {"iteration"}
    for number, name in {0: "energy", 2: "variance", 3: "acceptance", 4: "gradient_norm", 5: "step_norm"}.items():
        curve = figure.axes[number].lines[0].get_xydata()
        assert curve[:, 0].tolist() == list(range(1, 41))
        assert curve[:, 1].tolist() == history[name].tolist(), name
    level, distance = figure.axes[0], figure.axes[1]
    assert any(set(line.get_ydata()) == {3.0} for line in level.lines)
    assert distance.get_yscale() == "log"
    above = history["energy"] - 3.0
    shown = distance.lines[0].get_ydata()
    assert shown[above > 0.0].tolist() == above[above > 0.0].tolist()
    assert np.isnan(shown[above <= 0.0]).all()
    mean = distance.lines[1].get_xydata()  # over 5 % of 40 iterations
    expected = 0.5 * (above[1:] + above[:-1])
    assert mean[:, 1] == pytest.approx(np.where(expected > 0.0, expected, np.nan), nan_ok=True)
    assert mean[[0, -1], 0].tolist() == [1.5, 39.5]
    noise = next(line for line in distance.lines if "standard error" in line.get_label())
    assert noise.get_ydata().tolist() == history["energy_error"].tolist()
    point, _ = figures.bars(level, "production")
    assert point[0, 1] == energy
    low, high = level.get_ylim()
    assert low < min(3.0, history["energy"].min()) <= history["energy"].max() < high


def test_what_production_averages_is_shaded(path):
    """The last quarter of 40 iterations, on all panels."""
    for axes in figures.drawn(convergence, read(path)).axes:
        (span,) = [patch for patch in axes.patches if "averaged" in patch.get_label()]
        assert (span.get_x(), span.get_x() + span.get_width()) == (30.5, 40.5)


def test_several_files_are_told_apart_in_colour_and_in_grey(path, tmp_path):
    """Two curves with their names; a run that has not finished says how far it is, and is not shaded."""
    other = fake_result.write(tmp_path / "other.h5", "running", "optimization")
    runs = read(path, other)
    figure = figures.drawn(convergence, [runs[0], runs[1]._replace(planned=300, averaged=100)])
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert "electrons" in names
    assert "other (running, 5 of 300)" in names
    assert "exact 3 (Taut 1994)" in names
    first, second = figure.axes[3].lines[:2]
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()
    assert len(second.get_ydata()) == 5
    assert all(len(axes.patches) == 1 for axes in figure.axes)


def test_steps_that_were_taken_back_are_marked(tmp_path):
    """Where `shrunk` is above zero, at the energy and at the step's norm; where it is zero throughout, nowhere."""
    (run,) = read(changed(tmp_path / "run.h5", shrunk=[0, 0, 2, 0, 1]))
    figure = figures.drawn(convergence, [run])
    for axes, name in ((figure.axes[0], "energy"), (figure.axes[5], "step_norm")):
        (marks,) = [line for line in axes.lines if line.get_label() == "step taken back"]
        assert marks.get_xydata().tolist() == [[3, run.history[name][2]], [5, run.history[name][4]]]
    (good,) = read(changed(tmp_path / "good.h5", shrunk=np.zeros(5)))
    figure = figures.drawn(convergence, [good])
    assert not [line for axes in figure.axes for line in axes.lines if line.get_label() == "step taken back"]


def test_without_a_reference_the_last_half_is_enlarged(path):
    run = read(path)[0]._replace(reference=None)
    axes = figures.drawn(convergence, [run]).axes[1]
    assert axes.get_ylabel().endswith("last half")
    assert axes.lines[0].get_xdata().tolist() == list(range(21, 41))
    assert axes.lines[0].get_ydata().tolist() == run.history["energy"][20:].tolist()


def test_the_reference_is_known_before_a_run_has_ended(tmp_path):
    (run,) = read(fake_result.write(tmp_path / "run.h5", "running", "optimization"))
    assert run.reference == (3.0, "Taut 1994")
    assert run.final is None


def test_the_likelihood_of_a_pretraining_is_drawn_first(path):
    """Log-likelihood and divergence, the latter on a logarithmic axis; without divergence the gradient's norm."""
    run = read(path)[0]
    likelihood, divergence = [-5.0, -4.5, -4.3], [0.7, 0.2, 0.01]
    fitted = {"log_likelihood": np.array(likelihood), "divergence": np.array(divergence)}
    figure = figures.drawn(convergence, [run._replace(pretraining=fitted)])
    assert len(figure.axes) == 8
    assert figure.axes[0].lines[0].get_ydata().tolist() == likelihood
    assert figure.axes[1].lines[0].get_ydata().tolist() == divergence
    assert figure.axes[1].get_yscale() == "log"
    del fitted["divergence"]
    fitted["gradient_norm"] = np.ones(3)
    assert "gradient" in figures.drawn(convergence, [run._replace(pretraining=fitted)]).axes[1].get_ylabel()


@pytest.mark.parametrize(("planned", "text"), [(300, "no iteration yet"), (0, "no optimisation")])
def test_a_run_without_iterations_says_so(path, planned, text):
    run = read(path)[0]._replace(history={}, planned=planned)
    figure = figures.drawn(convergence, [run])
    assert [found.get_text() for axes in figure.axes for found in axes.texts] == [text]
    fitted = run._replace(pretraining={"log_likelihood": np.array([-5.0, -4.0]), "gradient_norm": np.ones(2)})
    figure = figures.drawn(convergence, [fitted])
    assert len(figure.axes) == 2
    assert figure.get_suptitle() == text


def test_the_command_writes_a_figure_or_the_numbers(path, tmp_path):
    """A figure under the default name or another; the table has a row per iteration with the file's numbers; what
    cannot be read is one line, and the others are drawn."""
    done = scripts.tool("convergence.py", path, cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "wrote convergence.pdf\n")
    assert (tmp_path / "convergence.pdf").read_bytes().startswith(b"%PDF")
    (tmp_path / "bad.h5").write_text("not HDF5")
    done = scripts.tool("convergence.py", path, tmp_path / "bad.h5", "--output", tmp_path / "a.png")
    assert done.returncode == 1
    assert [str(tmp_path / "bad.h5") in line for line in done.stderr.splitlines()] == [True]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    done = scripts.tool("convergence.py", path, "--table", cwd=tmp_path / "..")
    rows = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    with results.open(path) as result:
        energies = result.optimization["energy"]
    assert [int(row[0]) for row in rows] == list(range(1, 41))
    assert [float(row[1]) for row in rows] == pytest.approx(energies, rel=1e-7)
    assert "python analysis/convergence.py two_electrons.h5" in scripts.tool("convergence.py", "--help").stdout


def test_reading_imports_neither_mpi_nor_kernels(path):
    done = scripts.tool("convergence.py", path, "--table", guard=True)
    assert (done.returncode, done.stderr) == (0, "")
