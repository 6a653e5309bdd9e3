"""Time limit and checkpoint interval, as two questions: should we stop? is a checkpoint due?"""

import time


class Clock:
    """The wall time of this process, asked on rank 0 wherever a checkpoint may fall.

    limit: seconds that the process may run, None for no limit; interval: seconds between checkpoints; started: the time
    (time.monotonic) at which the limit began to count.
    """

    def __init__(self, limit, interval, started=None):
        """Start counting now, or at `started`."""
        self._started = time.monotonic() if started is None else started
        self._limit = limit
        self._interval = interval
        self._saved = self._asked = time.monotonic()
        self._longest = 0.0
        self._saving = 0.0

    @property
    def elapsed(self):
        """Seconds since the start."""
        return time.monotonic() - self._started

    def should_stop(self):
        """Return whether the next stretch of work and a checkpoint might not fit into the limit any more."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._asked)
        self._asked = now
        reserve = 2.0 * (self._longest + self._saving)
        return self._limit is not None and self.elapsed + reserve >= self._limit

    def checkpoint_due(self):
        """Return whether the interval has passed since the last checkpoint."""
        return time.monotonic() - self._saved >= self._interval

    def saved(self, seconds):
        """Note that a checkpoint has been written, and how long it took."""
        self._saved = self._asked = time.monotonic()
        self._saving = max(self._saving, seconds)
