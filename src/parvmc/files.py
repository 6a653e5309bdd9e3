"""Files of a run: their names, how they are replaced, and a line of JSON per iteration.

A file that must be whole is written aside under a hidden name in the same folder, synced and renamed: whatever carries
the final name is complete, also after kill -9.
"""

import contextlib
import json
import math
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

TAIL = 1 << 16  # bytes that are read for the last line


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

    @property
    def stops(self):
        """Files whose existence stops this run, and all that write into this folder."""
        return self.output.with_name(self.output.stem + ".STOP"), self.output.with_name("STOP")


# ------------------------------------------------------------------------------------------------------ written aside


def alive(pid):
    """Return whether there is such a process on this machine; one that is dead and not yet waited for is not alive."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):  # where there is no /proc it counts as alive
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
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
        if other.name == f".{path.name}.{middle}.tmp" and middle.isdecimal() and not alive(int(middle)):
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


# ------------------------------------------------------------------------------------------------------ lines of JSON


def _json_value(value):
    """Plain Python values; what is not finite becomes null, for which alone JSON has a word."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def iso(seconds, timespec="seconds"):
    """Return a time since 1970 as ISO 8601 with the local zone."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec=timespec)


def json_line(record):
    """Return a dict as a line of JSON, bytes."""
    return json.dumps(_json_value(record)).encode() + b"\n"


def parsed(line):
    """Return the dict that a line of JSON holds; an empty one where it is damaged or holds something else."""
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(line)
        if isinstance(record, dict):
            return record
    return {}


class Metrics:
    """Appends lines of JSON to a file, each out of the program's hands at once; a context manager."""

    def __init__(self, path):
        self._path, self._descriptor = Path(path), None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def append(self, record):
        """Add a line by a single write, so that readers see whole lines; where it fails, nothing of it is left."""
        line = json_line(record)
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        end = os.fstat(self._descriptor).st_size
        if end and os.pread(self._descriptor, 1, end - 1) != b"\n":
            line = b"\n" + line  # the run before died in the middle of a line
        try:
            while line:  # once, but that a full disk takes what still fits
                line = line[os.write(self._descriptor, line) :]
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise

    def records(self):
        """The lines of the file, as dicts; a line that was only half written is left out."""
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as lines:
            yield from filter(None, map(parsed, lines))

    def last(self):
        """Return the last line that is whole as a dict, from the last block of the file alone; {} if there is none."""
        with contextlib.suppress(OSError), open(self._path, "rb") as lines:
            lines.seek(max(0, os.fstat(lines.fileno()).st_size - TAIL))
            return next(filter(None, map(parsed, reversed(lines.read(2 * TAIL).split(b"\n")))), {})
        return {}

    def keep(self, predicate):
        """Drop every line for which predicate(record) is not true: those that a resumed run will write again."""
        self.close()
        if self._path.exists():
            with written_aside(self._path) as temporary, open(temporary, "wb") as kept:
                kept.writelines(json_line(record) for record in self.records() if predicate(record))

    def close(self):
        """Close the file; a further append opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
