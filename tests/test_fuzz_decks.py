"""Whatever stands in a deck, there is one message and exit status 2, or it is right; no file is overwritten."""

import contextlib
import io
import json
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import mutations
import pytest
from conftest import ROOT, SMALL, command, environment

DECKS = [path.read_text() for path in sorted((ROOT / "inputs").glob("*.toml"))]
SECONDS, MEMORY = 20, 2.0e9  # of one deck, of all decks that a process reads
EARLIER = b"an earlier result"


def write(folder, number):
    """Write the mutated deck of this number beside an earlier result, and return its path."""
    deck, result = folder / "deck.toml", folder / "deck.h5"
    deck.write_bytes(mutations.deck(DECKS, random.Random(f"deck {number}")))
    result.write_bytes(EARLIER)
    return deck


def one_message(status, out, err):
    """Return what is wrong with an answer that must be a single message and exit status 2, or None."""
    if status != 2 or out or not err.startswith("parvmc: ") or err.count("parvmc: ") > 1:
        return "not one message"
    if "Traceback" in err or max(map(len, err.splitlines())) > 1500 or len(err.splitlines()) > 22:
        return "too long"
    return None if all(c.isprintable() or c == "\n" for c in err) else "control characters"


def fault(status, out, err):
    """Return what is wrong with the answer of --check, or None."""
    if status == 0:
        return None if not err and re.search(r"^# memory per rank: ", out, re.MULTILINE) else "no estimate"
    return one_message(status, out, err)


def read_all(folder, first, last):
    """Read decks in this process, and print a line of JSON for each; the number first, should it not survive."""
    from parvmc import __main__, parallel

    def call(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = __main__.main([*map(str, arguments)])
        return status, out.getvalue(), err.getvalue()

    def too_slow(*_):
        raise KeyboardInterrupt  # which the program does not take for an error of the deck

    signal.signal(signal.SIGPROF, too_slow)
    parallel.World.abort = lambda world, status: None  # main has printed a traceback, and returns None
    for number in range(first, last):
        print(number, flush=True)
        deck = write(folder, number)
        before, started = sorted(path.name for path in folder.iterdir()), time.monotonic()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of CPU time: the machine may be busy
        answer = call(deck, "--check")
        wrong, accepted = fault(*answer), answer[0] == 0
        if accepted and not wrong:  # a run must not overwrite the result beside it
            answer = call(deck, "-o", folder / "deck.h5")
            refused = re.search(r"exists already|deck: needs .* on rank 0", answer[2])
            wrong = one_message(*answer) or (None if refused else "not refused")
        signal.setitimer(signal.ITIMER_PROF, 0)
        if (folder / "deck.h5").read_bytes() != EARLIER or sorted(path.name for path in folder.iterdir()) != before:
            wrong = "the files beside it changed"
        report = {"number": number, "wrong": wrong, "accepted": accepted, "seconds": time.monotonic() - started}
        print(json.dumps(report | ({"answer": answer[0], "err": answer[2][-2000:]} if wrong else {})), flush=True)
    print(json.dumps({"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def answers(folder, first, last):
    """Return the reports of a process that reads these decks."""
    line = [sys.executable, __file__, folder, first, last]
    done = subprocess.run(list(map(str, line)), env=environment(), capture_output=True, text=True, timeout=1800)
    *found, end = done.stdout.splitlines()
    assert done.returncode == 0, f"deck {end}: {done.stderr[-2000:]}"
    assert json.loads(end)["memory"] < MEMORY
    return [json.loads(text) for text in found if text.startswith("{")]


def test_2000_mutated_decks_are_answered(tmp_path):
    """Keys dropped, renamed, moved, of other types; huge, tiny and negative numbers; broken text, nesting, junk."""
    found = answers(tmp_path, 0, 2000)
    assert len(found) == 2000
    assert [report for report in found if report["wrong"]] == []
    assert 200 < sum(report["accepted"] for report in found) < 1000


def test_what_is_not_one_message_is_noticed():
    """Control: the answers that the other tests look for."""
    assert one_message(2, "", "parvmc: seed: cannot be -1\n") is None
    for status, out, err in (
        (1, "", "parvmc: seed: cannot be -1\n"),
        (2, "title", "parvmc: seed: cannot be -1\n"),
        (2, "", ""),
        (2, "", "RuntimeWarning: overflow\nparvmc: seed: cannot be -1\n"),
        (2, "", "parvmc: one\nparvmc: two\n"),
        (2, "", "parvmc: rank 0:\nTraceback (most recent call last):\n"),
        (2, "", f"parvmc: {'x' * 2000}\n"),
        (2, "", "parvmc: \x1b[2J\n"),
        (None, "", "parvmc: rank 0: interrupted\n"),
    ):
        assert one_message(status, out, err)


def assert_refused(folder, numbers):
    """Assert that a process of its own refuses each of these decks, or to overwrite the result beside it."""
    for number in numbers:
        deck = write(folder, number)
        done = subprocess.run(
            command(deck), cwd=folder, env=environment(), capture_output=True, text=True, errors="replace", timeout=300
        )
        assert one_message(done.returncode, done.stdout, done.stderr) is None, (number, done)
        assert sorted(path.name for path in folder.iterdir()) == ["deck.h5", "deck.toml"]
        assert (folder / "deck.h5").read_bytes() == EARLIER


def test_mutated_decks_are_refused_by_real_processes(tmp_path):
    assert_refused(tmp_path, range(2000, 2006))


@pytest.mark.slow
def test_30_mutated_decks_are_refused_by_real_processes(tmp_path):
    assert_refused(tmp_path, range(2006, 2036))


@pytest.mark.slow
def test_decks_that_are_right_run(tmp_path):
    """Scaled down, four of those that --check accepts run to the end, are wrong then, or stop where a number is not
    finite; none of them leaves a traceback."""
    accepted = [report["number"] for report in answers(tmp_path, 3000, 3100) if report["accepted"]]
    small = [f"--set={key}={value}" for key, value in SMALL.items()]
    for number in accepted[:4]:
        deck = write(tmp_path, number)
        line = command(deck, "-o", f"{number}.h5", *small)
        done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600)
        ends = {0: "E = ", 1: "parvmc: warning: stopped, the checkpoint is saved", 2: "parvmc: "}
        assert ends[done.returncode] in done.stdout + done.stderr, (number, done)
        assert "Traceback" not in done.stderr
    assert len(accepted) >= 4


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    read_all(Path(sys.argv[1]), *map(int, sys.argv[2:]))
