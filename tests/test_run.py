"""Whole runs of the program: the same bits on any number of ranks, after any interruption, and its exit status."""

import json
import subprocess
import time

import h5py
import numpy as np
import pytest
from conftest import TWO_ELECTRONS, command, environment
from files import assert_same_bits, content, kill

DECK = f"""
title = "Small"
seed = 5
{TWO_ELECTRONS}hidden = 3

[sampler]
walkers = 512
lanes = 64
equilibration = 60

[optimizer]
iterations = 20

[production]
samples = 102_400
"""
STEPS = 200  # not a multiple of the 64 steps between places where a checkpoint may fall


@pytest.fixture
def deck(tmp_path):
    """Return the path of a deck that runs for a second: 8 batches."""
    path = tmp_path / "small.toml"
    path.write_text(DECK)
    return path


def finished(process):
    """Assert that a run has finished and return its last line."""
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1]


def test_a_run_leaves_its_result(parvmc, deck, tmp_path):
    """One rank without mpirun: result, checkpoint and one line per iteration; the summary line beside the exact
    energy."""
    line = finished(parvmc(deck))
    assert line.startswith("E = 3.")
    assert "exact 3 (Taut 1994)" in line
    with h5py.File(tmp_path / "small.h5") as file:
        assert dict(file.attrs) == {"schema": "parvmc", "schema_version": 1, "title": "Small", "status": "finished"}
        assert file["production/energy"].shape == (STEPS, 8)
        assert file["input"].attrs["original"] == DECK
        assert file["parameters/0_gaussian_rbm/w"].shape == (4, 3)
        assert file["result/energy"][()] == pytest.approx(file["production/energy"][()].mean(), abs=1e-12)
        for node in (file["result/energy"], file["production/kinetic"], file["optimization/energy"]):
            assert node.attrs["units"]
            assert node.attrs["description"]
    lines = [json.loads(line) for line in (tmp_path / "small.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines if line["phase"] == "optimization"] == list(range(1, 21))
    assert not (tmp_path / "small.lock").exists()


@pytest.mark.mpi
def test_any_number_of_ranks_gives_the_same_bits(parvmc, deck, tmp_path):
    """Energies, parameters, series and statistics on 1, 2, 3, 4 and 8 ranks; another seed gives others (control)."""
    finished(parvmc(deck, "-o", "one.h5"))
    for ranks in (1, 2, 3, 4, 8):
        finished(parvmc(deck, "-o", f"{ranks}.h5", ranks=ranks))
        assert_same_bits(tmp_path / f"{ranks}.h5", tmp_path / "one.h5")
    finished(parvmc(deck, "-o", "other.h5", "--seed", 6))
    other, expected = content(tmp_path / "other.h5"), content(tmp_path / "one.h5")
    assert other["result/energy"] != expected["result/energy"]


@pytest.mark.mpi
@pytest.mark.parametrize("optimizer", ["gradient", "momentum", "adam"])
def test_every_optimizer_gives_the_same_bits(parvmc, deck, tmp_path, optimizer):
    """The other optimisers on 1 and 3 ranks, two measurements of each walker per iteration."""
    options = ["--set", f'optimizer={{kind="{optimizer}", iterations=8, samples=1024}}']
    finished(parvmc(deck, "-o", "one.h5", *options))
    finished(parvmc(deck, "-o", "three.h5", *options, ranks=3))
    assert_same_bits(tmp_path / "three.h5", tmp_path / "one.h5")


def wait_for_lines(path, phase, count, process):
    """Wait until the JSON-lines file tells of so many lines of a phase."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        if path.exists() and path.read_text().count(f'"{phase}"') >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {count} lines of {phase} within two minutes")


@pytest.mark.mpi
@pytest.mark.parametrize(("phase", "lines"), [("optimization", 7), ("production", 3)])
def test_kill_and_resume_on_other_ranks_gives_the_same_bits(parvmc, deck, tmp_path, phase, lines):
    """kill -9 of all ranks in either phase, then --resume on another number of ranks: the run that would have been."""
    options = ["--set", "production.samples=409_600", "--set", 'output.checkpoint_interval="0 s"']
    finished(parvmc(deck, "-o", "whole.h5", *options))
    arguments = command(deck, *options, ranks=2)
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    try:
        wait_for_lines(tmp_path / "small.jsonl", phase, lines, process)
    finally:
        kill(process)
    with h5py.File(tmp_path / "small.h5") as file:
        assert file.attrs["status"] == "running"
    resumed = parvmc(deck, *options, "--resume", ranks=3)
    finished(resumed)
    assert "resumed at" in resumed.stdout
    assert_same_bits(tmp_path / "small.h5", tmp_path / "whole.h5")
    seen = [json.loads(line) for line in (tmp_path / "small.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in seen if line["phase"] == "optimization"] == list(range(1, 21))
    steps = [line["step"] for line in seen if line["phase"] == "production"]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("long", ["optimizer.iterations=6000", "production.samples=60_000_000"])
def test_time_limit_stops_and_resumes(parvmc, deck, tmp_path, long):
    """--time-limit ends with status 75 and a checkpoint, and the resumed run gives the bits of an undisturbed one."""
    finished(parvmc(deck, "-o", "whole.h5", "--set", long))
    stopped = parvmc(deck, "--set", long, "--time-limit", "00:00:03")
    assert stopped.returncode == 75, stopped.stdout
    assert "--resume" in stopped.stdout
    with h5py.File(tmp_path / "small.h5") as file:
        assert file.attrs["status"] == "stopped"
        assert "result" not in file
    finished(parvmc(deck, "--set", long, "--resume"))
    assert_same_bits(tmp_path / "small.h5", tmp_path / "whole.h5")


def test_an_extended_run_is_the_longer_run(parvmc, deck, tmp_path):
    """More samples, then more iterations too, asked for after the end: each gives the bits of a run that asked at
    once."""
    more = ["--set", "production.samples=204_800"]
    longer = [*more, "--set", "optimizer.iterations=30"]
    finished(parvmc(deck, "-o", "more.h5", *more))
    finished(parvmc(deck, "-o", "longer.h5", *longer))
    finished(parvmc(deck))
    finished(parvmc(deck, "--resume", *more))
    assert_same_bits(tmp_path / "small.h5", tmp_path / "more.h5")
    finished(parvmc("-o", "small.h5", "--resume", "--set", "optimizer.iterations=30"))
    assert_same_bits(tmp_path / "small.h5", tmp_path / "longer.h5")
    with h5py.File(tmp_path / "small.h5") as file:
        assert len(file["provenance"].attrs["start"]) == 3
        assert all(file["provenance"].attrs["end"])


def test_resume_of_what_is_finished_missing_or_different(parvmc, deck, tmp_path):
    """Finished: says so, 0. No checkpoint: starts afresh and says so. Another deck: 2 and the key."""
    fresh = parvmc(deck, "--resume")
    assert "starting afresh" in fresh.stdout
    finished(fresh)
    before = (tmp_path / "small.h5").read_bytes()
    assert "finished already" in finished(parvmc(deck, "--resume"))
    other = parvmc(deck, "--resume", "--set", "state.0.hidden=4", "--set", "optimizer.iterations=10")
    assert other.returncode == 2
    assert "state.0.hidden" in other.stderr
    assert "optimizer.iterations" in other.stderr
    assert (tmp_path / "small.h5").read_bytes() == before


def test_a_finished_run_needs_no_checkpoint_to_say_so(parvmc, deck, tmp_path):
    """The deck is in the result file too; what would overwrite it is refused."""
    finished(parvmc(deck))
    for path in tmp_path.glob("*.ckpt*.h5"):
        path.unlink()
    assert "finished already" in finished(parvmc("-o", "small.h5", "--resume"))
    longer = parvmc(deck, "--resume", "--set", "production.samples=204_800")
    assert longer.returncode == 2
    assert "checkpoint is gone" in longer.stderr


@pytest.mark.parametrize(("name", "options"), [("small.h5", []), ("small.jsonl", []), ("small.h5", ["--resume"])])
def test_nothing_is_overwritten_unasked(parvmc, deck, tmp_path, name, options):
    """An existing file is refused with 2 and left as it is, with --resume too if it is no result of ours."""
    (tmp_path / name).write_bytes(b"precious")
    refused = parvmc(deck, *options)
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    assert (tmp_path / name).read_bytes() == b"precious"


def test_overwrite_loses_nothing_before_all_is_right(parvmc, deck, tmp_path):
    """--overwrite replaces a result; refused for another reason it leaves it; it never takes the deck or a folder."""
    (tmp_path / "small.h5").write_bytes(b"precious")
    assert parvmc(deck, "--overwrite", "--set", 'state.0.initial="small.h5"').returncode == 2
    assert (tmp_path / "small.h5").read_bytes() == b"precious"
    assert parvmc(deck, "--overwrite", "-o", "small.toml").returncode == 2
    assert deck.read_text() == DECK
    assert parvmc(deck, "--overwrite", "-o", ".").returncode == 2
    finished(parvmc(deck, "--overwrite"))
    assert h5py.is_hdf5(tmp_path / "small.h5")


WRONG = {
    "unknown key": (["--set", "sampler.walker=512"], ["sampler.walker", "walkers"]),
    "wrong type": (["--set", 'optimizer.iterations="many"'], ["optimizer.iterations"]),
    "out of range": (["--set", "system.dimensions=4"], ["system.dimensions"]),
    "impossible pair": (["--set", "system.dimensions=1"], ["system.interaction", "one dimension"]),
    "not a multiple": (["--set", "sampler.walkers=500"], ["sampler.walkers", "448", "512"]),
    "missing start": (["--set", 'state.0.initial="nowhere.h5"'], ["state.0.initial", "nowhere.h5"]),
    "unknown kind": (["--set", 'sampler.kind="metropols"'], ["sampler.kind", "metropolis"]),
    "bad limit": (["--time-limit", "soon"], ["--time-limit"]),
    "no such option": (["--resumption"], ["--resumption"]),
    "no such folder": (["-o", "nowhere/small.h5"], ["nowhere"]),
    "name of another file": (["-o", "small.lock"], ["small.lock"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_deck_gives_one_message(parvmc, deck, tmp_path, name):
    """Exit status 2, the key and the way out on stderr, no traceback, and no file is left."""
    arguments, words = WRONG[name]
    result = parvmc(deck, *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.toml"]


def test_what_is_not_a_deck(parvmc, tmp_path):
    """A missing file, a folder, text that is not TOML, and bytes: 2 and one message."""
    (tmp_path / "words.toml").write_text("two electrons, please")
    (tmp_path / "bytes.toml").write_bytes(bytes(range(256)))
    for name in ("missing.toml", ".", "words.toml", "bytes.toml"):
        result = parvmc(name)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
        assert result.stderr.startswith("parvmc: ")


@pytest.mark.mpi
def test_wrong_decks_and_too_many_ranks_end_on_all_ranks(parvmc, deck):
    """Under mpirun: one message from rank 0, nobody hangs; more ranks than batches says what to change."""
    for arguments, word in ((["--set", "sampler.walker=512"], "walkers"), (["--set", "sampler.walkers=128"], "ranks")):
        result = parvmc(deck, *arguments, ranks=3, timeout=60)
        assert result.returncode == 2
        assert result.stderr.count("parvmc:") == 1
        assert word in result.stderr
    version = parvmc("--version", ranks=3, timeout=60)
    assert version.returncode == 0
    assert version.stdout.count("parvmc") == 1


def test_a_local_energy_that_is_not_finite_stops_the_run(parvmc, deck, tmp_path):
    """Exit status 1, the iteration, rank and walker named, a checkpoint saved from before, the result marked as
    failed."""
    result = parvmc(deck, "--set", "state.0.initial_spread=1e150")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for word in ("iteration 0", "rank 0", "walker", "batch"):
        assert word in result.stderr
    assert (tmp_path / "small.ckpt.h5").exists()
    with h5py.File(tmp_path / "small.h5") as file:
        assert file.attrs["status"] == "failed"


def test_without_an_mpi_library_one_rank_runs(parvmc, deck, tmp_path):
    """mpi4py is there but finds no library: a world of one, the same bits."""
    finished(parvmc(deck, "-o", "with.h5"))
    finished(parvmc(deck, "-o", "without.h5", MPI4PY_LIBMPI="/nonexistent/libmpi.so"))
    assert_same_bits(tmp_path / "without.h5", tmp_path / "with.h5")
    with h5py.File(tmp_path / "without.h5") as file:
        assert list(file["provenance"].attrs["mpi"]) == ["none"]


def test_a_foreign_launcher_is_refused(parvmc, deck, tmp_path):
    """Four processes that each see a world of one say so and stop, instead of writing the same files."""
    result = parvmc(deck, OMPI_COMM_WORLD_SIZE="4")
    assert result.returncode == 1
    assert "OMPI_COMM_WORLD_SIZE says that 4 processes were started" in result.stderr
    assert not (tmp_path / "small.h5").exists()


def test_warm_start_takes_over_parameters(parvmc, deck, tmp_path):
    """A run that starts from another's file with iterations = 0 measures that state; more hidden units keep their
    own."""
    finished(parvmc(deck, "-o", "coarse.h5"))
    frozen = ["--set", "optimizer.iterations=0", "--set", 'state.0.initial="coarse.h5"']
    finished(parvmc(deck, "-o", "same.h5", *frozen))
    finished(parvmc(deck, "-o", "larger.h5", *frozen, "--set", "state.0.hidden=5"))
    with h5py.File(tmp_path / "coarse.h5") as old, h5py.File(tmp_path / "same.h5") as new:
        for name in ("a", "b", "w", "sigma"):
            path = f"parameters/0_gaussian_rbm/{name}"
            np.testing.assert_allclose(new[path][()], old[path][()], rtol=1e-15)
        difference = new["result/energy"][()] - old["result/energy"][()]
        error = np.hypot(new["result/energy_error"][()], old["result/energy_error"][()])
        assert abs(difference) < 4.5 * error
    with h5py.File(tmp_path / "larger.h5") as new:
        assert new["parameters/0_gaussian_rbm/w"].shape == (4, 5)
    refused = parvmc(deck, "-o", "other.h5", *frozen, "--set", 'state.0.amplitude="full"')
    assert refused.returncode == 2
    assert "amplitude" in refused.stderr
    refused = parvmc(deck, "-o", "other.h5", *frozen, "--set", "system.dimensions=3")
    assert refused.returncode == 2
    assert "2 particles in 2 dimensions" in refused.stderr


def test_no_iterations_measures_the_initial_state_of_any_sampler(parvmc, deck, tmp_path):
    """With iterations = 0 the parameters depend on the seed and the state alone, not on how they are sampled."""
    options = ["--set", "optimizer.iterations=0"]
    finished(parvmc(deck, "-o", "a.h5", *options))
    finished(parvmc(deck, "-o", "b.h5", *options, "--set", "sampler.walkers=1024", "--set", "sampler.step=0.3"))
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        for name in ("a", "b", "w", "sigma"):
            path = f"parameters/0_gaussian_rbm/{name}"
            np.testing.assert_array_equal(a[path][()], b[path][()])
        assert "optimization" not in a


def test_target_error_is_reached(parvmc, deck, tmp_path):
    """Production stops at a power of two of steps with an error below the target, or says that it was not reached."""
    options = ["--set", "production={target_error=4e-3, max_samples=8_388_608}"]
    finished(parvmc(deck, *options))
    with h5py.File(tmp_path / "small.h5") as file:
        steps = len(file["production/energy"])
        assert steps >= 1024
        assert steps & (steps - 1) == 0
        assert file["result/energy_error"][()] <= 4e-3
    short = parvmc(deck, "-o", "short.h5", "--set", "production={target_error=1e-6, max_samples=16384}")
    finished(short)
    assert "was not reached" in short.stderr


def test_check_prints_and_runs_nothing(parvmc, deck, tmp_path):
    """The resolved deck as TOML that runs, the parameter count, memory and cost; no file is left."""
    result = parvmc(deck, "--check")
    assert result.returncode == 0
    for text in ("thinning = 2", "parameters: 23, of which 23 are trained", "memory per rank", "core-minutes"):
        assert text in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.toml"]
    (tmp_path / "resolved.toml").write_text(result.stdout)
    finished(parvmc(deck, "-o", "a.h5"))
    finished(parvmc("resolved.toml", "-o", "b.h5"))
    assert_same_bits(tmp_path / "b.h5", tmp_path / "a.h5")


def test_quiet_prints_one_line(parvmc, deck):
    """--quiet leaves the final line alone."""
    assert len(parvmc(deck, "--quiet").stdout.splitlines()) == 1
