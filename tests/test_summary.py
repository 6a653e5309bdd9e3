"""analysis/summary.py shows finished runs, runs in progress, and goes on past files that it cannot read."""

import os
import signal
import subprocess
import sys

import fake_result
import pytest
from scripts import ANALYSIS, ENVIRONMENT, tool

from parvmc import archive
from parvmc.archive import Dataset


def test_a_finished_run(tmp_path):
    done = tool("summary.py", fake_result.write(tmp_path / "run.h5"))
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "Two electrons, made up",
        "finished",
        "particles 2, dimensions 2, omega 1; interaction coulomb strength 1",
        "gaussian_rbm, 3 hidden",
        "started 2 times",
        "5 iterations, first energy 3.50(2), last 3.10(2)",
        "3.0004(2)",
        "3 (Taut 1994)",
        "+2.0 errors",
        "0.8860(3)   exact 0.886199497",
        "observables   density: 2 by r\n",
        "pair_distance: 1.6371(4)   exact 1.63680134",
        "ratio 0.99910, residual -0.0016(9)",
        "0.31 of the local energy, 0.11 of what was averaged",
        "tau 1.8, R-hat 1.0004",
        "4,096, effective 2,276",
        "1,234,568 effective samples per core-second (metropolis)",
    ):
        assert text in done.stdout, text
    marked = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("*")]
    assert marked == [["*", "2", "8", "2.00e-04", "1.0e-05"]]


def test_the_verdict_has_a_line_for_each_check(tmp_path):
    """With its number and threshold, what to do where it failed, and why where it could not be made."""
    done = tool("summary.py", fake_result.write(tmp_path / "run.h5"))
    lines = [" ".join(row.split()) for row in done.stdout.splitlines()]
    assert "verdict 1 of 11 checks failed (length), 2 could not be made" in lines
    assert "ok R-hat 1.0004 (at most 1.1)" in lines
    assert "ok virial ratio 0.9991 (1 within 0.02 and 4 errors)" in lines
    failed = lines.index("FAIL length 9 tau, tau = 1.8 steps (at least 50 tau)")
    assert lines[failed + 1].startswith("the series is short, 9 autocorrelation times where 50 are needed")
    assert "? drift its last third has fewer than 30 iterations, too few to tell" in lines


def test_the_verdict_on_a_run_in_progress_waits_for_its_end(tmp_path):
    done = tool("summary.py", fake_result.write(tmp_path / "run.h5", "running", "production"))
    lines = [" ".join(row.split()) for row in done.stdout.splitlines()]
    assert "verdict nothing can be judged yet" in lines
    assert "? blocking known at the end of the run" in lines


def test_the_virial_ratio_is_the_one_of_the_components(tmp_path):
    ratio = 2 * 0.886 / (2 * 1.296 - 0.8184)
    assert f"ratio {ratio:.5f}" in tool("summary.py", fake_result.write(tmp_path / "run.h5")).stdout


@pytest.mark.parametrize(
    ("stage", "text"), [("optimization", "not begun"), ("production", "16 rows of 2 batches so far")]
)
def test_a_run_in_progress(tmp_path, stage, text):
    done = tool("summary.py", fake_result.write(tmp_path / "run.h5", "running", stage))
    assert (done.returncode, done.stderr) == (0, "")
    assert "running" in done.stdout
    assert text in done.stdout


def test_a_run_without_optimisation_and_with_one_frequency_per_axis(tmp_path):
    attributes, datasets, groups = fake_result.contents()
    datasets = {name: value for name, value in datasets.items() if not name.startswith("optimization")}
    deck = datasets["input"].values.replace("omega = 1.0", "omega = [1.0, 2.5]")
    datasets["input"] = Dataset(deck, "", "deck")
    archive.write_result(tmp_path / "run.h5", attributes, datasets, groups)
    done = tool("summary.py", tmp_path / "run.h5")
    assert done.returncode == 0
    assert "omega 1 x 2.5" in done.stdout
    assert "optimisation  none" in done.stdout
    assert "exact 0.886" not in done.stdout


def test_an_exact_run_has_no_distance_in_errors(tmp_path):
    attributes, datasets, groups = fake_result.contents()
    datasets["result/energy"] = Dataset(3.0, "1", "energy")
    datasets["result/energy_error"] = Dataset(1e-17, "1", "error")
    archive.write_result(tmp_path / "run.h5", attributes, datasets, groups)
    assert "without statistical error" in tool("summary.py", tmp_path / "run.h5").stdout


def test_unreadable_files_do_not_hide_the_others(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    archive.write_result(tmp_path / "foreign.h5", {}, {})
    archive.write_result(tmp_path / "bare.h5", {"schema": "parvmc", "schema_version": 1}, {})
    names = ["missing.h5", "text.h5", "foreign.h5", "bare.h5"]
    done = tool("summary.py", *(tmp_path / name for name in names), fake_result.write(tmp_path / "run.h5"))
    assert done.returncode == 1
    assert "3.0004(2)" in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert all(name in line for name, line in zip(names, lines, strict=True))


def test_help_has_an_example():
    assert "python analysis/summary.py two_electrons.h5" in tool("summary.py", "--help").stdout


def test_the_script_imports_neither_mpi_nor_kernels(tmp_path):
    path = fake_result.write(tmp_path / "run.h5")
    source = (
        "import os, runpy, sys\n"
        "sys.path.insert(0, os.path.dirname(sys.argv[1]))\n"
        "status = runpy.run_path(sys.argv[1])['main'](sys.argv[2:])\n"
        "assert not {'mpi4py', 'numba', 'llvmlite', 'pydantic'} & sys.modules.keys()\n"
        "sys.exit(status)\n"
    )
    command = [sys.executable, "-c", source, str(ANALYSIS / "summary.py"), str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        (ANALYSIS / "summary.py", "run.h5"),
        ("-m", "parvmc", "--list"),
        ("-m", "parvmc.verify", "run.h5"),
        ("-m", "parvmc.status", "run.h5"),
    ],
    ids=["summary", "list", "verify", "status"],
)
def test_a_reader_that_leaves_early_ends_a_tool_without_a_word(tmp_path, words):
    """As `head` does; closed here before the start, so that the first line already meets it."""
    fake_result.write(tmp_path / "run.h5")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")
