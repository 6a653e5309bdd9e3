"""Runs that tell which kernels they compile and load, and when; as a script, the program itself with that told at the
end."""

import json
import subprocess
import sys
from typing import NamedTuple

from conftest import environment

MARK = "kernels: "


class Counts(NamedTuple):
    """Kernels compiled and loaded by the stage that is there for it, and whatever was compiled or loaded later."""

    compiled: int
    loaded: int
    late: int


def run(folder, *arguments, **more):
    """Run the program in a folder and return (completed process, Counts)."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=300,
    )
    told = [line.removeprefix(MARK) for line in done.stderr.splitlines() if line.startswith(MARK)]
    assert len(told) == 1, done.stderr
    return done, Counts(*json.loads(told[0]))


def _told(arguments):
    """Run the program in this process and print the counts."""
    from numba.core import event

    from parvmc import kernel_cache, run
    from parvmc.__main__ import main

    found, compile_kernels = {}, run.compile_kernels

    def watched(simulation):
        yield from compile_kernels(simulation)
        found.update(kernel_cache.counts, events=len(recorder.buffer))

    run.compile_kernels = watched
    with event.install_recorder("numba:compile") as recorder:  # row functions too, should Python call one itself
        status = main(arguments)
    late = sum(kernel_cache.counts.values()) + len(recorder.buffer) - sum(found.values())
    print(MARK + json.dumps([found["compiled"], found["loaded"], late]), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(_told(sys.argv[1:]))
