"""Files of a run: their names, how they are replaced, the lock on them, and a line of JSON per iteration.

A file that must be whole is written aside under a hidden name in the same folder, synced and renamed: whatever carries
the final name is complete, also after kill -9.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
import shutil
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

NO_FLOCK = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class Locked(Exception):
    """Another run is writing this output."""


@dataclass(frozen=True)
class Files:
    """Names of the files of the run whose result file is `output`; all lie in one folder."""

    output: Path

    def __post_init__(self):
        object.__setattr__(self, "output", Path(self.output))
        if self.output in (self.checkpoint, self.previous, self.metrics, self.lock):
            raise ValueError(f"{self.output.name} is a name for a file beside the result; end the result's in .h5")

    @property
    def result(self):
        """The result file."""
        return self.output

    @property
    def checkpoint(self):
        """The newest checkpoint."""
        return self.output.with_name(self.output.stem + ".ckpt.h5")

    @property
    def previous(self):
        """The checkpoint before the newest."""
        return self.output.with_name(self.output.stem + ".ckpt.1.h5")

    @property
    def metrics(self):
        """A line of JSON per iteration."""
        return self.output.with_name(self.output.stem + ".jsonl")

    @property
    def lock(self):
        """Exists while a run writes."""
        return self.output.with_name(self.output.stem + ".lock")


# ------------------------------------------------------------------------------------------------------ written aside


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(path):
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems cannot sync a folder; there the names are as safe as they get
            raise
    finally:
        os.close(descriptor)


def _aside(path):
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _remove_leftovers(path):
    """Remove what a killed process left behind. Other machines' processes count too: the lock keeps live ones away."""
    for other in path.parent.iterdir():
        middle = other.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
        if other.name == f".{path.name}.{middle}.tmp" and middle.isdecimal() and not _alive(int(middle)):
            other.unlink(missing_ok=True)


def _second_name(path, other):
    """Make `other` the same file as path, or a copy of it where the file system has no hard links."""
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
        _sync(other)


@contextlib.contextmanager
def written_aside(path, previous=None):
    """The name of a file to write; when the block ends it is synced and renamed to path, on any error it is removed.

    previous: the name that the file which carries path now is kept under. A sound file has one of the two names at
    every moment, also if the present one is damaged and the previous one is what the run was resumed from: therefore
    the new file gets its name first.
    """
    for final in filter(None, (path, previous)):
        _remove_leftovers(final)
    temporary = _aside(path)
    second = _aside(previous) if previous and path.exists() else None
    try:
        yield temporary
        _sync(temporary)
        if second:
            _second_name(path, second)
        os.replace(temporary, path)
        if second:
            os.replace(second, previous)
    except BaseException:
        for name in filter(None, (temporary, second)):
            name.unlink(missing_ok=True)
        raise
    _sync(path.parent)


# ------------------------------------------------------------------------------------------------------ lock, metrics


class Lock:
    """Keeps a second run away from an output, as a context manager; the kernel frees it when the process is killed."""

    def __init__(self, path):
        job = os.environ.get("SLURM_JOB_ID") or os.environ.get("PBS_JOBID") or ""
        start = datetime.now().astimezone().isoformat(timespec="seconds")
        content = {"host": socket.gethostname(), "pid": os.getpid(), "job": job, "start": start}
        self._path, self._content, self._descriptor = Path(path), content, None

    def __enter__(self):
        while self._descriptor is None:
            self._descriptor = self._take()
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, _line(self._content), 0)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        # Removed while still held: whoever opened the file before finds, once it is free, that the name is gone.
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def _take(self):
        """A descriptor of the locked file, or None if the file was removed meanwhile and all starts again."""
        try:
            descriptor, ours = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                descriptor, ours = os.open(self._path, os.O_RDWR), False
            except FileNotFoundError:
                return None
        try:
            if self._held(descriptor, ours):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _held(self, descriptor, ours):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refusal(descriptor) from None
        except OSError as error:
            if error.errno not in NO_FLOCK:
                raise
            # No flock on this file system. Creating the file was atomic, so it is ours if we did; else its writer
            # counts as alive unless it is known to be dead, which can only be seen on its own host.
            holder = self._holder(descriptor)
            if ours:
                return True
            if holder.get("host") != self._content["host"] or _alive(holder["pid"]):
                raise self._refusal(descriptor) from None
            self._path.unlink(missing_ok=True)
            return False
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        return False

    def _holder(self, descriptor):
        with contextlib.suppress(ValueError):
            found = json.loads(os.pread(descriptor, 1 << 16, 0))
            if isinstance(found, dict):
                return found
        return {}  # its writer has not come to writing it yet, or died before

    def _refusal(self, descriptor):
        holder = {"host": "an unknown host", "pid": "unknown", "job": "", "start": ""} | self._holder(descriptor)
        job = f" of job {holder['job']}" if holder["job"] else ""
        since = f", started {holder['start']}" if holder["start"] else ""
        return Locked(
            f"another run is writing this output: process {holder['pid']}{job} on {holder['host']}{since}; wait "
            f"for it, stop it, or choose another --output. If that process is gone for certain, remove {self._path}"
        )


def _json_value(value):
    """Plain Python values; what is not finite becomes null, for which alone JSON has a word."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(record):
    return json.dumps(_json_value(record)).encode() + b"\n"


class Metrics:
    """Appends lines of JSON to a file, each out of the program's hands at once; a context manager."""

    def __init__(self, path):
        self._path, self._file = Path(path), None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def append(self, record):
        """Add a line."""
        if self._file is None:
            self._file = open(self._path, "ab+")  # noqa: SIM115 - open until close()
            if self._file.tell() and os.pread(self._file.fileno(), 1, self._file.tell() - 1) != b"\n":
                self._file.write(b"\n")  # the run before died in the middle of a line
        self._file.write(_line(record))
        self._file.flush()

    def records(self):
        """The lines of the file, as dicts; a line that was only half written is left out."""
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as lines:
            for line in lines:
                with contextlib.suppress(ValueError, RecursionError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        yield record

    def keep(self, predicate):
        """Drop every line for which predicate(record) is not true: those that a resumed run will write again."""
        self.close()
        if self._path.exists():
            with written_aside(self._path) as temporary, open(temporary, "wb") as kept:
                kept.writelines(_line(record) for record in self.records() if predicate(record))

    def close(self):
        """Close the file; a further append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
