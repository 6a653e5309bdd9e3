"""Peak memory of runs; as a script, the program itself with the peak of each rank printed at the end."""

import re
import subprocess
import sys
from pathlib import Path

from conftest import MPIRUN, environment

MARK = "peak memory"


def peaks(folder, *arguments, ranks=None):
    """Run the program in a folder to its end and return the peak of each rank's resident memory in bytes."""
    launcher = [] if ranks is None else [MPIRUN, "-n", str(ranks)]
    command = [*launcher, sys.executable, __file__, *map(str, arguments), "--overwrite"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(rf"{MARK} of rank (\d+): (\d+) kB", done.stdout))
    return [1024 * int(found[str(rank)]) for rank in range(ranks or 1)]


def _told(arguments):
    from parvmc.__main__ import main
    from parvmc.parallel import World

    status = main(arguments)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1)
    print(f"{MARK} of rank {World.start().rank}: {peak} kB", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(_told(sys.argv[1:]))
