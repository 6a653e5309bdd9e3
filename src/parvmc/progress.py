"""What rank 0 prints: a live line on terminals, else plain lines or lines of JSON, and one line at the end."""

import contextlib
import sys
import time
from typing import NamedTuple

from parvmc.files import iso, json_line
from parvmc.pace import Pace, done, span
from parvmc.printing import drop, print_or_drop
from parvmc.results import reference_label, with_error

SECONDS_IN_LOG = 30.0
SECONDS_ON_TERMINAL = 2.0  # without a live line
SECONDS_ON_LIVE_LINE = 0.1

WORDS = {"warning": "warning", "error": "failed"}


def as_text(level, event, message, fields):
    """Print the message as it is, warnings and errors on stderr."""
    if level == "info":
        print_or_drop(message)
    else:
        print_or_drop(f"parvmc: {WORDS[level]}: {message}", sys.stderr)


def as_json(level, event, message, fields):
    """Print a line of JSON: time, level, event, message and the fields, on the stream that has the text otherwise."""
    line = json_line(
        {"time": iso(time.time(), "milliseconds"), "level": level, "event": event, "message": message} | fields
    )
    print_or_drop(line.decode().rstrip("\n"), sys.stdout if level == "info" else sys.stderr)


FORMATS = {"text": as_text, "json": as_json}


class LiveLine:
    """A line at the bottom of a terminal that each report is written over; no terminal, or no rich: there is none."""

    def __init__(self, stream):
        self._stream = stream
        self._console = self._live = None
        if stream.isatty():  # asked here: variables can make rich take a pipe for a terminal
            with contextlib.suppress(ImportError):
                from rich.console import Console

                console = Console(file=stream)
                self._console = None if console.is_dumb_terminal or not console.is_terminal else console

    def __bool__(self):
        return self._console is not None

    def show(self, text):
        """Write the text over the line, cut at the terminal's width; a terminal that is gone is not an error."""
        try:
            self._show(text)
        except OSError:
            drop(self._stream)
            self._console = self._live = None

    def _show(self, text):
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            # no thread, which would go on while a kernel runs; the other lines are printed after clear()
            passive = {"auto_refresh": False, "redirect_stdout": False, "redirect_stderr": False}
            self._live = Live(console=self._console, transient=True, **passive)
            self._live.start()
            self._console.show_cursor(True)  # a run that is killed could not bring it back
        self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def clear(self):
        """Erase the line."""
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.stop()
            self._live = None


class Progress:
    """Prints what goes on on rank 0; silent on the other ranks.

    Every line has an event's name and fields, numbers and texts, which a log in JSON shows.
    """

    def __init__(self, speaks, quiet, form="text"):
        """speaks: whether this rank prints; quiet: print nothing but the end and warnings; form: text or json."""
        self.pace = Pace()
        self._speaks = speaks
        self._quiet = quiet
        self._form = FORMATS[form]
        self._phase = None
        self._printed = self._shown = 0.0
        self._between = SECONDS_ON_TERMINAL if sys.stdout.isatty() else SECONDS_IN_LOG
        self._live = LiveLine(sys.stdout) if speaks and not quiet and form == "text" else None

    def clear(self):
        """Erase the live line, if there is one."""
        if self._live:
            self._live.clear()

    def _print(self, *told):
        self.clear()
        self._form(*told)

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
        """Show a stage's report on the live line; print it if it is its phase's last or a step was taken back.

        Without a live line it is printed as well if its phase is new or the last line is long ago, of kernels that are
        compiled not so long.
        """
        if not self._speaks or self._quiet:
            return
        now, left = time.monotonic(), self.pace.left(line)
        expected = done(line) < line["of"] and not line.get("shrunk", 0)
        if self._live and expected:
            if now - self._shown >= SECONDS_ON_LIVE_LINE:
                self._shown = now
                self._live.show(told(line, left, SHORT))
            return
        between = SECONDS_ON_TERMINAL if line["phase"] == "compilation" else self._between
        if expected and line["phase"] == self._phase and now - self._printed < between:
            return
        self._phase, self._printed = line["phase"], now
        fields = {name: value for name, value in line.items() if name != "keep"}
        times = {"seconds_left": left.part, "seconds_left_of_run": left.run}
        fields |= {name: seconds for name, seconds in times.items() if seconds is not None}
        self._print("info", "progress", told(line, left), fields)


class Words(NamedTuple):
    """How a report is put into words: the count with its phase, what is between values, names of values."""

    count: str
    gap: str
    variance: str
    acceptance: str
    of_part: bool


LONG = Words("{phase:<13} {done:>7} of {of}", "   ", "variance", "acceptance", True)
SHORT = Words("{phase} {done}/{of}", "  ", "var", "acc", False)  # 80 columns


def told(report, left, words=LONG):
    """Return a stage's report as a line of text; left: the `Left` at it."""
    parts = [words.count.format(phase=report["phase"], done=done(report), of=report["of"])]
    if "log_likelihood" in report:
        below = f", {report['divergence']:.1e} below the ideal gas's" if "divergence" in report else ""
        parts.append(f"ln L = {report['log_likelihood']:.4f}{below}")
    if "energy" in report:
        parts.append(f"E = {with_error(report['energy'], report['energy_error'])}")
    if "variance" in report:
        parts.append(f"{words.variance} {report['variance']:.2e}")
    if "acceptance" in report:
        parts.append(f"{words.acceptance} {report['acceptance']:.2f}")
    if report.get("shrunk", 0):
        parts.append(f"the last step did harm and is taken back ({report['shrunk']:.0f} in a row)")
    seconds = report.get("seconds", left.each)
    if seconds is not None:
        parts.append(span(seconds) if seconds >= 10.0 else f"{1e3 * seconds:.{0 if seconds >= 0.01 else 1}f} ms")
    if left.run is not None and not words.of_part:
        left = left._replace(part=None)
    return words.gap.join([*parts, *filter(None, [left.text])])


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
