"""A result file of 10 GB is looked at by every tool in less than 500 MB."""

import os
import subprocess
import sys
from pathlib import Path

import big_file
import pytest
from conftest import environment

import parvmc

ANALYSIS = Path(__file__).parents[1] / "analysis"
TOOLS = sorted(path.name for path in ANALYSIS.glob("*.py") if "__main__" in path.read_text())
MOST = 500e6  # bytes resident
REFUSED = {"figure2.py": "not a lattice"}  # a trap has no place in it
DRAWS = {"compare.py": ["--extrapolate"]}
PEAK = """\
import atexit, runpy, sys
def peak():
    text = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
    print('peak', int(text.split()[1]) * 1024, file=sys.stderr)
atexit.register(peak)
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""
"""What a process held at most since it was started; ru_maxrss would count what its parent held when it forked."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: peak memory is read from there"),
]


def free(folder):
    """Return the bytes that are free on a folder's disk."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the path of a file of 10 GB, which is deleted afterwards."""
    path = tmp_path_factory.mktemp("big") / "big.h5"
    if free(path.parent) < 12e9:
        pytest.skip("needs 12 GB of disk")
    big_file.write(path)
    assert path.stat().st_size > 9.9e9
    yield path
    path.unlink()


@pytest.fixture(scope="module", params=["finished", "running"])
def big(request, written):
    """Return (path, status) of it, of a finished run at first and then as if that were still in production."""
    if request.param == "running":
        big_file.reopen(written)
    return written, request.param


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_stays_small(tool, big, tmp_path):
    """Of a finished run and of one in progress; the report has what it has to say, and the memory is printed."""
    path, status = big
    words = [sys.executable, "-c", PEAK, str(ANALYSIS / tool), str(path), *DRAWS.get(tool, [])]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path(parvmc.__file__).parents[1])),
        capture_output=True,
        text=True,
        timeout=900,
    )
    *said, last = done.stderr.splitlines()
    peak = int(last.split()[1])
    print(f"{tool} of a {status} run: {peak / 1e6:.0f} MB")
    expected = REFUSED.get(tool)
    if expected:
        assert done.returncode == 1
        assert status == "running" or any(expected in line for line in said)
    else:
        assert done.returncode == 0, done.stderr
    assert peak < MOST
