"""analysis/scaling.py, and the times of an iteration's parts that runs record for it."""

import math
import sys

import fake_result
import fake_run
import numpy as np
import pytest
from scripts import ANALYSIS, run, tool
from test_run import DECK

from parvmc import archive, checkpoint, checkpoint_file, results
from parvmc.archive import Dataset
from parvmc.parallel import World
from parvmc.simulation import TIMES, Simulation
from parvmc.starting import starting_parameters

sys.path.insert(0, str(ANALYSIS))

import common
import scaling

DOUBLE = ("--set", "sampler.walkers=1024", "--set", "optimizer.samples=1024")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return {name: result file} of a run on 1 and on 2 ranks, and of one with twice the walkers on 2."""
    folder = tmp_path_factory.mktemp("runs")
    deck = folder / "small.toml"
    deck.write_text(DECK)
    wanted = {"one": ((), 1), "two": ((), 2), "double": (DOUBLE, 2)}
    return {name: run(folder, deck, name, *options, ranks=ranks) for name, (options, ranks) in wanted.items()}


def timings(*files):
    """Return the `Timing` of each file."""
    found, failures = common.each(files, scaling.timing)
    assert not failures
    return found


@pytest.mark.mpi
def test_the_parts_of_an_iteration_are_recorded_and_fit_into_it(runs):
    """Each part above zero on two ranks and all together not above the whole; one rank does not exchange."""
    for name, path in runs.items():
        with results.open(path) as result:
            history = {name: result.optimization[name] for name in TIMES}
        assert all(len(values) == 20 and np.isfinite(values).all() for values in history.values())
        parts = [history[f"{part}_seconds"] for part in ("sampling", "exchange", "solve")]
        assert (sum(parts) <= history["seconds"]).all()
        assert (parts[0] > 0).all()
        assert (parts[2] > 0).all()
        assert (parts[1] == 0).all() if name == "one" else (parts[1] > 0).all()
        assert (history["slowest_sampling_seconds"] >= parts[0]).all()


@pytest.mark.mpi
def test_strong_and_weak_series_are_found(runs):
    """Same walkers, and same walkers per rank; efficiency is relative to the fewest ranks, per core-second."""
    one, two, double = timings(runs["one"], runs["two"], runs["double"])
    found = scaling.series([double, two, one])
    strong, weak = found["strong scaling, 512 walkers"], found["weak scaling, 512 walkers per rank"]
    assert len(found) == 2
    assert strong == (False, [one, two])
    assert weak == (True, [one, double])
    assert scaling.efficiencies([one, two], False) == pytest.approx([1.0, one.total / (2 * two.total)])
    assert scaling.efficiencies([one, double], True) == pytest.approx([1.0, one.total / double.total])


@pytest.mark.mpi
def test_the_table_has_the_files_means(runs):
    done = tool("scaling.py", runs["two"], runs["one"])
    assert (done.returncode, done.stderr) == (0, "")
    title, header, first, second = (line.split() for line in done.stdout.splitlines())
    assert title[:2] == ["strong", "scaling,"]
    assert header[:5] == ["run", "ranks", "walkers", "iterations", "ms"]
    for row, name, ranks in ((first, "one", "1"), (second, "two", "2")):
        with results.open(runs[name]) as result:
            history = result.optimization
        middle = np.argsort(history["seconds"])[5:15]
        assert row[:4] == [name, ranks, "512", "20"]
        assert row[4:6] == [f"{1e3 * history[key][middle].mean():.3g}" for key in ("seconds", "sampling_seconds")]
    assert first[9] == "1.000"
    assert first[10] == "0.0%"


@pytest.mark.mpi
def test_the_figure_stacks_the_parts(runs, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
    found = scaling.series(timings(*runs.values()))
    figure = scaling.draw(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert len(figure.axes) == 4
    for (_, own), bars, curve in zip(found.values(), figure.axes[::2], figure.axes[1::2], strict=True):
        assert bars.get_ylabel() == "time of an iteration (ms)"
        assert [container.get_label() for container in bars.containers] == list(scaling.PARTS)
        assert [bar.get_height() for bar in bars.containers[0]] == [1e3 * one.seconds["sampling"] for one in own]
        tops = [bar.get_y() + bar.get_height() for bar in bars.containers[-1]]
        assert tops == pytest.approx([1e3 * one.total for one in own], rel=1e-9)
        assert [text.get_text() for text in bars.get_xticklabels()] == [str(one.ranks) for one in own]
        assert list(curve.get_lines()[0].get_xdata()) == [1, 2]
        assert curve.get_lines()[0].get_ydata()[0] == 1.0


def made(path, ranks, seconds=None, sampling=None):
    """Write a made-up file of a run on these ranks, one for each start, and return its path."""
    attributes, datasets, groups = fake_result.contents()
    groups["provenance"]["ranks"] = ranks
    parts = {"exchange_seconds": 0.01, "solve_seconds": 0.02} if sampling is not None else {}
    parts = {name: value + 0.0 * np.array(sampling) for name, value in parts.items()}
    for name, values in {"seconds": seconds, "sampling_seconds": sampling, **parts}.items():
        if values is not None:
            datasets[f"optimization/{name}"] = Dataset(np.array(values), "s", name)
    archive.write_result(path, attributes, datasets, groups)
    return path


def test_files_of_before_show_the_whole_alone(tmp_path):
    """Efficiency is known, the parts are dashes; iterations of before a column was recorded do not count in it."""
    old = made(tmp_path / "old.h5", ["1"], [0.4, 0.4, 0.4, 0.4, 9.0])
    new = made(tmp_path / "new.h5", ["2"], [0.1, 0.25, 0.25, 0.1, 0.25], [math.nan, 0.1, 0.2, math.nan, 0.15])
    rows = [line.split() for line in tool("scaling.py", old, new).stdout.splitlines()[2:]]
    assert rows[0][4:12] == ["400", "-", "-", "-", "-", "1.000", "-", "-"]
    assert rows[1][4:10] == ["250", "150", "10", "20", "70", "0.800"]


def test_a_run_that_changed_its_ranks_is_left_out(tmp_path):
    done = tool("scaling.py", fake_result.write(tmp_path / "both.h5"), made(tmp_path / "one.h5", ["1", "1"]))
    assert done.returncode == 1
    assert "both.h5: started on 4, 2 ranks" in done.stderr
    assert done.stdout.startswith("256 walkers\n")
    assert "python analysis/scaling.py" in tool("scaling.py", "--help").stdout


def test_it_needs_neither_mpi_nor_kernels(tmp_path):
    files = [made(tmp_path / f"{n}.h5", [str(n)]) for n in (1, 2)]
    done = tool("scaling.py", *files, "--output", tmp_path / "figure.pdf", guard=True)
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_of_before_goes_on_with_nan(tmp_path):
    """Columns that it does not have are not numbers for the iterations done; the others are as they were."""
    files = fake_run.write(tmp_path)
    found = checkpoint_file.read(files, pytest.fail)
    expected = {name: values for name, values in found.small.items() if name.startswith("history/")}
    for name in TIMES[1:]:
        del found.small[f"history/{name}"]
    deck, _ = fake_run.job.read_deck(fake_run.options(tmp_path))
    simulation = Simulation(deck, World(), starting_parameters(deck))
    checkpoint.restore(simulation, found)
    done = simulation.iteration
    assert done == 5
    for name, values in simulation.history.items():
        assert len(values) == done
        assert np.isnan(values).all() if name in TIMES[1:] else values == expected[f"history/{name}"].tolist()
