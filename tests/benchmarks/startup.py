"""Seconds from the command to the first sweep, cold and from the cache: `python tests/benchmarks/startup.py [RANKS]`.

Wall time on whatever else the machine does; CPU time of all ranks to the end of a run that does next to nothing.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--set", "optimizer.iterations=1", "--set", "production.samples=131072", "--set", "sampler.equilibration=20"]


def start(launcher, folder):
    """Run the main deck with next to no work; return (wall seconds to the first sweep, CPU seconds to the end)."""
    deck = ROOT / "inputs" / "two_electrons.toml"
    command = [*launcher, sys.executable, "-m", "parvmc", str(deck), "--overwrite", "-o", f"{folder}/run.h5", *SMALL]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started, first = time.monotonic(), None
    environment = os.environ | {"PARVMC_CACHE_DIR": f"{folder}/cache"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if line.startswith("equilibration") and first is None:
                first = time.monotonic() - started
    if process.returncode or first is None:
        raise SystemExit(f"the run ended with status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return first, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(ranks=0):
    """Print a cold and two warm starts; ranks: under mpirun, 0 without."""
    launcher = [str(Path(sys.executable).parent / "mpirun"), "-n", str(ranks)] if ranks else []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm", "warm"):
            first, spent = start(launcher, folder)
            print(f"{name}, {ranks or 'no'} ranks of mpirun: first sweep after {first:.1f} s, {spent:.1f} CPU-s in all")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
