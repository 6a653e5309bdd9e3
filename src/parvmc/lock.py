"""The lock on an output: it keeps a second run away, and its content tells whoever watches how the run is.

The content is a line of JSON: host, pid, job and start; heartbeat (ISO 8601) and heartbeat_epoch (s since 1970);
within: s after it in which the next heartbeat is promised; and what `Lock.beat` was given.
"""

import contextlib
import errno
import fcntl
import os
import socket
import time
from pathlib import Path

from parvmc.files import alive, iso, json_line, parsed

NO_FLOCK = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
MOST_BYTES = 4096
BEAT_SECONDS = 60.0
LEAST_PROMISE, GAPS_PROMISED = 180.0, 3.0
STARTING_PROMISE = 600.0
"""Seconds promised before the first progress: reading a checkpoint, and compiling on a slow file system."""


class Locked(Exception):
    """Another run is writing this output."""


def read(path):
    """Return what a lock file says, {} if it cannot be read, None if there is no such file."""
    for pause in (0.01, 0.05, None):
        try:
            with open(path, "rb") as file:
                found = parsed(file.readline(MOST_BYTES))  # behind it may be the end of a longer line before
        except FileNotFoundError:
            return None
        except OSError:
            return {}
        if found or pause is None:
            return found
        time.sleep(pause)  # its writer is in the midst of it


class Lock:
    """Keeps a second run away from an output, as a context manager; the kernel frees it when the process is killed."""

    def __init__(self, path):
        job = os.environ.get("SLURM_JOB_ID") or os.environ.get("PBS_JOBID") or ""
        content = {"host": socket.gethostname(), "pid": os.getpid(), "job": job, "start": iso(time.time())}
        self._path, self._content, self._descriptor = Path(path), content, None
        self._last, self._beaten, self._longest = {}, 0.0, 0.0

    def __enter__(self):
        while self._descriptor is None:
            self._descriptor = self._take()
        try:
            self._write({"phase": "start"})
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        # Removed while still held: whoever opened the file before finds, once it is free, that the name is gone.
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def beat(self, record):
        """Tell in the file how the run is; at most once in BEAT_SECONDS, but for a new phase at once.

        record: a dict, of which `phase` must be there. A failure is passed over: no run may end because of this.
        """
        now = time.monotonic()
        if record["phase"] == self._last.get("phase") and now - self._beaten < BEAT_SECONDS:
            return
        if "done" in self._last:  # what it takes to start says nothing of what follows
            self._longest = max(self._longest, now - self._beaten)
        self._last, self._beaten = record, now
        with contextlib.suppress(OSError):
            self._write(record)

    def _write(self, record):
        """Replace the content in place: the lock lies on this very file, so that it cannot be renamed."""
        now = time.time()
        promise = max(LEAST_PROMISE, GAPS_PROMISED * self._longest) if "done" in record else STARTING_PROMISE
        times = {"heartbeat": iso(now), "heartbeat_epoch": round(now, 3), "within": round(promise, 1)}
        line = json_line(self._content | times | record)
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))

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
            if holder.get("host") != self._content["host"] or alive(holder["pid"]):
                raise self._refusal(descriptor) from None
            self._path.unlink(missing_ok=True)
            return False
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        return False

    def _holder(self, descriptor):
        return parsed(os.pread(descriptor, MOST_BYTES, 0).partition(b"\n")[0])  # {}: its writer has not come to it yet

    def _refusal(self, descriptor):
        holder = {"host": "an unknown host", "pid": "unknown", "job": "", "start": ""} | self._holder(descriptor)
        job = f" of job {holder['job']}" if holder["job"] else ""
        since = f", started {holder['start']}" if holder["start"] else ""
        return Locked(
            f"another run is writing this output: process {holder['pid']}{job} on {holder['host']}{since}; wait "
            f"for it, stop it, or choose another --output. If that process is gone for certain, remove {self._path}"
        )
