"""Compiled kernels on the disk: found again, never mistaken for others, and no reason for a run to end."""

import os
import platform
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from conftest import environment
from numba.core.caching import IndexDataCacheFile

from parvmc import kernel_cache
from parvmc.dispatch import kernel
from parvmc.kernel_cache import KernelCache

TINY = """
import sys, time
from pathlib import Path

import numpy as np

from parvmc import kernel_cache
from parvmc.dispatch import kernel


@kernel
def total(values):
    found = 0.0
    for value in values:
        found += value * value
    return found


kind, meet = sys.argv[1:]
save = kernel_cache.KernelCache.save_overload


def save_with_the_other(*arguments):
    Path(meet, kind).touch()
    while len(list(Path(meet).iterdir())) < 2:
        time.sleep(0.001)
    save(*arguments)


if meet:
    kernel_cache.KernelCache.save_overload = save_with_the_other
print(total(np.arange(4).astype(kind.partition("-")[0])))
print(sum(total.stats.cache_misses.values()), sum(total.stats.cache_hits.values()))
print(*kernel_cache.problems, sep="\\n")
"""
COMPILED, LOADED = "1 0", "0 1"


@pytest.fixture
def tiny(tmp_path):
    """Return a function that starts a process with one small kernel, and its results: (sum, how, problems)."""
    script, cache = tmp_path / "tiny.py", tmp_path / "cache"
    script.write_text(TINY)

    def start(kind="float64", meet="", before=(), limit=None, **more):
        return subprocess.Popen(
            [*before, sys.executable, script, kind, str(meet)],
            env=environment(**{"PARVMC_CACHE_DIR": str(cache)} | more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
        )

    def results(process):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        value, how, *problems = out.splitlines()
        assert value == "14.0"
        return how, "\n".join(problems)

    start.cache, start.results = cache, results
    start.now = lambda *arguments, **more: results(start(*arguments, **more))
    return start


def files(folder):
    """Return {name: bytes} of the files below a folder."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_second_process_loads_what_the_first_compiled(tiny):
    """One file for each type of argument, nothing else; problems are none."""
    assert tiny.now() == (COMPILED, "")
    assert tiny.now() == (LOADED, "")
    assert tiny.now("float32") == (COMPILED, "")
    assert len(files(tiny.cache)) == 2
    assert {name.rpartition(".")[2] for name in files(tiny.cache)} == {"nbc"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names a processor of this kind")
def test_processors_of_two_types_share_a_folder(tiny):
    """Each loads its own; a file that carries the other's name is not taken."""
    old = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2"}
    assert tiny.now() == (COMPILED, "")
    assert tiny.now(**old) == (COMPILED, "")
    assert tiny.now() == tiny.now(**old) == (LOADED, "")
    first, second = sorted(path for path in tiny.cache.rglob("*.nbc"))
    contents = first.read_bytes(), second.read_bytes()
    assert contents[0] != contents[1]
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    assert tiny.now() == tiny.now(**old) == (COMPILED, "")
    assert tiny.now() == tiny.now(**old) == (LOADED, "")


@pytest.mark.parametrize("kinds", [("float64-a", "float64-b"), ("float64", "float32")])
def test_two_jobs_that_compile_at_once_are_both_right(tiny, tmp_path, kinds):
    """The same kernel, or one for different arguments, saved when both have compiled: each loads its own
    afterwards."""
    meet = tmp_path / "meet"
    meet.mkdir()
    both = [tiny(kind, meet) for kind in kinds]
    assert [tiny.results(process) for process in both] == 2 * [(COMPILED, "")]
    assert len(files(tiny.cache)) == len({kind.partition("-")[0] for kind in kinds})
    assert [tiny.now(kind) for kind in kinds] == 2 * [(LOADED, "")]


def test_numbas_own_cache_mixes_up_two_jobs(tmp_path):
    """The control, and the reason for ours: two that looked at the index before either wrote take the same number."""
    ours, theirs = (IndexDataCacheFile(str(tmp_path), "total", "stamp") for _ in range(2))
    theirs._load_index = dict  # as it was when the other job looked
    save_data = ours._save_data

    def save_late(name, data):
        theirs.save("for float32", "code for float32")
        save_data(name, data)

    ours._save_data = save_late
    ours.save("for float64", "code for float64")
    assert IndexDataCacheFile(str(tmp_path), "total", "stamp").load("for float32") == "code for float64"


# --- damage, full disks, folders that cannot be written ---------------------------------------------------------------


def test_a_damaged_file_is_compiled_anew(tiny):
    """Cut, emptied, or with one bit turned: the process is right, and leaves a file that is sound."""
    assert tiny.now() == (COMPILED, "")
    (path,) = tiny.cache.rglob("*.nbc")
    whole = path.read_bytes()
    turned = bytearray(whole)
    turned[len(whole) // 2] ^= 1
    for damaged in (b"", whole[: len(whole) // 2], bytes(turned)):
        path.write_bytes(damaged)
        assert tiny.now() == (COMPILED, "")
        assert tiny.now() == (LOADED, "")


def test_no_damage_whatever_is_loaded(tmp_path, monkeypatch):
    """300 random cuts and turned bits, looked at without running them; the control is the file as it was."""
    monkeypatch.setattr(kernel_cache, "folder", lambda: tmp_path)
    add = kernel(_add)
    assert add(1, 2) == 3
    (signature,) = add.signatures
    (path,) = tmp_path.glob("*.nbc")
    whole = path.read_bytes()
    generator = random.Random(1)
    cache = KernelCache(_add)
    for _ in range(300):
        damaged = bytearray(whole)
        if generator.random() < 0.5:
            del damaged[generator.randrange(len(whole)) :]
        else:
            damaged[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        assert cache.load_overload(_of(signature), add.targetctx) is None
    path.write_bytes(whole)
    assert cache.load_overload(_of(signature), add.targetctx) is not None


def _add(a, b):
    return a + b


def _of(signature):
    return numba.core.typing.signature(None, *signature).args


def test_a_full_disk_costs_the_cache_and_nothing_else(tiny):
    """No file may grow beyond 1,000 bytes: the kernel runs, the problem is named, nothing half-written is left."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    how, problem = tiny.now(limit=limit)
    assert how == COMPILED
    assert "could not be kept" in problem
    assert "File too large" in problem
    assert files(tiny.cache) == {}
    assert tiny.now() == (COMPILED, "")


def without_rights():
    """Return the start of a command line that takes the right to write anywhere from root, who else would keep it."""
    if os.getuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write anywhere, and there is no setpriv to take that away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_a_read_only_home_sends_kernels_to_the_temporary_folder(tiny, tmp_path):
    """And says so; with an own folder that is read-only it is the home's."""
    home, locked, temporary = tmp_path / "home", tmp_path / "locked", tmp_path / "temporary"
    for folder in (home, locked, temporary):
        folder.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": "", "TMPDIR": str(temporary)}
    locked.chmod(0o555)
    how, problem = tiny.now(before=without_rights(), PARVMC_CACHE_DIR=str(locked), **places)
    assert how == COMPILED
    assert "kept in " + str(home / ".cache") in problem
    assert str(locked) in problem
    shutil.rmtree(home / ".cache")
    home.chmod(0o555)
    how, problem = tiny.now(before=without_rights(), PARVMC_CACHE_DIR="", NUMBA_CACHE_DIR="", **places)
    assert how == COMPILED
    assert f"kept in {temporary}" in problem
    assert "~/.cache" in problem
    assert len(files(temporary)) == 1
    assert files(home) == files(locked) == {}


def test_a_folder_of_somebody_else_is_not_trusted(monkeypatch, tmp_path):
    """What lies in a folder that all can write, such as /tmp, may be anybody's code."""
    kernel_cache.folder.cache_clear()
    monkeypatch.setattr(kernel_cache, "problems", [])
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    monkeypatch.setenv("PARVMC_CACHE_DIR", str(theirs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(ours))
    stat = Path.stat

    def owned(path, **options):
        found = stat(path, **options)
        if theirs in path.parents:
            fields = list(found)
            fields[4] += 1
            return os.stat_result(fields)
        return found

    monkeypatch.setattr(Path, "stat", owned)
    try:
        assert ours in kernel_cache.folder().parents
    finally:
        kernel_cache.folder.cache_clear()
    assert "belongs to another user" in kernel_cache.problems[0]


def test_without_any_folder_kernels_are_compiled_and_the_user_is_told(monkeypatch):
    """Nothing can be written anywhere: every process compiles for itself."""
    kernel_cache.folder.cache_clear()
    monkeypatch.setattr(kernel_cache, "problems", [])
    monkeypatch.setattr(kernel_cache, "_usable", _refuse)
    try:
        assert kernel(_add)(1, 2) == 3
    finally:
        kernel_cache.folder.cache_clear()
    assert len(kernel_cache.problems) == 1
    assert "every rank compiles its own" in kernel_cache.problems[0]


def _refuse(place):
    raise PermissionError(f"{place} cannot be written")
