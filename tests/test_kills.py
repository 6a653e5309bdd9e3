"""kill -9 at any moment: what is left opens, resumes, and becomes the run that would have been."""

import os
import random
import signal
import time
from collections import Counter

import pytest
from files import assert_same_bits, kill
from runs import DECK, ranks_of, start, whole

from parvmc import checkpoint_file, results
from parvmc.files import Files, Metrics

SAVES_ALWAYS = DECK.replace("16_777_216", "4_194_304") + '\n[output]\ncheckpoint_interval = "0 s"\n'
LONGEST = 1.0  # seconds from what is waited for to the kill


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return (deck, its result): a run that saves wherever a checkpoint may fall."""
    return whole(tmp_path_factory.mktemp("undisturbed"), SAVES_ALWAYS)


def _being_written(folder):
    """Return which file a run is writing aside at this moment."""
    names = [path.name for path in folder.glob(".*.tmp")]
    if any(".ckpt." in name for name in names):
        return "the checkpoint"
    return "the result" if names else "nothing"


def _phase(files):
    """Return the phase of the newest line of the run."""
    last = ""
    for record in Metrics(files.metrics).records():
        last = record["phase"]
    return last or "start"


def _moment(generator, process, files):
    """Wait for some moment of a run: any after its start, any after its first new line, or one in which it writes."""
    before = files.metrics.stat().st_size if files.metrics.exists() else 0
    moments = {
        "start": files.lock.exists,
        "line": lambda: files.metrics.exists() and files.metrics.stat().st_size > before,
        "checkpoint": lambda: _being_written(files.output.parent) == "the checkpoint",
        "result": lambda: _being_written(files.output.parent) == "the result",
    }
    name = generator.choice(list(moments))
    while not moments[name]() and process.poll() is None:
        time.sleep(0.0005)
    if name in ("start", "line"):
        time.sleep(generator.uniform(0.0, LONGEST))


def _strike(generator, process, files, ranks):
    """Kill one rank, or all there is, at some moment; return what was hit when, None if the run was over."""
    _moment(generator, process, files)
    victims = ranks_of(process) if ranks > 1 else [process.pid]
    if process.poll() is not None or not victims:
        return None
    written = _being_written(files.output.parent)
    if ranks > 1 and generator.random() < 0.7:
        number = generator.randrange(len(victims))
        os.kill(victims[number], signal.SIGKILL)
        process.communicate(timeout=60)  # mpirun ends the others
        return f"rank {number}" if number == 0 else "another rank", _phase(files), written
    kill(process)
    return "all", _phase(files), written


def _assert_sound(files):
    """Assert that whatever is there under a final name opens, the newest checkpoint included."""
    if files.result.exists():
        with results.open(files.result) as result:
            assert result.status in ("running", "finished")
    faults = []
    checkpoint_file.read(files, faults.append)
    assert faults == []


def _survived(count, undisturbed, folder, seed):
    """Kill runs `count` times, compare every one that finishes, and return the table of what was hit when."""
    deck, result = undisturbed
    files, generator, table, finished, number = Files(folder / "long.h5"), random.Random(seed), Counter(), 0, 0
    while table.total() < count or not finished:
        number += 1
        ranks = generator.choice((1, 2, 2, 3))
        process = start(deck, folder, "--resume", "--quiet", ranks=ranks if ranks > 1 else None)
        try:
            hit = _strike(generator, process, files, ranks) if table.total() < count else None
            _, errors = process.communicate(timeout=120)
        finally:
            kill(process)
        assert "Traceback" not in errors, errors
        _assert_sound(files)
        if hit:
            table[hit] += 1
        else:
            assert process.returncode == 0, errors
            assert_same_bits(files.result, result)
            finished += 1
            for path in folder.iterdir():
                path.unlink()
    return table, finished


def _printed(table, finished):
    print(f"\n{table.total()} kills, {finished} runs finished with the bits of the undisturbed one")
    for (victim, phase, written), times in sorted(table.items()):
        print(f"{times:5}  {victim:<13} in {phase:<13} while {written} was written")


@pytest.mark.mpi
def test_a_run_survives_kills(undisturbed, tmp_path):
    """Eight kills of ranks or of all, at random moments."""
    _printed(*_survived(8, undisturbed, tmp_path, seed=1))


@pytest.mark.mpi
@pytest.mark.slow
def test_no_run_is_lost_in_300_kills(undisturbed, tmp_path):
    """Prints what was killed when; some kills must hit the writing of a checkpoint, else the test shows little."""
    table, finished = _survived(300, undisturbed, tmp_path, seed=2)
    _printed(table, finished)
    assert sum(times for (_, _, written), times in table.items() if written == "the checkpoint") >= 10


def test_a_checkpoint_that_was_written_in_place_would_be_noticed(undisturbed):
    """The control: half a checkpoint, as a kill in the middle of writing would leave it, does not pass for sound."""
    deck, _ = undisturbed
    files = Files(deck.with_name("long.h5"))
    half = files.checkpoint.read_bytes()
    for path in (files.checkpoint, files.previous):
        path.write_bytes(half[: len(half) // 2])
    with pytest.raises(checkpoint_file.Damaged):
        _assert_sound(files)
