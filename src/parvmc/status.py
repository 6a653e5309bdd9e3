"""How runs are, seen from another shell or machine: `python -m parvmc.status FILE...`. Imports neither MPI nor kernels.

What is read: the content of the lock, the last line of the JSON-lines file and the result file as it was last renamed.
Nothing is written or locked, so that no run is disturbed. The clocks of the machines must agree to a minute.
"""

import argparse
import contextlib
import itertools
import math
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from parvmc import lock, results
from parvmc.files import Files, Metrics, alive, iso, json_line
from parvmc.pace import Left, done, span
from parvmc.printing import end_when_unread

ENDED = ("stopped", "finished", "failed")
WRONG = ("lost", "failed", "unreadable")
BESIDE = (".ckpt.1.h5", ".ckpt.h5", ".jsonl", ".lock")
LOOKS = 5


@dataclass(frozen=True)
class Status:
    """What is known of one run; None, or "" for a text, is what is not.

    state: running, stopped, finished, failed, lost (it says that it is running, but is not), waiting (nothing is there)
    or unreadable; reason: why the state is one of those that are wrong; done, of: progress in the phase, in its own
    units; heartbeat_age, checkpoint_age: s; seconds_left, seconds_left_of_run: s to the end of the phase, of the run.
    """

    file: str
    state: str
    reason: str = ""
    phase: str = ""
    done: float | None = None
    of: float | None = None
    energy: float | None = None
    energy_error: float | None = None
    heartbeat: str = ""
    heartbeat_age: float | None = None
    seconds_left: float | None = None
    seconds_left_of_run: float | None = None
    checkpoint_age: float | None = None
    host: str = ""
    pid: float | None = None
    job: str = ""
    ranks: float | None = None
    start: str = ""

    @property
    def line(self):
        """The same for people."""
        parts = [f"{self.state} ({self.reason})" if self.reason else self.state]
        if self.phase:
            parts.append(self.phase if self.of is None else f"{self.phase} {self.done or 0:.0f} of {self.of:.0f}")
        if self.energy is not None:
            parts.append(f"E = {results.with_error(self.energy, self.energy_error)}")
        if self.heartbeat_age is not None:
            parts.append(f"heartbeat {span(self.heartbeat_age)} ago")
        if self.host:
            where = self.host if self.pid is None else f"{self.host}:{self.pid:.0f}"
            parts.append(where + (f" job {self.job}" if self.job else ""))
        if left := Left(None, self.seconds_left, self.seconds_left_of_run).text:
            parts.append(left)
        if self.checkpoint_age is not None:
            parts.append(f"checkpoint {span(self.checkpoint_age)} ago")
        return "   ".join(parts)


def look(path):
    """Return the Status of the run whose result file is, or will be, `path`."""
    try:
        if path.is_dir():
            return Status(str(path), "unreadable", "a folder without any run")
        files = Files(path)
        for _ in range(LOOKS):
            held = lock.read(files.lock)  # first: a run writes its last result before it removes its lock
            found = _judge(files, held)
            if found.state != "lost" or lock.read(files.lock) == held:
                break  # else it has ended, or another has begun, while we looked
    except OSError as error:
        return Status(str(path), "unreadable", error.strerror or str(error))
    return found


def _judge(files, held):
    """Return the Status, given the content of the lock or None."""
    state, reason, known = _result(files)
    if held is not None:
        known |= _texts(held, "host", "job", "start", "heartbeat") | _numbers(held, "pid", "ranks")
        known["heartbeat_age"] = _age(files.lock, held.get("heartbeat_epoch"))
        death = _death(held, known["heartbeat_age"])
        if death and state in ENDED and _modified(files.result) >= _began(held):
            death = None  # killed after its last word
        else:
            state, reason = ("lost", death) if death else ("running", "")
    elif state == "running":
        state, reason = "lost", "it says that it is running, but its lock is gone"
    elif state == "waiting" and (files.metrics.exists() or files.checkpoint.exists()):
        state, reason = "lost", "it has begun, but neither its lock nor a result is there"
    if state != "finished":
        known |= _progress(files, held or {})
    if state == "running" and held.get("phase") == known.get("phase"):
        known["seconds_left"] = _seconds_left(files, held, known)
        if _is_number(held.get("seconds_left_of_run")):
            known["seconds_left_of_run"] = max(0.0, held["seconds_left_of_run"] - known["heartbeat_age"])
    if files.checkpoint.exists():
        known["checkpoint_age"] = _age(files.checkpoint)
    return Status(str(files.result), state, reason, **known)


def _result(files):
    """Return (state, reason, numbers) as the result file alone has them."""
    if not files.result.exists() or files.result.is_dir():  # a folder stands for the runs that will be in it
        return "waiting", "", {}
    try:
        with results.open(files.result) as result:
            state = result.status
            final = {name: result.scalar(name) for name in ("energy", "energy_error") if name in result.scalar_names}
    except (results.NotAResult, OSError, KeyError) as error:
        return "unreadable", str(error).removeprefix(f"{files.result}: "), {}
    if not (isinstance(state, str) and state in ("running", *ENDED)):
        return "unreadable", f"its status is {state!r}", {}
    return state, "", _numbers(final, *final)


def _death(held, age):
    """Return why the run that wrote a lock cannot be alive, "" if it can."""
    pid = held.get("pid")
    if held.get("host") == socket.gethostname() and isinstance(pid, int) and pid > 0 and not alive(pid):
        return f"process {pid} is gone"
    within = held["within"] if _is_number(held.get("within")) else lock.LEAST_PROMISE
    if age > within:
        return f"no heartbeat for {span(age)}, within {span(within)} it was promised"
    return ""


def _began(held):
    """Return when the run began, in s since 1970; infinity if the lock does not say so."""
    try:
        return datetime.fromisoformat(held["start"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return math.inf


def _progress(files, held):
    """Return where the run is: what the lock says, or the JSON-lines file if that was written later."""
    newest = Metrics(files.metrics).last()
    if newest and (not held or _modified(files.metrics) > _modified(files.lock)):
        held = newest | {"done": done(newest)}
    return _texts(held, "phase") | _numbers(held, "done", "of", "energy", "energy_error")


def _seconds_left(files, held, known):
    """Return the seconds to the end of the phase as the lock says, or by how far the run has come since, or None."""
    if _is_number(held.get("seconds_left")):
        return max(0.0, held["seconds_left"] - known["heartbeat_age"])
    ago, now = (_numbers(record, "done", "of") for record in (held, known))
    seconds = _modified(files.metrics) - _modified(files.lock)
    if len(ago) < 2 or len(now) < 2 or ago["done"] >= now["done"] or seconds <= 0.0:
        return None
    return max(0.0, (now["of"] - now["done"]) * seconds / (now["done"] - ago["done"]))


def _modified(path):
    """Return when a file was written, in s since 1970; 0 if it is gone meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_mtime
    return 0.0


def _age(path, written=None):
    """Return the seconds since a file was written; written: when, if it says so itself."""
    return max(0.0, time.time() - (written if _is_number(written) else _modified(path)))


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(record, *names):
    return {name: record[name] for name in names if _is_number(record.get(name))}


def _texts(record, *names):
    return {name: record[name] for name in names if isinstance(record.get(name), str)}


def runs(path):
    """Return the result files that a name means: its own, that of a file beside it, or those of all runs in a
    folder."""
    with contextlib.suppress(OSError):  # look() will find the same and say so
        if path.is_dir():
            entries = {_result_of(entry) for entry in path.iterdir() if entry.name.endswith((".h5", ".lock"))}
            return sorted(filter(_is_run, entries)) or [path]
    return [_result_of(path)]


def _result_of(path):
    for end in BESIDE:
        if path.name.endswith(end):
            return path.with_name(path.name.removesuffix(end) + ".h5")
    return path


def _is_run(result):
    """Return whether there are signs of a run; any HDF5 file may lie in a folder."""
    files = Files(result)
    signs = any(path.exists() for path in (files.lock, files.metrics, files.checkpoint))
    return signs or _result(files)[0] in ("running", *ENDED)


def report(names):
    """Return the Status of every run that the names mean, each once, in their order."""
    return [look(path) for path in dict.fromkeys(itertools.chain(*map(runs, names)))]


def command_line():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m parvmc.status",
        description="How runs are: a line for each, from any machine that sees their files.",
        epilog="Exit status: 0 all run, wait, were stopped or have finished; 1 one is lost, has failed or cannot be "
        "read; 2 the command line is wrong.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="result files, or folders with runs")
    parser.add_argument("--watch", type=_seconds, metavar="SECONDS", help="look again and again until all have ended")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each")
    return parser


def _seconds(text):
    seconds = float(text)
    if not 0.0 < seconds < math.inf:
        raise ValueError
    return seconds


def main(arguments=None):
    """Print how the runs are and return the exit status."""
    options = command_line().parse_args(arguments)
    while True:
        found, now = report(options.files), iso(time.time())
        if options.json:
            lines = [json_line({"time": now} | asdict(status)).decode().rstrip() for status in found]
        else:
            width = max(len(status.file) for status in found)
            lines = [f"{status.file:<{width}}  {status.line}" for status in found]
            lines[:0] = [now] if options.watch else []
        print("\n".join(lines), flush=True)
        if options.watch is None or not any(status.state in ("running", "waiting") for status in found):
            return int(any(status.state in WRONG for status in found))
        time.sleep(options.watch)


if __name__ == "__main__":
    end_when_unread()
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
