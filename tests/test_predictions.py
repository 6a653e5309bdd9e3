"""analysis/scaling.py --predict: the model of scaling, fitted to runs, as tables and as a figure."""

import math
import sys

import fake_result
import numpy as np
import pytest
from scripts import ANALYSIS, tool
from test_scaling import made

from parvmc import results
from parvmc.scaling_model import Fabric, calls, perfect

sys.path.insert(0, str(ANALYSIS))

import common
import predictions
import scaling

RANKS = list(predictions.RANKS)


def sized(*paths):
    """Return the timings of files, with the sizes of their work."""
    look = lambda result: scaling.timing(result)._replace(sizes=predictions.work_of(result, 30))  # noqa: E731
    found, failures = common.each(map(str, paths), look)
    assert not failures
    return found


@pytest.fixture
def run(tmp_path):
    """Return the file of a made-up run on one rank: 70 ms of sums and 200 of sampling for two batches, 20 to solve."""
    return made(tmp_path / "made.h5", ["1"], 5 * [0.3], 5 * [0.2])


def test_sizes_are_those_of_the_file(run):
    """Two batches of 128 walkers once each, 23 parameters, and the route that auto takes for them."""
    with results.open(run) as result:
        work = predictions.work_of(result, 30)
    assert (work.method, work.coordinates, work.parts) == ("dense", 23, 1)
    assert (work.batches, work.measurements, work.lanes, work.keeps) == (2, 1, 128, True)


def test_curves_go_on_from_the_run(run):
    """Weak: two batches on each rank, the time of one rank and what is sent; strong: one batch for each of 16,384."""
    timings, fabric = sized(run), Fabric()
    (weak,), (strong,) = (predictions.curves(timings, is_weak, fabric) for is_weak in (True, False))
    assert list(weak.ranks) == list(strong.ranks) == RANKS
    for count, work, parts in zip(weak.ranks, weak.works, weak.seconds, strict=True):
        assert work.batches == 2 * count
        sending = math.fsum(fabric.seconds(call, count) for call in calls(work, count))
        assert parts["communication"] == pytest.approx(sending)
        assert math.fsum(parts.values()) == pytest.approx(0.29 + sending)  # but for what the run has exchanged
    assert {work.batches for work in strong.works} == {16_384}
    assert strong.seconds[-1]["sampling"] == pytest.approx(0.1)
    assert strong.seconds[0]["sampling"] == pytest.approx(25.6)
    assert weak.efficiencies == pytest.approx([0.29 / total for total in weak.totals])
    assert strong.efficiencies[-1] < strong.efficiencies[0] < 1.0
    (few,) = predictions.curves(timings, False, perfect(), walkers=128 * 256)
    assert list(few.ranks) == [64, 128, 256]


def test_it_prints_and_draws_what_is_predicted(run, tmp_path):
    """The table's numbers are those of the curves; the options of the fabric are stated and have an effect."""
    done = tool("scaling.py", run, "--predict", "--latency", "0.001", "--output", tmp_path / "p.pdf", guard=True)
    assert done.returncode == 0, done.stderr
    fabric = Fabric(latency=1e-3)
    first, _, title, header, *rows = done.stdout.splitlines()
    assert first == predictions.stated(fabric)
    assert "1000 us a hop and 10 GB/s between nodes of 128 cores" in first
    assert title == "strong scaling, made: dense, 23 parameters, 2,097,152 walkers"
    assert header.split() == list(predictions.HEADER)
    (curve,) = predictions.curves(sized(run), False, fabric)
    for row, cells in zip(rows, predictions.rows_of(curve), strict=False):
        if row:
            assert row.split() == [str(cell) for cell in cells]
    assert "weak scaling, made: dense" in done.stdout


def test_the_figure_shows_times_and_efficiencies(run, tmp_path):
    """Strong above weak; the curves are those of the tables, with the share of communication dotted."""
    pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
    timings = sized(run)
    found = {
        "strong": predictions.curves(timings, False, Fabric()),
        "weak": predictions.curves(timings, True, Fabric()),
    }
    figure = predictions.draw(found, Fabric(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    for own, times, shares in zip(found.values(), figure.axes[::2], figure.axes[1::2], strict=True):
        (line,), (efficiency, sending) = times.get_lines(), shares.get_lines()
        assert list(line.get_xdata()) == RANKS
        np.testing.assert_allclose(line.get_ydata(), [1e3 * total for total in own[0].totals])
        assert list(efficiency.get_ydata()) == own[0].efficiencies
        assert sending.get_linestyle() == ":"
        assert times.get_legend().get_texts()[0].get_text() == own[0].label
        assert times.get_xlabel() == shares.get_xlabel() == "ranks"
    assert figure.get_suptitle() == predictions.stated(Fabric())


def test_files_without_parts_are_named(tmp_path):
    """Of before the parts were recorded: nothing to predict from."""
    done = tool("scaling.py", fake_result.write(tmp_path / "two.h5"), "--predict")
    assert done.returncode == 1
    old = tool("scaling.py", made(tmp_path / "old.h5", ["1"], 5 * [0.4]), "--predict")
    assert old.returncode == 1
    assert "old.h5: without the times of its parts" in old.stderr
