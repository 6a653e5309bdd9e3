"""What rank 0 prints, as text and as lines of JSON."""

import json
import math

import pytest
from test_run import DECK

from parvmc import progress
from parvmc.progress import Progress

REPORT = {"phase": "optimization", "iteration": 1, "of": 3, "energy": 3.02576, "energy_error": 0.00014}


@pytest.fixture
def clock(monkeypatch):
    """Return a list with the time that passes by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_both_formats_tell_the_same_story(capsys, clock):
    """Each line of text is the message of a line of JSON, on the same stream, which has the numbers besides."""
    for form in ("text", "json"):
        told = Progress(speaks=True, quiet=False, form=form)
        told.say("begins", "start", ranks=2)
        for iteration in (1, 2, 3):  # of which the second comes too early to be printed
            clock[0] += 10.0
            told.report(REPORT | {"iteration": iteration, "variance": math.nan, "keep": True})
        told.conclude("E = 3", "result", energy=3.0)
        told.warn("is short")
        told.fail("not finite")
        if form == "text":
            text = capsys.readouterr()
    found = capsys.readouterr()
    assert text.out.splitlines()[0] == "begins"
    assert "optimization        1 of 3   E = 3.02576(14)" in text.out
    assert text.err.splitlines() == ["parvmc: warning: is short", "parvmc: failed: not finite"]
    out, err = ([json.loads(line) for line in stream.splitlines()] for stream in found)
    assert [line["message"] for line in out] == text.out.splitlines()
    assert [(line["level"], line["event"]) for line in out + err] == [
        ("info", "start"),
        ("info", "progress"),
        ("info", "progress"),
        ("info", "result"),
        ("warning", "warning"),
        ("error", "failed"),
    ]
    assert out[2] == {name: out[2][name] for name in ("time", "level", "event", "message")} | REPORT | {
        "iteration": 3,
        "variance": None,
    }
    assert (out[0]["ranks"], out[3]["energy"]) == (2, 3.0)


def test_quiet_and_silent(capsys):
    """--quiet leaves the end and warnings; ranks that do not speak print nothing."""
    for form in ("text", "json"):
        for speaks in (True, False):
            told = Progress(speaks, quiet=True, form=form)
            told.say("hidden")
            told.report(REPORT)
            told.conclude("end")
            told.warn("careful")
            assert [len(stream.splitlines()) for stream in capsys.readouterr()] == ([1, 1] if speaks else [0, 0])


def events(stream):
    """Return {event: its last line} of a log in JSON; each line must be whole and say when, how grave and what."""
    lines = [json.loads(line) for line in stream.splitlines()]
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)
    return {line["event"]: line for line in lines}


def test_a_run_logs_json_from_start_to_end(parvmc, tmp_path):
    """Stopped, resumed, finished with a warning, and finished already: nothing but lines of JSON on both streams."""
    deck = tmp_path / "small.toml"
    deck.write_text(DECK)
    arguments = [deck, "--log-format", "json", "--set", "sampler.walkers=128", "--set", "sampler.thinning=1"]
    arguments += ["--set", "optimizer.samples=128", "--set", "production.samples=12800"]
    first = parvmc(*arguments, "--time-limit", "0 s")  # over before it begins, on any machine
    assert first.returncode == 75, first.stderr
    stopped = events(first.stdout)
    assert stopped["start"]["ranks"] == 1
    assert "--resume" in stopped["stopped"]["message"]
    second = parvmc(*arguments, "--resume")
    assert second.returncode == 0, second.stderr
    told = events(second.stdout)
    assert told["resumed"]["iteration"] == 0
    assert told["progress"]["of"] == 100
    result = told["result"]
    for name in ("energy", "energy_error", "variance", "autocorrelation_time", "r_hat", "core_hours"):
        assert isinstance(result[name], float)
    assert result["message"].startswith("E = ")
    assert events(second.stderr)["warning"]["level"] == "warning"
    assert list(events(parvmc(*arguments, "--resume").stdout)) == ["finished"]


def test_a_failed_run_says_so_in_json_and_a_wrong_deck_in_text(parvmc, tmp_path):
    """What is not finite is an event of its own; what is wrong before the run begins stays as it was."""
    deck = tmp_path / "small.toml"
    deck.write_text(DECK)
    failed = parvmc(deck, "--log-format", "json", "--set", "state.0.initial_spread=1e150")
    assert failed.returncode == 1
    line = events(failed.stderr.splitlines()[-1])["failed"]  # numpy has said before, in its own way, what overflowed
    assert line["level"] == "error"
    assert "walker" in line["message"]
    wrong = parvmc(deck, "--log-format", "json", "--set", "sampler.walker=512", "-o", "other.h5")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("parvmc: ")
    assert parvmc(deck, "--log-format", "yaml").returncode == 2
