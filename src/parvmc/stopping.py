"""What a run is told from outside: to stop, by a signal on any rank, a file or a time limit; to save, by the clock."""

import contextlib
import os
import signal
import time

import numpy as np

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
GO_ON, TIME_LIMIT, STOP_FILE, SIGNALLED = 0, 1, 2, 128  # a signal n is SIGNALLED + n, as in a shell's exit status
SECONDS_BETWEEN_LOOKS = 0.5  # for a STOP file, on a file system that may be far away


class Signals:
    """Signals that would end this process are noted instead; a context manager.

    A scheduler may send the same one many times. A second SIGINT ends the process at once, also inside a kernel: it is
    the kernel of the operating system that does it.
    """

    def __init__(self):
        self.received = 0
        self.speaks = False
        self._before = {}

    def __enter__(self):
        self._before = {number: signal.getsignal(number) for number in STOPPING}
        self.listen()
        return self

    def listen(self):
        """Note the signals from here on; once more after the start of MPI, whose libraries take some for themselves."""
        for number in STOPPING:
            signal.signal(number, self._note)
        if self._before[signal.SIGHUP] == signal.SIG_IGN:  # nohup: to outlive the terminal is what is asked
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        first, self.received = not self.received, self.received or number
        once_more = ""
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            once_more = "; once more ends it at once"
        if first and self.speaks:  # not by print, which may have been interrupted by this very signal
            below = "\n" if os.isatty(2) else ""  # the line that is there belongs to the run's progress
            with contextlib.suppress(OSError):  # the terminal may be gone
                os.write(2, f"{below}parvmc: {signal.Signals(number).name}: saving and stopping{once_more}\n".encode())


class Orders:
    """Why this run is to stop, if it is, and whether it is to save; asked on all ranks where a checkpoint may fall.

    signals: this process's; clock: rank 0's `Clock`; stop_files: on rank 0 the paths whose existence stops the run.
    """

    def __init__(self, signals, clock, stop_files=()):
        self.clock = clock
        self._signals, self._stop_files = signals, stop_files
        self._looked = -SECONDS_BETWEEN_LOOKS

    def agreed(self, world):
        """Return (why to stop, whether a checkpoint is due), the same on all ranks, in one reduction.

        Why is GO_ON where there is nothing to stop for; of several reasons the one with the highest number.
        """
        own = np.array([self._own(world), world.is_root and self.clock.checkpoint_due()], np.float64)
        why, due = world.largest(own)
        return int(why), bool(due)

    def _own(self, world):
        limit = world.is_root and self.clock.should_stop()  # asked each time: it measures what lies between
        if self._signals.received:
            return SIGNALLED + self._signals.received
        if self._stop_file():
            return STOP_FILE
        return TIME_LIMIT if limit else GO_ON

    def _stop_file(self):
        now = time.monotonic()
        if not self._stop_files or now - self._looked < SECONDS_BETWEEN_LOOKS:
            return False
        self._looked = now
        return any(path.exists() for path in self._stop_files)

    def reason(self, why):
        """Return why in words, to follow "stopped"."""
        if why > SIGNALLED:
            return f"by {signal.Signals(why - SIGNALLED).name}"
        if why == STOP_FILE:
            found = " and ".join(str(path) for path in self._stop_files if path.exists())
            return f"by the file {found or 'STOP'}, which is to be removed first"
        return "before the time limit"
