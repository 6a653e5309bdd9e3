"""Comparing result files, and ending processes that a test has started."""

import contextlib
import os
import signal
from pathlib import Path

import h5py
import numpy as np

TIMES = ("seconds", "sampling_seconds", "slowest_sampling_seconds", "exchange_seconds", "solve_seconds")
NOT_COMPARED = {*(f"optimization/{name}" for name in TIMES), "result/effective_samples_per_core_second"}
"""Times differ from run to run; so does /provenance, which has no datasets."""


def content(path):
    """Return {path: bytes} of all datasets of a result file, but the deck and the times."""
    found = {}

    def collect(name, node):
        if isinstance(node, h5py.Dataset) and name not in NOT_COMPARED and name != "input":
            found[name] = np.asarray(node[()]).tobytes()

    with h5py.File(path, "r") as file:
        file.visititems(collect)
    return found


def assert_same_bits(path, reference):
    """Assert that two result files hold the same datasets, to the bit."""
    found, expected = content(path), content(reference)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert "result/energy" in expected


def descendants(pid):
    """Return the process ids of all children, children's children and so on of a process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def kill(process):
    """End a process that the test started, and all that it started, as a power failure would."""
    for pid in [process.pid, *descendants(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
