"""Where a result comes from: versions, machines and the command, one row per start of the program."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import parvmc
from parvmc import launch

PACKAGES = ("numpy", "numba", "h5py", "mpi4py")


def now():
    """Return the present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe(world):
    """Return {name: text} of this start; called on all ranks, since each names its host and its processor."""
    places = world.gather((platform.node(), _processor()))
    row = {"parvmc": parvmc.__version__, "python": platform.python_version()}
    row |= {name: _version(name) for name in PACKAGES if world.is_root}  # looks through the folder of all packages
    return row | {
        "mpi": world.mpi_library,
        "git_commit": _commit() if world.is_root else "",
        "command": shlex.join(sys.orig_argv),
        "hosts": ", ".join(dict.fromkeys(host for host, _ in places)),
        "processors": ", ".join(dict.fromkeys(processor for _, processor in places)),
        "ranks": str(world.size),
        "start": now(),
        "end": "",
    }


def _version(package):
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _processor():
    fields = {}
    for processor in launch.cpuinfo():
        fields |= processor
    names = [fields[key] for key in ("model name", "cpu family", "model") if key in fields]
    return " ".join(names) or platform.processor() or platform.machine()


def _commit():
    """Return the commit of the sources where they are a checkout, with a + if they were changed."""
    folder = Path(__file__).parent
    if not any((parent / ".git").exists() for parent in folder.parents):
        return ""
    command = ["git", "-C", os.fspath(folder), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    tracked = ["git", "-C", os.fspath(folder), "ls-files", "--error-unmatch", "__init__.py"]
    try:
        # an installed copy below somebody's checkout is not that checkout's code
        subprocess.run(tracked, capture_output=True, timeout=10, check=True)
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
