"""Runs that tests start, watch and disturb."""

import subprocess
import time

from conftest import TWO_ELECTRONS, command, environment
from files import descendants

DECK = f"""
title = "Long enough to be disturbed"
seed = 5
{TWO_ELECTRONS}hidden = 3

[sampler]
walkers = 512
lanes = 64
equilibration = 60

[optimizer]
iterations = 20

[production]
samples = 16_777_216
"""
"""8 batches; a few seconds on one rank."""


def whole(folder, text=DECK):
    """Write a deck into a folder, run it there and return (deck, result): the run that nothing has disturbed."""
    deck = folder / "long.toml"
    deck.write_text(text)
    subprocess.run(command(deck, "--quiet"), cwd=folder, env=environment(), check=True, timeout=300)
    return deck, folder / "long.h5"


def start(deck, folder, *options, ranks=None, **more):
    """Start a run of a deck in a folder and return its process."""
    arguments = command(deck, *options, ranks=ranks)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(arguments, cwd=folder, env=environment(**more), **pipes)


def wait_for(condition, process, seconds=120):
    """Wait until condition() is true; fail where the process ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(path, phase):
    """Return how many lines of a JSON-lines file tell of a phase."""
    return path.read_text().count(f'"{phase}"') if path.exists() else 0


def started(deck, folder, *options, phase="production", ranks=None, **more):
    """Start a run and return its process when the phase has begun."""
    path = folder / f"{deck.stem}.jsonl"
    before = lines(path, phase)
    process = start(deck, folder, *options, ranks=ranks, **more)
    wait_for(lambda: lines(path, phase) > before, process)
    return process


def ranks_of(process):
    """Return the process ids of the ranks of a run, in the order in which mpirun has started them."""
    found = []
    for pid in sorted(descendants(process.pid)):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:  # gone meanwhile
            continue
        if b"python" in words[0] and b"parvmc" in words:
            found.append(pid)
    return found
