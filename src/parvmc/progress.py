"""What rank 0 prints: plain lines while the run goes on, and one line at the end."""

import sys
import time

from parvmc.results import reference_label, with_error

SECONDS_IN_LOG = 30.0
SECONDS_ON_TERMINAL = 2.0


class Progress:
    """Prints a line per so many seconds, and the first and the last of each phase; silent on the other ranks."""

    def __init__(self, speaks, quiet):
        """speaks: whether this rank prints; quiet: print nothing but the end and warnings."""
        self._speaks = speaks
        self._quiet = quiet
        self._phase = None
        self._printed = self._began = 0.0
        self._first = 0
        self._interval = SECONDS_ON_TERMINAL if sys.stdout.isatty() else SECONDS_IN_LOG

    def say(self, text):
        """Print a line of the run's story."""
        if self._speaks and not self._quiet:
            print(text, flush=True)

    def conclude(self, text):
        """Print a line that --quiet does not hide."""
        if self._speaks:
            print(text, flush=True)

    def warn(self, text):
        """Print a warning on stderr."""
        if self._speaks:
            print(f"parvmc: warning: {text}", file=sys.stderr, flush=True)

    def fail(self, text):
        """Print on stderr why the run has failed."""
        if self._speaks:
            print(f"parvmc: failed: {text}", file=sys.stderr, flush=True)

    def report(self, line):
        """Print a stage's report if its phase is new, it is the phase's last, a step was taken back, or the last line
        is long ago."""
        if not self._speaks or self._quiet:
            return
        done = line.get("iteration", line.get("step", line.get("sweep", 0)))
        now = time.monotonic()
        shrunk = line.get("shrunk", 0)
        expected = line["phase"] == self._phase and done < line["of"] and not shrunk
        if expected and now - self._printed < self._interval:
            return
        if line["phase"] != self._phase:
            self._began, self._first = now, done
        self._phase, self._printed = line["phase"], now
        text = f"{line['phase']:<13} {done:>7} of {line['of']}"
        if "log_likelihood" in line:
            text += f"   ln L = {line['log_likelihood']:.4f}"
        if "divergence" in line:
            text += f", {line['divergence']:.1e} below the ideal gas's"
        if "energy" in line:
            text += f"   E = {with_error(line['energy'], line['energy_error'])}"
        if "variance" in line:
            text += f"   variance {line['variance']:.2e}"
        if "acceptance" in line:
            text += f"   acceptance {line['acceptance']:.2f}"
        if shrunk:
            text += f"   the last step did harm and is taken back ({shrunk:.0f} in a row)"
        if "seconds" in line:
            text += f"   {1e3 * line['seconds']:.0f} ms"
        if self._first < done < line["of"]:
            left = (line["of"] - done) * (now - self._began) / (done - self._first)
            text += f"   {left:.0f} s left of this part"
        print(text, flush=True)


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
