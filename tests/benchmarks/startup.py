"""What it takes until the walkers move, of every deck in inputs/: `python tests/benchmarks/startup.py [DECK...]`.

Cold: CPU seconds of `python -m parvmc --warm DECK` with an empty cache of its own, imports included, and how many
kernels it compiles. Warm: CPU seconds of the same once more, and wall seconds from the command of a run to its first
sweep, medians of three. `--ranks N`: wall seconds to the first sweep under mpirun, and CPU seconds of all ranks to the
end of a run of two_electrons.toml that does next to nothing.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--set", "optimizer.iterations=1", "--set", "production.samples=131072", "--set", "sampler.equilibration=20"]
COMPILED = re.compile(r"compilation +(\d+) of \1\b")
REPEATS = 3


def to_first_sweep(launcher, deck, folder, *options, to_the_end=False):
    """Start a run; return wall seconds until its kernels are there. It is killed then, or goes on to the end."""
    command = [*launcher, sys.executable, "-m", "parvmc", str(deck), "--overwrite", "-o", f"{folder}/run.h5", *options]
    started, first = time.monotonic(), None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(folder)) as process:
        for line in process.stdout:
            if first is None and COMPILED.match(line):
                first = time.monotonic() - started
                if not to_the_end:
                    process.kill()
                    break
    if first is None or (to_the_end and process.returncode):
        raise SystemExit(f"the run of {deck} ended with status {process.returncode}")
    return first


def warm(deck, folder):
    """Return (CPU seconds, kernels compiled) of `--warm`."""
    before = _spent()
    command = [sys.executable, "-m", "parvmc", "--warm", str(deck), "--quiet"]
    done = subprocess.run(command, env=_environment(folder), capture_output=True, text=True, check=True)
    return _spent() - before, int(re.search(r"(\d+) compiled", done.stdout).group(1))


def _environment(folder):
    return os.environ | {"PARVMC_CACHE_DIR": f"{folder}/cache"}


def _spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def of_decks(decks):
    """Print a row for each deck, as it is measured."""
    print("| deck | kernels | cold, CPU-s | warm, CPU-s | warm, s to the first sweep |\n|---|---|---|---|---|")
    for deck in decks:
        with tempfile.TemporaryDirectory() as folder:
            cold, kernels = warm(deck, folder)
            found = [warm(deck, folder) for _ in range(REPEATS)]
            if any(compiled for _, compiled in found):
                raise SystemExit(f"{deck}: what was compiled is not found again")
            first = statistics.median(to_first_sweep([], deck, folder) for _ in range(REPEATS))
            again = statistics.median(seconds for seconds, _ in found)
        print(f"| {deck.stem} | {kernels} | {cold:.1f} | {again:.1f} | {first:.1f} |", flush=True)


def of_ranks(ranks):
    """Print a cold and two warm starts under mpirun."""
    launcher = [str(Path(sys.executable).parent / "mpirun"), "-n", str(ranks)]
    deck = ROOT / "inputs" / "two_electrons.toml"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm", "warm"):
            before = _spent()
            first = to_first_sweep(launcher, deck, folder, *SMALL, to_the_end=True)
            print(f"{name}, {ranks} ranks: first sweep after {first:.1f} s, {_spent() - before:.1f} CPU-s in all")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decks", nargs="*", type=Path, metavar="DECK")
    parser.add_argument("--ranks", type=int, metavar="N")
    asked = parser.parse_args()
    if asked.ranks:
        of_ranks(asked.ranks)
    else:
        print("load", *(f"{load:.1f}" for load in os.getloadavg()), "on", os.cpu_count(), "cores")
        of_decks(asked.decks or sorted((ROOT / "inputs").glob("*.toml")))
