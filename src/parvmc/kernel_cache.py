"""Compiled kernels on the disk: a file for each kernel, types of arguments and type of processor.

numba's own cache numbers its files and keeps an index of them. Of two jobs that compile at the same time both take the
same number, and afterwards one runs what the other compiled, for other arguments or another processor; a damaged file
or a full disk ends the run. Here a file is named after what it was compiled for and says so inside, has a checksum,
and is compiled anew wherever anything is wrong.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import sys
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

problems = []
"""Texts about what went wrong on this rank, for the user."""

counts = {"compiled": 0, "loaded": 0, "lost": 0}
"""Kernels that this process has compiled, that it has found in the folder, and that could not be kept there."""


@functools.cache
def sources():
    """Return a digest of all sources and of the versions of what compiles them."""
    versions = (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__, np.__version__)
    digest = hashlib.sha256(repr(versions).encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def folder():
    """Return the first place that can be written, or None; what it is not is noted as a problem."""
    asked = os.environ.get("PARVMC_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    homes = [asked, os.environ.get("XDG_CACHE_HOME") or "~/.cache", os.environ.get("TMPDIR"), "/tmp", "/var/tmp"]
    failed = ""
    for home in dict.fromkeys(filter(None, homes)):
        try:
            found = _usable(Path(home).expanduser() / f"parvmc-{os.getuid()}" / sources())
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
            failed = failed or f"{home}: {error}"
            continue
        if failed:
            problems.append(f"compiled kernels are kept in {found}, not where they should be ({failed})")
        return found
    problems.append(f"compiled kernels are not kept, every rank compiles its own ({failed}); set PARVMC_CACHE_DIR")
    return None


def _usable(place):
    """Make a folder, find out that it can be written, and return it."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in (place, place.parent):
        if path.stat().st_uid != os.getuid():  # in /tmp, anybody could have put it there, with code to run
            raise PermissionError(f"{path} belongs to another user")
    if not os.access(place, os.W_OK):
        raise PermissionError(f"{place} cannot be written")
    return place


class KernelCache:
    """Of one kernel: what a dispatcher of numba asks of numba.core.caching.FunctionCache."""

    def __init__(self, function):
        """function: the kernel as Python knows it."""
        self._name = f"{function.__module__}.{function.__qualname__}".removeprefix("parvmc.")

    @property
    def cache_path(self):
        """The folder."""
        return str(folder())

    def load_overload(self, signature, target):
        """Return what was compiled for a signature, None where there is nothing that is sound.

        numba would first load all that it can compile with (`target.refresh`), a seventh of the CPU time of a warm
        start. Code that is compiled already needs the run-time system alone; a kernel that were to hash texts would
        need more, and fail at its first warm start. Compiling refreshes by itself.
        """
        rtsys.initialize(target)
        key = self._key(signature, target)
        if folder() is None:
            return None
        try:
            stored = self._file(key).read_bytes()
        except OSError:
            return None
        checksum, content = stored[:32], stored[32:]
        if hashlib.sha256(content).digest() != checksum:
            return None
        found, compiled = pickle.loads(content)
        if found != key:
            return None
        counts["loaded"] += 1
        return CompileResult._rebuild(target, *compiled)

    def save_overload(self, signature, compiled):
        """Keep what was compiled for a signature; where that fails, note it and go on."""
        counts["compiled"] += 1
        if folder() is None or compiled.library.has_dynamic_globals:  # addresses in this process, as without optimising
            counts["lost"] += 1
            return
        key = self._key(signature, compiled.target_context)
        content = dumps((key, compiled._reduce()))
        path = self._file(key)
        aside = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")
        try:
            aside.write_bytes(hashlib.sha256(content).digest() + content)
            os.replace(aside, path)
        except OSError as error:
            reason = f"a compiled kernel could not be kept in {path.parent} ({error.strerror})"
            counts["lost"] += 1
            problems.append(f"{reason}; the next start compiles it anew")
            with contextlib.suppress(OSError):
                aside.unlink()

    def _key(self, signature, target):
        return self._name, signature, target.codegen().magic_tuple()

    def _file(self, key):
        # repr leaves out in which module a pack is defined; where two share a name the key inside tells
        return folder() / f"{self._name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
