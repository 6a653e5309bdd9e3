"""The production series: batch means step by step, in bounded memory."""

import numpy as np

MOST_ROWS = 65_536


class Series:
    """Rows float64[local batches, rows, columns]; when full, neighbours are averaged and each row covers twice the
    steps.

    most_rows: an even number; per_row: measurements that a row averages; steps that do not fill a row yet are pending.
    """

    def __init__(self, batches, columns, most_rows=MOST_ROWS):
        """Start empty."""
        self._most = most_rows
        self._rows = np.empty((batches, min(64, most_rows), columns))
        self._used = 0
        self._pending = np.empty((batches, 0, columns))
        self.per_row = 1

    @property
    def rows(self):
        """The rows so far."""
        return self._rows[:, : self._used]

    @property
    def steps(self):
        """Steps that have been added, pending ones included."""
        return self._used * self.per_row + self._pending.shape[1]

    def add(self, block):
        """Add block float64[local batches, steps, columns]."""
        waiting = np.concatenate([self._pending, block], axis=1)
        while True:
            take = min(waiting.shape[1] // self.per_row, self._most - self._used)
            self._append(_averaged(waiting[:, : take * self.per_row], self.per_row))
            waiting = waiting[:, take * self.per_row :]
            if self._used < self._most:
                break
            self._used //= 2
            self._rows[:, : self._used] = _averaged(self._rows, 2)
            self.per_row *= 2
        self._pending = waiting

    def _append(self, new):
        rows = self._used + new.shape[1]
        self._reserve(rows)
        self._rows[:, self._used : rows] = new
        self._used = rows

    def _reserve(self, rows):
        if rows > self._rows.shape[1]:
            larger = np.empty((self._rows.shape[0], min(2 * rows, self._most), self._rows.shape[2]))
            larger[:, : self._used] = self.rows
            self._rows = larger

    def stored(self):
        """Return {name: array with the batches first}, all that a checkpoint needs but `per_row`."""
        return {"series": self.rows, "pending": self._pending}

    def restore(self, series, pending, per_row):
        """Go on from what `stored` gave."""
        self._rows, self._used = series, series.shape[1]
        self._pending, self.per_row = pending, per_row


def _averaged(rows, group):
    whole = rows.shape[1] // group
    return rows[:, : whole * group].reshape(rows.shape[0], whole, group, rows.shape[2]).mean(axis=2)
