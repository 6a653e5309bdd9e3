"""Watching runs from outside: what `parvmc.status` makes of the files of a run."""

import json
import os
import socket
import subprocess
import sys
import time

import fake_result
import h5py
import numpy as np
import pytest
from conftest import command, environment
from files import kill
from test_run import DECK, wait_for_lines

from parvmc import status
from parvmc.files import Metrics, alive

LONG = ["--set", "production.samples=10_000_000"]
OFTEN = ["--set", 'output.checkpoint_interval="0 s"', "--set", "optimizer.iterations=2"]


@pytest.fixture
def deck(tmp_path):
    """Return the path of a deck of 8 batches."""
    path = tmp_path / "small.toml"
    path.write_text(DECK)
    return path


@pytest.fixture
def gone():
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_dead_are_not_alive(gone):
    """Gone, dead but not yet waited for, no process id at all; this process is alive, and so is the first of all."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    process.stdout.read()
    deadline = time.monotonic() + 10.0
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.returncode is None
    assert [alive(pid) for pid in (gone, process.pid, 1 << 70, os.getpid(), 1)] == [False, False, False, True, True]
    process.communicate()


def hold(path, age=0.0, **content):
    """Write a lock file as a run on another machine does, whose last heartbeat is `age` seconds ago."""
    beat = {"host": "elsewhere", "pid": 1, "job": "815", "start": "2024-04-05T06:07:08+00:00", "phase": "optimization"}
    beat |= {"done": 120, "of": 300, "heartbeat_epoch": time.time() - age, "within": 180.0, "ranks": 64}
    path.write_text(json.dumps(beat | {"energy": 3.02576, "energy_error": 0.00014, "seconds_left": 570.0} | content))


# --------------------------------------------------------------------------------------------------------- real runs


@pytest.mark.mpi
def test_a_run_is_seen_to_wait_run_and_finish_by_another_process(parvmc, deck, tmp_path):
    """--watch begins before the run does and ends with it; each look is a line of JSON."""
    arguments = [sys.executable, "-m", "parvmc.status", "small.h5", "--watch", "0.05", "--json"]
    log = tmp_path / "watched.txt"
    with open(log, "w") as written:
        watcher = subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stdout=written)
    try:
        deadline = time.monotonic() + 60.0
        while not log.read_text().endswith("\n") and time.monotonic() < deadline:
            time.sleep(0.01)
        run = parvmc(deck, *LONG, ranks=2)
        watcher.wait(timeout=60)
    finally:
        kill(watcher)
    seen = [json.loads(line) for line in log.read_text().splitlines()]
    assert run.returncode == 0, run.stderr
    assert watcher.returncode == 0
    states = [line["state"] for line in seen]
    assert list(dict.fromkeys(states)) == ["waiting", "running", "finished"]
    assert states == sorted(states, key=["waiting", "running", "finished"].index)
    producing = [line for line in seen if line["phase"] == "production"]
    reached = [line["done"] for line in producing]
    assert reached == sorted(reached)
    assert len(set(reached)) > 3
    assert producing[-1]["of"] == 19532
    assert producing[-1]["ranks"] == 2
    assert producing[-1]["host"] == socket.gethostname()
    with h5py.File(tmp_path / "small.h5") as file:
        assert seen[-1]["energy"] == file["result/energy"][()]
        assert producing[-1]["energy"] == pytest.approx(seen[-1]["energy"], abs=6 * producing[-1]["energy_error"])


@pytest.mark.mpi
def test_a_run_that_was_killed_is_lost(deck, tmp_path, capsys):
    """Running until kill -9, then lost on its own machine without delay; as well when somebody removes the lock."""
    result = tmp_path / "small.h5"
    arguments = command(deck, *LONG, *OFTEN, ranks=2)
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    try:
        wait_for_lines(tmp_path / "small.jsonl", "production", 3, process)
        before = status.look(result)
    finally:
        kill(process)
    assert (before.state, before.phase) == ("running", "production")
    assert before.checkpoint_age < 60
    deadline = time.monotonic() + 60.0
    while alive(before.pid) and time.monotonic() < deadline:  # kill -9 waits for the disk where it meets an fsync
        time.sleep(0.01)
    killed = status.look(result)
    assert killed.state == "lost"
    assert killed.reason == f"process {before.pid} is gone"
    assert killed.done >= before.done
    assert status.main([str(result)]) == 1
    assert f"small.h5  lost (process {before.pid} is gone)   production" in capsys.readouterr().out
    (tmp_path / "small.lock").unlink()
    assert status.look(result).state == "lost"


# ------------------------------------------------------------------------------------------------------------- locks


def test_a_heartbeat_of_another_machine_decides_by_its_age_and_promise(tmp_path):
    """Fresh: running; stale: lost; not stale where a longer silence was promised; the numbers are those of the lock."""
    path = tmp_path / "run.h5"
    hold(tmp_path / "run.lock", age=30.0)
    found = status.look(path)
    assert (found.state, found.done, found.of, found.energy, found.host) == ("running", 120, 300, 3.02576, "elsewhere")
    assert found.seconds_left == pytest.approx(540, abs=5)
    assert found.line.startswith("running   optimization 120 of 300   E = 3.02576(14)   heartbeat 3")
    assert "elsewhere:1 job 815   9 min left of this part" in found.line
    hold(tmp_path / "run.lock", age=30.0, seconds_left_of_run=7230.0)
    assert status.look(path).seconds_left_of_run == pytest.approx(7200, abs=5)
    assert status.look(path).line.endswith("2.0 h left, 9 min of this part")
    hold(tmp_path / "run.lock", age=200.0)
    assert status.look(path).line.startswith("lost (no heartbeat for 3 min, within 3 min it was promised)")
    assert status.look(path).seconds_left is None
    hold(tmp_path / "run.lock", age=200.0, within=300.0)
    assert status.look(path).state == "running"


def test_on_the_same_machine_the_process_decides(tmp_path, gone):
    """A fresh heartbeat of a process that is gone is no life; a live one that is silent for too long is lost too."""
    for pid, age, state in ((gone, 0.0, "lost"), (os.getpid(), 0.0, "running"), (os.getpid(), 200.0, "lost")):
        hold(tmp_path / "run.lock", age, host=socket.gethostname(), pid=pid)
        assert status.look(tmp_path / "run.h5").state == state


@pytest.mark.parametrize(
    "content", ["", '{"host": "elsew', "[]", "[" * 100_000, "\0\1\2", '{"pid": "x", "within": "y"}']
)
def test_a_torn_lock_counts_by_its_age(tmp_path, content):
    """What cannot be read is somebody's nevertheless: running while the file is new, lost when it is old."""
    path = tmp_path / "run.lock"
    path.write_text(content)
    assert status.look(tmp_path / "run.h5").state == "running"
    os.utime(path, (time.time() - 200.0,) * 2)
    assert status.look(tmp_path / "run.h5").state == "lost"


def test_a_lock_that_outlived_the_last_word_changes_nothing(tmp_path, gone):
    """Killed after the final result was written: finished. The result of an earlier start says nothing of a later."""
    path = fake_result.write(tmp_path / "run.h5")
    hold(tmp_path / "run.lock", host=socket.gethostname(), pid=gone)
    found = status.look(path)
    assert (found.state, found.reason, found.energy) == ("finished", "", fake_result.SCALARS["energy"])
    os.utime(path, (0.0, 0.0))
    assert status.look(path).state == "lost"


def test_a_run_that_ends_while_it_is_looked_at_is_not_lost(tmp_path, monkeypatch):
    """The lock is read, then the run writes its result, removes the lock and leaves, then its process is looked for."""
    path = fake_result.write(tmp_path / "run.h5", status="running")
    hold(tmp_path / "run.lock", host=socket.gethostname())

    def leave(pid):
        fake_result.write(path)
        (tmp_path / "run.lock").unlink()
        return False

    monkeypatch.setattr(status, "alive", leave)
    assert status.look(path).state == "finished"


def test_the_file_written_last_tells_the_progress(tmp_path):
    """A line of the JSON-lines file after the heartbeat, or the heartbeat after that line; 30 iterations in 10 s since
    leave 50 s for the other 150."""
    hold(tmp_path / "run.lock", seconds_left=None)
    with Metrics(tmp_path / "run.jsonl") as metrics:
        metrics.append({"phase": "optimization", "iteration": 150, "of": 300, "energy": 3.01, "energy_error": 0.01})
    for seconds, reached, left in ((+10.0, 150, pytest.approx(50.0)), (-10.0, 120, None)):
        when = os.stat(tmp_path / "run.lock").st_mtime + seconds
        os.utime(tmp_path / "run.jsonl", (when, when))
        found = status.look(tmp_path / "run.h5")
        assert (found.done, found.seconds_left) == (reached, left)


# ------------------------------------------------------------------------------------------------------- other files


@pytest.mark.parametrize(("name", "code"), [("running", 1), ("stopped", 0), ("finished", 0), ("failed", 1)])
def test_without_a_lock_the_result_decides(tmp_path, name, code, capsys):
    """Stopped, finished and failed are believed; running is not."""
    path = fake_result.write(tmp_path / "run.h5", status=name)
    assert status.main([str(path), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["state"] == ("lost" if name == "running" else name)


def test_foreign_and_damaged_files_give_a_line_each(tmp_path, capsys):
    """Text, nothing, half a result, another program's HDF5, a status of our own schema that does not exist, and a name
    that no file system takes: unreadable, with the reason, and exit status 1."""
    whole = fake_result.write(tmp_path / "whole.h5").read_bytes()
    contents = {"text.h5": b"two electrons, please", "empty.h5": b"", "half.h5": whole[: len(whole) // 2]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = np.arange(3)
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file.attrs.update({"schema": "parvmc", "schema_version": 1, "status": np.arange(3)})
    names = [*contents, "foreign.h5", "odd.h5", "x" * 300]
    (tmp_path / "text.jsonl").write_bytes(bytes(range(256)))
    assert status.main([str(tmp_path / name) for name in names]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(str(tmp_path / name))
        assert line.split()[1] == "unreadable"
        assert line.count(str(tmp_path)) == 1
    assert status.look(tmp_path / "whole.h5").state == "finished"


def test_what_a_name_means(tmp_path):
    """Files beside a result mean its run, a folder all runs in it, and each is told of once; others are left out."""
    for name in ("a.h5", "b.h5"):
        fake_result.write(tmp_path / name)
    for name in ("a.ckpt.h5", "a.ckpt.1.h5", "a.jsonl", "c.lock", "configurations.h5"):
        (tmp_path / name).touch()
    expected = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    assert status.runs(tmp_path) == expected
    found = status.report([tmp_path / "a.jsonl", tmp_path / "a.ckpt.1.h5", tmp_path])
    assert [line.file for line in found] == [str(path) for path in expected]
    (tmp_path / "empty").mkdir()
    assert [line.state for line in status.report([tmp_path / "empty", tmp_path / "d.h5"])] == ["unreadable", "waiting"]
    (tmp_path / "d.jsonl").touch()
    assert status.look(tmp_path / "d.h5").state == "lost"


@pytest.mark.parametrize("arguments", [[], ["run.h5", "--watch", "0"], ["run.h5", "--watch", "soon"], ["--what"]])
def test_a_wrong_command_line_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as leaving:
        status.main(arguments)
    assert leaving.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_status_imports_neither_mpi_nor_kernels():
    source = "import sys, parvmc.status; sys.exit(bool({'mpi4py', 'numba'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", source], env=environment()).returncode == 0
