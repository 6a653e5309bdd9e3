"""Time limits and checkpoint interval, as two questions: should we stop? is a checkpoint due?"""

import time


class Clock:
    """The wall time of this process, asked on rank 0 wherever a checkpoint may fall.

    limit: seconds that the process may run, None for no limit; interval: seconds between checkpoints; started: the time
    (time.monotonic) at which the limit began to count; left_of_job: function of one argument, whether to
    ask anew, that returns the seconds until the scheduler ends the job, or None.
    """

    def __init__(self, limit, interval, started=None, left_of_job=lambda fresh: None):
        """Start counting now, or at `started`."""
        self._started = time.monotonic() if started is None else started
        self._limit = None if limit is None else self._started + limit
        self._left_of_job = left_of_job
        self._end_of_job = self._asked_end(fresh=False)
        self._interval = interval
        self._saved = self._asked = time.monotonic()
        self._longest = 0.0
        self._saving = 0.0

    def _asked_end(self, fresh):
        left = self._left_of_job(fresh)
        return None if left is None else time.monotonic() + left

    @property
    def limit(self):
        """Seconds from now to the nearer of the two limits, None without any."""
        ends = [end for end in (self._limit, self._end_of_job) if end is not None]
        return min(ends) - time.monotonic() if ends else None

    def should_stop(self):
        """Return whether the next stretch of work and a checkpoint might not fit into the limits any more."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._asked)
        self._asked = now
        if not self._is_short():
            return False
        self._end_of_job = self._asked_end(fresh=True)  # it may have been extended meanwhile
        return self._is_short()

    def _is_short(self):
        left = self.limit
        return left is not None and left <= 2.0 * (self._longest + self._saving)

    def checkpoint_due(self):
        """Return whether the interval has passed since the last checkpoint."""
        return time.monotonic() - self._saved >= self._interval

    def saved(self, seconds):
        """Note that a checkpoint has been written, or tried, and how long it took."""
        self._saved = self._asked = time.monotonic()
        self._saving = max(self._saving, seconds)
