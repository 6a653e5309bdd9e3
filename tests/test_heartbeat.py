"""What a run lets others read while it goes on: heartbeats in the lock, whole lines in the JSON-lines file."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest
from conftest import environment

from parvmc import files, lock
from parvmc.files import Metrics
from parvmc.lock import Lock, Locked


def test_heartbeats_are_rare_and_promise_the_next(tmp_path, monkeypatch):
    """One a minute, but a new phase at once; three times the longest gap between two is promised, three minutes at
    least, and ten until there is progress."""
    path, now = tmp_path / "run.lock", [1000.0]
    monkeypatch.setattr(lock.time, "monotonic", lambda: now[0])
    with Lock(path) as held:
        inode = path.stat().st_ino
        assert lock.read(path)["within"] == 600
        held.beat({"phase": "compilation"})
        assert lock.read(path)["within"] == 600
        for seconds, phase, shown, within in (
            (300, "optimization", 1, 180),
            (59, "optimization", 1, 180),
            (1, "optimization", 3, 180),
            (200, "optimization", 4, 600),
            (1, "production", 5, 600),
        ):
            now[0] += seconds
            count = {(300, 1): 1, (59, 1): 2, (1, 3): 3, (200, 4): 4, (1, 5): 5}[seconds, shown]
            held.beat({"phase": phase, "done": count, "of": 9})
            found = lock.read(path)
            assert (found["phase"], found["done"], found["within"]) == (phase, shown, within)
            assert found["pid"] == os.getpid()
            assert abs(found["heartbeat_epoch"] - time.time()) < 60
        assert path.stat().st_ino == inode
        with pytest.raises(Locked), Lock(path):
            pass
    assert not path.exists()


def test_a_heartbeat_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch):
    """Disk full, stale handle: the run goes on, and the next heartbeat is written."""

    def fails(*arguments):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    path = tmp_path / "run.lock"
    with Lock(path) as held:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", fails)
            held.beat({"phase": "optimization", "done": 1, "of": 2})
        assert lock.read(path)["phase"] == "start"
        held.beat({"phase": "production", "done": 1, "of": 2})
        assert lock.read(path)["phase"] == "production"


def test_a_shorter_heartbeat_is_read_before_the_rest_of_a_longer_is_cut_off(tmp_path, monkeypatch):
    """Whoever looks between the two calls of the writer sees the new line, and so does a second run that is refused."""
    path, seen = tmp_path / "run.lock", []

    def cut(descriptor, length, ftruncate=os.ftruncate):
        seen.append((lock.read(path), path.stat().st_size > length))
        with pytest.raises(Locked, match=f"process {os.getpid()} "), Lock(path):
            pass
        ftruncate(descriptor, length)

    with Lock(path) as held:
        held.beat({"phase": "pretraining", "of": 123456789})
        monkeypatch.setattr(os, "ftruncate", cut)
        held.beat({"phase": "settling"})
        assert path.read_text().count("\n") == 1
        assert lock.read(path)["phase"] == "settling"
    (found, longer), *_ = seen
    assert longer
    assert (found["phase"], "of" in found) == ("settling", False)


def test_metrics_leave_no_part_of_a_line_where_the_disk_is_full(tmp_path):
    """A limit on the file's size stands for the disk's: what fits of a line is written, then comes the error."""
    source = (
        "import resource, sys\n"
        "from parvmc.files import Metrics\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with Metrics(sys.argv[1]) as metrics:\n"
        "    for number in range(100):\n"
        "        metrics.append({'number': number, 'text': 90 * 'x'})\n"
    )
    path = tmp_path / "run.jsonl"
    ended = subprocess.run([sys.executable, "-c", source, str(path)], env=environment(), capture_output=True, text=True)
    assert "File too large" in ended.stderr
    lines = path.read_text().splitlines(keepends=True)
    assert [json.loads(line)["number"] for line in lines] == list(range(len(lines)))
    assert 5 < len(lines) < 10
    assert lines[-1].endswith("\n")


def test_the_last_line_is_found_without_reading_the_file(tmp_path, monkeypatch):
    """Behind megabytes of others, and before one that is only half written."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"iteration": 1}\n' * 200_000 + b'{"iteration": 2}\n{"itera')
    assert Metrics(path).last() == {"iteration": 2}
    monkeypatch.setattr(files, "TAIL", 4)  # nothing in the last bytes is a whole line: they alone are read (control)
    assert Metrics(path).last() == {}
    assert Metrics(tmp_path / "missing.jsonl").last() == {}
