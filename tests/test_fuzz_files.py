"""Whatever is in a file that parvmc reads, there is one line: no crash, no hang, and nothing goes unnoticed."""

import contextlib
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import fake_result
import fake_run
import h5py
import mutations
import numpy as np
import pytest
from conftest import environment

from parvmc import checkpoint_file, checksum, config, declarations, job, results, verify
from parvmc.lock import Locked
from parvmc.schema import DeckError
from parvmc.starting import starting_parameters

SECONDS = 20  # of CPU time for one file, after which the system ends the process
FILES = 500
REFUSALS = (results.NotAResult, checkpoint_file.Damaged, Locked, job.Refused, DeckError, OSError)


def prepare(folder):
    """Write sound files: a run that was stopped, one that is finished, configurations, and HDF5 files of others."""
    files = fake_run.write(folder)
    fake_result.write(folder / "finished.h5")
    with h5py.File(folder / "positions.h5", "w") as file:
        file["positions"] = np.random.default_rng(4).normal(size=(200, 2, 2))
        file["notes"] = "text of variable length"
    with h5py.File(folder / "foreign.h5", "w", libver="latest") as file:
        file["x"] = np.arange(1000)
        file.attrs["schema"] = "another"
    return files


def plain(value):
    """Return something that compares by value, for what a file holds."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def all_of_a_result(path):
    """Return everything that the reading API offers."""
    with results.open(path) as result:
        names = ["attributes", "title", "status", "deck_text", "deck", "original_deck", "provenance", "optimization"]
        names += ["pretraining", "parameters", "components", "measurements_per_row", "blocking_names", "scalar_names"]
        names += ["observable_names", "reference", "exact_components", "exact_observables"]
        found = {name: getattr(result, name) for name in names}
        series = [*result.components, "energy", "local_energy", "step", "batch"] if result.components else []
        found |= {f"production/{name}": result.series(name) for name in series}
        found |= {f"result/{name}": result.scalar(name) for name in result.scalar_names}
        found |= {f"blocking/{name}": vars(result.blocking(name)) for name in result.blocking_names}
        found |= {f"observables/{name}": vars(result.observable(name)) for name in result.observable_names}
    return plain(found)


def all_of_a_checkpoint(files):
    """Return everything in the newest sound checkpoint."""
    warnings = []
    found = checkpoint_file.read(files, warnings.append)
    assert len(warnings) <= 1
    if warnings:
        raise checkpoint_file.Damaged(warnings[0])  # the one before it is sound
    return plain(found.attributes | found.small | {name: found.blocks(name, 0, 2) for name in found.batched})


def resumed(folder, *arguments):
    """Prepare to go on, as the program does, and return the deck and the counters."""
    given = fake_run.options(folder, "--resume", *arguments)
    if arguments:
        given.deck = None
    deck, original = job.read_deck(given)
    with contextlib.ExitStack() as held:
        prepared = job.prepare(deck, original, given, held, fake_run.SILENT)
        counters = prepared and prepared.checkpoint and prepared.checkpoint.attributes["counters"]
        return plain({"deck": config.dumps(deck), "counters": counters})


def started(path):
    """Return the parameters that a run takes from a result file."""
    deck = config.loads(fake_result.DECK, [f'state.0.initial="{path}"'])
    return plain(dict(enumerate(starting_parameters(config.resolved(deck)))))


def positions(path):
    """Return the configurations that a deck names."""
    overrides = [f'pretrain.reference="{path}"', "pretrain.iterations=1"]
    deck = config.loads(fake_result.DECK, overrides)
    return plain(config.configurations(deck.pretrain.reference, declarations.space(deck.system)))


def readers(folder, files):
    """Return {name of a file: ways to read it}."""

    def verified(path):
        is_sound, line = verify.check(path)
        return line.partition("; it has no checksum")[0] if is_sound else refuse(line)

    def refuse(line):
        raise results.NotAResult(line)

    resume = [lambda: resumed(folder), lambda: resumed(folder, "-o", str(files.result))]
    return {
        "run.h5": [
            lambda: all_of_a_result(files.result),
            lambda: verified(files.result),
            lambda: started(files.result),
            *resume,
        ],
        "finished.h5": [lambda: all_of_a_result(folder / "finished.h5"), lambda: verified(folder / "finished.h5")],
        "run.ckpt.h5": [lambda: all_of_a_checkpoint(files), lambda: verified(files.checkpoint), *resume],
        "run.jsonl": [lambda: verified(files.metrics), *resume],
        "positions.h5": [lambda: positions(folder / "positions.h5")],
    }


def answer(read, expected, has_checksum):
    """Return (what is wrong with what a reader says of a damaged file, or None; whether it refused it)."""
    try:
        found = read()
    except REFUSALS as error:
        text = str(error)
        return (None if text and "\n" not in text and len(text) < 2000 else f"not one line: {text!r}"), True
    except Exception as error:
        return f"{type(error).__name__}: {error}", True
    return ("unnoticed" if has_checksum and found != expected else None), False


def read_all(folder, first, last, checks):
    """Damage and read files in this process and print a line of JSON for each; the number first, should it not survive.

    checks: whether the checksum of result files is looked at; without it only values are damaged, not what HDF5 needs.
    """
    files = prepare(folder)
    files.previous.unlink()
    ways = readers(folder, files)
    sound = {name: (folder / name).read_bytes() for name in [*ways, "foreign.h5"]}
    expected = {name: [read() for read in own] for name, own in ways.items()}
    foreign = [*mutations.FOREIGN, *sound.values()]
    values = fake_result.series("kinetic").tobytes()
    if not checks:
        checksum.check = lambda path, largest=0: False
    for number in range(first, last):
        print(number, flush=True)
        chance = random.Random(f"file {number}")
        name = chance.choice([*ways, "run.h5", "finished.h5", "run.ckpt.h5"]) if checks else "finished.h5"
        contents = chance.choice(foreign) if chance.random() < 0.1 else mutations.damaged(sound[name], chance)
        if not checks:
            at = sound[name].index(values)
            middle = bytearray(values)
            middle[chance.randrange(len(values))] ^= 1 << chance.randrange(8)
            contents = sound[name][:at] + bytes(middle) + sound[name][at + len(values) :]
        for other in ways:
            (folder / other).unlink(missing_ok=True)
            (folder / other).write_bytes(contents if other == name else sound[other])
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # the system ends the process: HDF5 may never give control back
        is_own = contents in sound.values() and contents != sound[name]
        answers = [
            answer(*pair, name.endswith(".h5") and name != "positions.h5" and not is_own)
            for pair in zip(ways[name], expected[name], strict=True)
        ]
        signal.setitimer(signal.ITIMER_PROF, 0)
        wrong = [fault for fault, _ in answers if fault]
        print(
            json.dumps({"number": number, "name": name, "wrong": wrong, "refused": [no for _, no in answers]}),
            flush=True,
        )


def read_in_a_child(folder, first, last, checks="checks"):
    """Return the reports of a process that reads these files; should it crash or hang, the test names the number."""
    line = [sys.executable, __file__, folder, first, last, checks]
    done = subprocess.run(list(map(str, line)), env=environment(), capture_output=True, text=True, timeout=1200)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"file {lines and lines[-1]}: exit {done.returncode}, {done.stderr[-2000:]}"
    return [json.loads(text) for text in lines if text.startswith("{")]


def test_500_damaged_files_are_answered_in_one_line(tmp_path):
    """By the reading API, by verify, and by runs that resume, start from or fit them: what is read is what was written,
    or refused."""
    found = read_in_a_child(tmp_path, 0, FILES)
    assert len(found) == FILES
    assert [report for report in found if report["wrong"]] == []
    for name in ("run.h5", "finished.h5", "run.ckpt.h5"):  # most damage is refused by whoever reads the file itself
        own = [report["refused"][0] for report in found if report["name"] == name]
        assert len(own) > 50
        assert sum(own) > 0.6 * len(own)


def test_without_the_checksum_damage_to_a_result_goes_unnoticed(tmp_path):
    """Control: HDF5 itself finds none of the bits that are flipped in the values of a series."""
    found = read_in_a_child(tmp_path, 0, 20, "no checks")
    assert [report["wrong"] for report in found] == 20 * [["unnoticed"]]  # by the reading API; verify has no word of it


@pytest.mark.parametrize("key", ["state.0.initial", "pretrain.reference"])
def test_a_damaged_file_that_a_deck_names_is_told_in_one_line(parvmc, tmp_path, key):
    """With exit status 2, and nothing is written."""
    prepare(tmp_path)
    damaged = tmp_path / "damaged.h5"
    whole = (tmp_path / ("run.h5" if key == "state.0.initial" else "positions.h5")).read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 4))
    before = sorted(tmp_path.iterdir())
    done = parvmc("run.toml", "-o", "new.h5", f'--set={key}="damaged.h5"', "--set=pretrain.iterations=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"parvmc: {key}: {damaged}: ")
    assert len(done.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


if __name__ == "__main__":
    read_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "checks")
