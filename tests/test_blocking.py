"""analysis/blocking.py draws and tells whether the error bar of a real small run can be trusted."""

import fake_result
import figures
import numpy as np
import pytest
import scripts

from parvmc import archive, results, statistics
from parvmc.archive import Dataset

pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
blocking = figures.module("blocking")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The result file of a short run of two electrons, 16 batches of 128 steps."""
    return figures.made(tmp_path_factory.mktemp("run"), "electrons", figures.TRAP)


def read(*paths, quantity="energy"):
    """What the tool reads of files."""
    return figures.read(blocking.loader(quantity), *paths)


def with_series(path, series, per_row=1):
    """Write the file of a run in progress with this energy series float64[rows, batches], and return its path."""
    attributes, datasets, groups = fake_result.contents("running", "production")
    rows, batches = series.shape
    axes = ("production/step", "production/batch")
    datasets = {name: value for name, value in datasets.items() if not name.startswith("production")}
    datasets[axes[0]] = Dataset(np.arange(1, rows + 1) * per_row, "1", "step")
    datasets[axes[1]] = Dataset(np.arange(batches), "1", "batch")
    for name in ("energy", "kinetic"):
        datasets[f"production/{name}"] = Dataset(series, "1", name, axes, {"measurements_per_row": per_row})
    archive.write_result(path, attributes, datasets, groups)
    return path


def correlated(rows, batches, phi=0.8, seed=3):
    """A stationary series x_t = phi x_(t-1) + noise of unit variance around 3."""
    found = np.random.default_rng(seed).standard_normal((rows, batches))
    found[1:] *= np.sqrt(1.0 - phi**2)
    for row in range(1, rows):
        found[row] += phi * found[row - 1]
    return 3.0 + found


def test_the_blocking_plot_is_the_files_table(path):
    """Points and bars are the table's errors and their errors; the quoted level is marked, and lies on the line of
    the quoted error."""
    axes = figures.drawn(blocking, read(path)).axes[0]
    with results.open(path) as result:
        table, error = result.blocking("energy"), result.scalar("energy_error")
    points, halves = figures.bars(axes)
    assert points[:, 0].tolist() == table.block_size.tolist()
    assert points[:, 1].tolist() == table.error.tolist()
    assert halves == pytest.approx(table.error_of_error, rel=1e-9)
    (chosen,) = [line for line in axes.lines if line.get_label().startswith("electrons")]
    assert chosen.get_xydata().tolist() == [[table.block_size[table.level], error]]
    assert chosen.get_label() == f"electrons: {error:.2g}, {'plateau' if table.plateau else 'no plateau'}"
    assert any(set(line.get_ydata()) == {error} for line in axes.lines)
    assert axes.get_ylabel() == "error of the energy (hartree)"
    assert axes.get_ylim()[0] == 0.0
    assert axes.get_ylim()[1] > (table.error + table.error_of_error).max()


def test_the_other_panels_are_those_of_its_series(path):
    """The autocorrelation with tau and its window; running means that end in the batches' means, inside of which two
    standard errors are marked; deviations of the batches in standard errors, of which some two thirds are below 1."""
    figure = figures.drawn(blocking, read(path))
    with results.open(path) as result:
        series, error = result.series("energy"), result.scalar("energy_error")
        tau, r_hat = result.scalar("autocorrelation_time"), result.scalar("r_hat")
    rho, window, _ = statistics.autocorrelation(series)
    curve = figure.axes[1].lines[0].get_xydata()
    assert curve[:, 1].tolist() == rho[: len(curve)].tolist()
    assert len(curve) > window
    assert figure.axes[1].lines[1].get_xdata() == [window, window]
    assert figures.texts(figure.axes[1]) == [rf"electrons: $\tau$ = {tau:.3g}"]
    traces, means = figure.axes[2:]
    assert [line.get_ydata()[-1] for line in traces.lines[:16]] == pytest.approx(series.mean(axis=0), rel=1e-12)
    assert traces.lines[3].get_ydata()[9] == pytest.approx(series[:10, 3].mean(), rel=1e-12)
    upper = traces.lines[16].get_ydata()
    assert upper[-1] - series.mean() == pytest.approx(2.0 * error * 4.0)  # the root of 16 batches
    assert upper[31] - series.mean() == pytest.approx(2.0 * error * 8.0)  # and of a quarter of the steps
    assert traces.get_title() == "electrons: running means, 16 batches"
    scores = means.lines[1].get_ydata()
    assert scores == pytest.approx((series.mean(axis=0) - series.mean()) / (4.0 * error))
    assert 0.4 < np.sqrt(np.mean(scores**2)) < 2.0
    assert means.get_title() == f"electrons: batch means, R-hat {r_hat:.4f}"


def test_another_quantity(path):
    """A component has all panels, the virial only its table; a name that is unknown is refused with those there are."""
    figure = figures.drawn(blocking, read(path, quantity="kinetic"))
    with results.open(path) as result:
        series, table = result.series("kinetic"), result.blocking("kinetic")
    assert figure.axes[0].get_ylabel() == "error of the kinetic energy (hartree)"
    assert figures.bars(figure.axes[0])[0][:, 1].tolist() == table.error.tolist()
    assert figure.axes[2].lines[0].get_ydata()[-1] == pytest.approx(series[:, 0].mean(), rel=1e-12)
    figure = figures.drawn(blocking, read(path, quantity="virial"))
    assert len(figure.axes[0].lines) > 1
    assert [axes.texts[0].get_text() for axes in figure.axes[1:]] == [
        "no series in the file",
        *2 * ["electrons: no series in the file"],
    ]
    done = scripts.tool("blocking.py", path, "--quantity", "kinetik")
    assert done.returncode == 1
    assert "no quantity 'kinetik'; there is: energy, kinetic, trap, interaction" in done.stderr


def test_a_run_in_progress_is_judged_by_its_series_so_far(tmp_path):
    """Blocking from the series, in measurements where a row averages several; correlated, so that the error rises.

    tau of the series is (1 + phi) / (1 - phi) = 9 rows, within 20 %.
    """
    series = correlated(4096, 8)
    (run,) = read(with_series(tmp_path / "run.h5", series, per_row=4))
    table = statistics.block(series)
    axes = figures.drawn(blocking, [run]).axes[0]
    points, _ = figures.bars(axes)
    assert points[:, 0].tolist() == (4 * table.block_size).tolist()
    assert points[:, 1].tolist() == table.error.tolist()
    assert points[table.level, 1] > 2.0 * points[0, 1]
    assert 9.0 * 0.8 < run.tau < 9.0 * 1.2
    assert "no plateau" not in figures.texts(axes)[0]


def test_an_error_without_a_plateau_is_marked_as_one(tmp_path):
    """A run shorter than its correlation: the mark is open and the legend says so; with a plateau it is filled."""
    short, long = (
        read(with_series(tmp_path / f"{rows}.h5", correlated(rows, 1, phi)))[0]
        for rows, phi in ((64, 0.99), (4096, 0.5))
    )
    assert (short.table.plateau, long.table.plateau) == (False, True)
    axes = figures.drawn(blocking, [short, long]).axes[0]
    first, second = [line for line in axes.lines if "plateau" in line.get_label()]
    assert first.get_label().endswith("no plateau")
    assert first.get_markerfacecolor() == "white"
    assert second.get_markerfacecolor() == second.get_color()


def test_a_batch_apart_stands_out(tmp_path):
    """One batch that sits elsewhere is far outside in its panel, which shows it, and R-hat says so."""
    series = correlated(512, 16, 0.0)
    series[:, 5] += 2.0
    (run,) = read(with_series(tmp_path / "run.h5", series))
    means = figures.drawn(blocking, [run]).axes[3]
    scores = means.lines[1].get_ydata()
    assert np.argmax(np.abs(scores)) == 5
    assert scores[5] > 3.0
    assert means.get_ylim()[1] > scores[5]
    assert run.r_hat > 1.01


def test_what_varies_by_rounding_alone_and_what_is_not_there_yet(tmp_path):
    """An eigenstate and a run before production have no panels, and say why."""
    exact = with_series(tmp_path / "exact.h5", np.full((64, 4), 3.0) + 1e-15 * correlated(64, 4))
    early = fake_result.write(tmp_path / "early.h5", "running", "optimization")
    for path, text in ((exact, "no statistical error"), (early, "no production yet")):
        (axes,) = figures.drawn(blocking, read(path)).axes
        assert text in axes.texts[0].get_text()
    good = with_series(tmp_path / "good.h5", correlated(64, 4))
    figure = figures.drawn(blocking, read(exact, good, early))
    assert len(figure.axes[0].containers) == 1
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert said == 2 * ["exact: nothing varies but rounding"] + 2 * ["early: no production yet"]


def test_of_a_large_series_some_batches_stand_for_all(tmp_path, monkeypatch):
    """Means are those of all batches; correlations come from as many as fit, and the titles say from how many. The
    error is that of all batches, within its own error."""
    series = correlated(1024, 32, 0.5)
    path = with_series(tmp_path / "run.h5", series)
    (whole,) = read(path)
    monkeypatch.setattr(blocking, "MOST_BYTES", 8 * 8 * 1024)
    (part,) = read(path)
    assert (whole.sampled, part.sampled) == (0, 8)
    assert part.means == pytest.approx(series.mean(axis=0), rel=1e-12)
    assert part.mean == pytest.approx(series.mean(), rel=1e-12)
    level = part.table.level
    assert part.error == pytest.approx(whole.error, abs=4.0 * part.table.error_of_error[level])
    assert part.tau == pytest.approx(statistics.autocorrelation_time(series[:, np.linspace(0, 31, 8).astype(int)]))
    assert figures.drawn(blocking, [part]).axes[3].get_title().endswith("(8 batches)")


def test_the_command_writes_a_figure_or_the_numbers(path, tmp_path):
    """The table has the file's rows with the quoted one marked; a damaged file is one line, the others are drawn."""
    (tmp_path / "bad.h5").write_text("not HDF5")
    done = scripts.tool("blocking.py", path, tmp_path / "bad.h5", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "wrote blocking.pdf\n")
    assert [str(tmp_path / "bad.h5") in line for line in done.stderr.splitlines()] == [True]
    assert (tmp_path / "blocking.pdf").read_bytes().startswith(b"%PDF")
    done = scripts.tool("blocking.py", path, "--table", cwd=tmp_path)
    with results.open(path) as result:
        table, r_hat = result.blocking("energy"), result.scalar("r_hat")
    rows = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
    assert [int(row[0]) for row in rows] == table.block_size.tolist()
    assert [float(row[2]) for row in rows] == pytest.approx(table.error, rel=1e-4)
    assert [number for number, row in enumerate(rows) if row[-1] == "*"] == [table.level]
    assert f"R-hat {r_hat:.5f}" in done.stdout
    assert "python analysis/blocking.py two_electrons.h5" in scripts.tool("blocking.py", "--help").stdout


def test_reading_imports_neither_mpi_nor_kernels(path):
    done = scripts.tool("blocking.py", path, "--table", guard=True)
    assert (done.returncode, done.stderr) == (0, "")
