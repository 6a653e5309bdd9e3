"""Runs that are told to stop: by a signal on any rank, a file, or a time limit; they go on as if nothing had been."""

import os
import signal
import subprocess
import time

import h5py
import pytest
from conftest import command, environment
from files import assert_same_bits, kill
from runs import DECK, lines, ranks_of, started, wait_for, whole

from parvmc import scheduler
from parvmc.clock import Clock

TOLD = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGUSR1": signal.SIGUSR1, "SIGUSR2": signal.SIGUSR2}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return (deck, its result): a run of a few seconds."""
    return whole(tmp_path_factory.mktemp("undisturbed"))


def assert_stopped(process, folder, reason):
    """Assert that a run stops with the exit status of an early end and says why and how to go on."""
    try:
        output, errors = process.communicate(timeout=60)
    finally:
        kill(process)
    assert process.returncode == 75, errors
    assert f"stopped {reason}" in output
    assert "--resume" in output
    assert "Traceback" not in errors
    with h5py.File(folder / "long.h5") as file:
        assert file.attrs["status"] == "stopped"
    assert not (folder / "long.lock").exists()


def assert_goes_on(parvmc, undisturbed, folder, ranks):
    """Assert that the rest of the run makes it the run that would have been."""
    deck, result = undisturbed
    resumed = parvmc(deck, "--resume", "--quiet", ranks=ranks)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_bits(folder / "long.h5", result)


@pytest.mark.mpi
@pytest.mark.parametrize(("name", "rank"), [("SIGTERM", 0), ("SIGINT", 1), ("SIGUSR1", 1), ("SIGUSR2", 0)])
def test_a_signal_on_any_rank_stops_all(parvmc, undisturbed, tmp_path, name, rank):
    """All ranks save and leave with 75, also where the signal comes many times; the rest gives the same bits."""
    process = started(undisturbed[0], tmp_path, ranks=2)
    target = ranks_of(process)[rank]
    for _ in range(1 if name == "SIGINT" else 3):
        os.kill(target, TOLD[name])
    assert_stopped(process, tmp_path, f"by {name}")
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=3)


@pytest.mark.mpi
def test_the_launcher_passes_signals_on(parvmc, undisturbed, tmp_path):
    """What a scheduler's batch shell or a user sends to mpirun reaches the ranks."""
    process = started(undisturbed[0], tmp_path, ranks=2)
    process.send_signal(signal.SIGUSR1)
    assert_stopped(process, tmp_path, "by SIGUSR1")
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=None)


@pytest.mark.mpi
def test_a_run_goes_on_with_any_number_of_ranks(parvmc, undisturbed, tmp_path):
    """4 ranks, then 1, then 3, stopped in the optimisation and twice in production, then 8: the same bits."""
    deck, _ = undisturbed
    for ranks, phase in ((4, "optimization"), (1, "production"), (3, "production")):
        process = started(deck, tmp_path, "--resume", phase=phase, ranks=ranks)
        process.send_signal(signal.SIGUSR1)  # of USR2 MPICH's mpirun dies
        assert_stopped(process, tmp_path, "by SIGUSR1")
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=8)


@pytest.mark.mpi
@pytest.mark.slow
def test_64_ranks_stop_within_the_grace_of_a_job(tmp_path):
    """SIGTERM on one of 64 ranks, more than there are cores: all have left within SLURM's default KillWait, 30 s."""
    deck, _ = whole(tmp_path, DECK.replace("walkers = 512", "walkers = 4096"))
    process = started(deck, tmp_path, "--overwrite", "--set", "production.samples=67_108_864", ranks=64)
    told = time.monotonic()
    os.kill(ranks_of(process)[40], signal.SIGTERM)
    assert_stopped(process, tmp_path, "by SIGTERM")
    took = time.monotonic() - told
    print(f"\n64 ranks had left after {took:.1f} s")
    assert took < 30.0


def test_a_terminal_that_hangs_up_stops_a_run(parvmc, undisturbed, tmp_path):
    """SIGHUP is what a process gets whose terminal is gone."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        process = started(undisturbed[0], tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    assert_stopped(process, tmp_path, "by SIGHUP")
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=None)


def test_under_nohup_a_run_outlives_its_terminal(undisturbed, tmp_path):
    """Where SIGHUP is ignored at the start it stays so."""
    deck, result = undisturbed
    words = ["nohup", *command(deck, "--quiet")]
    process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    wait_for(lambda: lines(tmp_path / "long.jsonl", "production"), process)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=120) == 0
    assert_same_bits(tmp_path / "long.h5", result)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_run_outlives_what_reads_its_output(undisturbed, tmp_path, form):
    """A launcher or `head` that closes the pipe costs lines, not the run."""
    deck, result = undisturbed
    process = started(deck, tmp_path, f"--log-format={form}")
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert_same_bits(tmp_path / "long.h5", result)


def test_a_second_interrupt_ends_at_once(undisturbed, tmp_path):
    """Ctrl-C saves and leaves; pressed again, the process is gone before it could save."""
    process = started(undisturbed[0], tmp_path)
    process.send_signal(signal.SIGINT)
    while "once more" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "stopped" not in output


@pytest.mark.parametrize("name", ["STOP", "long.STOP"])
def test_a_file_stops_a_run(parvmc, undisturbed, tmp_path, name):
    """STOP stops all runs of a folder, NAME.STOP one; none starts while it is there."""
    process = started(undisturbed[0], tmp_path, phase="optimization")
    (tmp_path / name).touch()
    assert_stopped(process, tmp_path, f"by the file {name}")
    refused = parvmc(undisturbed[0], "--resume")
    assert refused.returncode == 2
    assert f"{name} exists" in refused.stderr
    (tmp_path / name).unlink()
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=None)


def test_the_limit_of_the_job_is_kept(parvmc, undisturbed, tmp_path):
    """The time at which SLURM will end the job stops the run before, without any option."""
    deck, _ = undisturbed
    end = f"{time.time() + 1.0:.0f}"
    early = parvmc(deck, "--quiet", SLURM_JOB_ID="1", SLURM_JOB_END_TIME=end, PATH="/usr/bin:/bin")
    assert early.returncode == 75, early.stderr
    assert "stopped before the time limit" in early.stdout
    assert_goes_on(parvmc, undisturbed, tmp_path, ranks=None)


# --- when the job ends


def _squeue(folder, monkeypatch, answer):
    """Put a squeue on the path that gives this answer, and an allocation into the environment."""
    program = folder / "squeue"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)


def _as_squeue_says(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + seconds))


def test_squeue_says_when_the_job_ends(tmp_path, monkeypatch):
    """The environment is asked first, squeue where it is silent, and squeue first where a fresh answer is wanted."""
    _squeue(tmp_path, monkeypatch, _as_squeue_says(500))
    assert scheduler.seconds_left() == pytest.approx(500, abs=3)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 100))
    assert scheduler.seconds_left() == pytest.approx(100, abs=3)
    assert scheduler.seconds_left(fresh=True) == pytest.approx(500, abs=3)


@pytest.mark.parametrize("answer", ["N/A", "", "slurm_load_jobs error: Invalid job id specified"])
def test_no_limit_where_squeue_has_none(tmp_path, monkeypatch, answer):
    """A job without a limit, or a controller that does not answer, is no reason to stop."""
    _squeue(tmp_path, monkeypatch, answer)
    assert scheduler.seconds_left() is None
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert scheduler.seconds_left(fresh=True) is None


def test_outside_a_job_nobody_is_asked(monkeypatch):
    """Without an allocation there is no limit."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1")
    assert scheduler.seconds_left() is None


def test_the_clock_keeps_time_for_an_iteration_and_a_checkpoint():
    """Twice the longest of each is kept in reserve; a limit that was extended meanwhile does not stop."""
    answers = {False: 100.0, True: 100.0}
    clock = Clock(None, 600.0, left_of_job=lambda fresh: answers[fresh])
    assert not clock.should_stop()
    clock.saved(60.0)
    assert clock.should_stop()
    answers[True] = 1000.0
    assert not clock.should_stop()


@pytest.mark.parametrize(("limit", "left", "expected"), [(50.0, 100.0, 50.0), (100.0, 50.0, 50.0), (None, None, None)])
def test_the_nearer_limit_counts(limit, left, expected):
    """The command line's limit and the job's."""
    clock = Clock(limit, 600.0, left_of_job=lambda fresh: left)
    assert clock.limit == (None if expected is None else pytest.approx(expected, abs=1))
