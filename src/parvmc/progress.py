"""What rank 0 prints: plain lines, or lines of JSON, while the run goes on, and one line at the end."""

import sys
import time

from parvmc.files import iso, json_line
from parvmc.results import reference_label, with_error

SECONDS_IN_LOG = 30.0
SECONDS_ON_TERMINAL = 2.0

WORDS = {"warning": "warning", "error": "failed"}


def as_text(level, event, message, fields):
    """Print the message as it is, warnings and errors on stderr."""
    if level == "info":
        print(message, flush=True)
    else:
        print(f"parvmc: {WORDS[level]}: {message}", file=sys.stderr, flush=True)


def as_json(level, event, message, fields):
    """Print a line of JSON: time, level, event, message and the fields, on the stream that has the text otherwise."""
    line = json_line(
        {"time": iso(time.time(), "milliseconds"), "level": level, "event": event, "message": message} | fields
    )
    print(line.decode(), end="", file=sys.stdout if level == "info" else sys.stderr, flush=True)


FORMATS = {"text": as_text, "json": as_json}


def done(report):
    """Return how much of its phase is done, in the phase's own units, those of `of`."""
    return report.get("iteration", report.get("step", report.get("sweep", 0)))


class Pace:
    """How long the rest of a phase will take, from how long it took since its first report."""

    def __init__(self):
        self._phase, self._began, self._first = None, 0.0, 0

    def seconds_left(self, report):
        """Return the seconds from this report to the end of its phase, None where that cannot be known yet."""
        now, count = time.monotonic(), done(report)
        if report["phase"] != self._phase:
            self._phase, self._began, self._first = report["phase"], now, count
        if not self._first < count < report["of"]:
            return None
        return (report["of"] - count) * (now - self._began) / (count - self._first)


class Progress:
    """Prints a line per so many seconds, and the first and the last of each phase; silent on the other ranks.

    Every line has an event's name and fields, numbers and texts, which a log in JSON shows.
    """

    def __init__(self, speaks, quiet, form="text"):
        """speaks: whether this rank prints; quiet: print nothing but the end and warnings; form: text or json."""
        self._speaks = speaks
        self._quiet = quiet
        self._print = FORMATS[form]
        self._phase = None
        self._printed = 0.0
        self._pace = Pace()
        self._interval = SECONDS_ON_TERMINAL if sys.stdout.isatty() else SECONDS_IN_LOG

    def say(self, text, event="note", **fields):
        """Print a line of the run's story."""
        if self._speaks and not self._quiet:
            self._print("info", event, text, fields)

    def conclude(self, text, event="end", **fields):
        """Print a line that --quiet does not hide."""
        if self._speaks:
            self._print("info", event, text, fields)

    def warn(self, text, event="warning", **fields):
        """Print a warning on stderr."""
        if self._speaks:
            self._print("warning", event, text, fields)

    def fail(self, text, event="failed", **fields):
        """Print on stderr why the run cannot go on."""
        if self._speaks:
            self._print("error", event, text, fields)

    def report(self, line):
        """Print a stage's report if its phase is new, it is the phase's last, a step was taken back, or the last line
        is long ago."""
        if not self._speaks or self._quiet:
            return
        now, left = time.monotonic(), self._pace.seconds_left(line)
        expected = line["phase"] == self._phase and done(line) < line["of"] and not line.get("shrunk", 0)
        if expected and now - self._printed < self._interval:
            return
        self._phase, self._printed = line["phase"], now
        fields = {name: value for name, value in line.items() if name != "keep"}
        self._print("info", "progress", told(line, left), fields | ({} if left is None else {"seconds_left": left}))


def told(report, left):
    """Return a stage's report as a line of text; left: seconds to the end of the phase, or None."""
    text = f"{report['phase']:<13} {done(report):>7} of {report['of']}"
    if "log_likelihood" in report:
        text += f"   ln L = {report['log_likelihood']:.4f}"
    if "divergence" in report:
        text += f", {report['divergence']:.1e} below the ideal gas's"
    if "energy" in report:
        text += f"   E = {with_error(report['energy'], report['energy_error'])}"
    if "variance" in report:
        text += f"   variance {report['variance']:.2e}"
    if "acceptance" in report:
        text += f"   acceptance {report['acceptance']:.2f}"
    if report.get("shrunk", 0):
        text += f"   the last step did harm and is taken back ({report['shrunk']:.0f} in a row)"
    if "seconds" in report:
        text += f"   {1e3 * report['seconds']:.0f} ms"
    if left is not None:
        text += f"   {left:.0f} s left of this part"
    return text


def summary(values, speed, core_hours):
    """Return the one line that a physicist and an administrator can use, digits cut at the error.

    speed: moves per core-second of this start's production, None where there was none; core_hours: of all starts.
    """
    parts = [
        f"E = {with_error(values['energy'], values['energy_error'])}",
        f"variance {values['variance']:.1e}",
    ]
    if values["variance_estimator"] != values["variance"]:
        parts.append(f"of the estimator {values['variance_estimator']:.1e}")
    parts += [f"tau {values['autocorrelation_time']:.1f}", f"R-hat {values['r_hat']:.4f}"]
    if "reference" in values:
        source = values["reference_source"]
        label = reference_label(source)
        parts.append(f"{label} {values['reference']:.10g}" + (f" ({source})" if source != "exact" else ""))
    parts += [f"{speed / 1e6:.0f} M moves/core-s"] if speed else []
    parts.append(f"{core_hours:.2g} core-h")
    return "   ".join(parts)
