"""What lies beside the output: leftovers, the lock, the lines of JSON."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from children import child, kill

from parvmc import archive
from parvmc.files import Files, Metrics
from parvmc.lock import Lock, Locked

HOLDER = """
import sys, time
from parvmc.lock import Lock
with Lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_a_dead_process_left_is_removed_and_a_live_one_is_left_alone(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {f".run.h5.{gone.pid}.tmp": False, f".run.h5.{os.getppid()}.tmp": True, ".other.h5.1.tmp": True}
    names[f".run.h5.{gone.pid}x.tmp"] = True
    for name in names:
        (tmp_path / name).touch()
    archive.write_result(tmp_path / "run.h5", {}, {})
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_names_lie_beside_the_output():
    where = Files("folder/two.electrons.h5")
    names = [where.result, where.checkpoint, where.previous, where.metrics, where.lock]
    ends = ["h5", "ckpt.h5", "ckpt.1.h5", "jsonl", "lock"]
    assert names == [Path(f"folder/two.electrons.{end}") for end in ends]
    with pytest.raises(ValueError, match="name for a file beside the result"):
        Files("run.lock")


# --------------------------------------------------------------------------------------------------------------- lock


def test_a_second_run_is_refused_and_kill_9_frees_the_lock(tmp_path):
    path = tmp_path / "run.lock"
    process = child(HOLDER, path)
    with (
        pytest.raises(Locked, match=rf"process {process.pid} on .*; wait for it, stop it, or choose another"),
        Lock(path),
    ):
        pass
    assert path.exists()
    kill(process)
    with Lock(path):
        content = json.loads(path.read_text())
        assert content["pid"] == os.getpid()
        assert {"host", "job", "start"} <= content.keys()
    assert not path.exists()


def test_the_refusal_names_the_job(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    with Lock(tmp_path / "run.lock"), pytest.raises(Locked, match="of job 4711"), Lock(tmp_path / "run.lock"):
        pass


def test_a_lock_file_removed_between_opening_and_locking_is_not_taken(tmp_path, monkeypatch):
    path, flock, calls = tmp_path / "run.lock", fcntl.flock, []

    def late(descriptor, operation):
        if not calls:
            path.unlink()  # its holder left just now
        calls.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with Lock(path):
        assert len(calls) == 2
        assert path.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_without_flock_the_content_decides(tmp_path, monkeypatch, number):
    def refused(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    path = tmp_path / "run.lock"
    with Lock(path), pytest.raises(Locked, match=f"process {os.getpid()}"), Lock(path):
        pass
    assert not path.exists()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    own = Lock(path)
    path.write_text(json.dumps({"host": os.uname().nodename, "pid": gone.pid, "job": "", "start": ""}))
    with own:
        assert json.loads(path.read_text())["pid"] == os.getpid()
    for content in ('{"host": "elsewhere", "pid": 1, "job": "7", "start": ""}', "", "[]"):
        path.write_text(content)
        with pytest.raises(Locked, match="remove"), own:
            pass


# ------------------------------------------------------------------------------------------------------------ metrics


def test_metrics_are_lines_of_json_with_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "run.jsonl"
    with Metrics(path) as metrics:
        metrics.append({"iteration": 1, "energy": np.float64("nan"), "list": (np.inf, np.arange(2), {"x": -np.inf})})
        assert path.read_text() == '{"iteration": 1, "energy": null, "list": [null, [0, 1], {"x": null}]}\n'


def test_metrics_go_on_after_a_line_that_was_half_written(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"iteration": 1}\n{"iteration": 2}\n{"itera')
    with Metrics(path) as metrics:
        metrics.append({"iteration": 3})
        assert [record["iteration"] for record in metrics.records()] == [1, 2, 3]
        metrics.keep(lambda record: record["iteration"] < 3)
        metrics.append({"iteration": 30})
    assert path.read_text() == '{"iteration": 1}\n{"iteration": 2}\n{"iteration": 30}\n'
    assert [name.name for name in tmp_path.iterdir()] == ["run.jsonl"]


def test_metrics_of_a_run_that_has_none_are_empty(tmp_path):
    metrics = Metrics(tmp_path / "run.jsonl")
    metrics.keep(lambda record: True)
    assert list(metrics.records()) == []
    assert not (tmp_path / "run.jsonl").exists()
