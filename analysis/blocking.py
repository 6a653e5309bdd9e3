"""Whether an error bar can be trusted: blocking plot, autocorrelation function, and the batches beside each other.

Of the energy or of any other quantity of the production, of finished runs and of those that still go on.
"""

from typing import NamedTuple

import common
import numpy as np

from parvmc import statistics
from parvmc.results import Blocking, with_error

EPILOG = """\
example:
  python analysis/blocking.py two_electrons.h5 --quantity kinetic --output blocking.pdf

Blocking: the standard error of the mean, were blocks of so many measurements independent. It rises until blocks are
longer than the correlation; the level that is quoted is marked, filled where no correlation is seen there any more
(a plateau), open where it is still seen and the error is a lower bound. Autocorrelation: tau is its integral, as far as
the vertical line, in measurements; 1 for independent ones. Batches of walkers are independent of each other: their
running means come together inside the dashed lines (two standard errors of one batch), and their means scatter by one
standard error around zero; R-hat compares them, and is above 1.01 where they have not mixed.
"""
OUTPUT = "blocking.pdf"
WIDTH, ROW = 7.2, 2.7  # inches
LINES = 32  # batches whose running means are drawn, evenly chosen
POINTS = 256  # of each
MOST_BYTES = 1 << 24  # of a series that is looked at whole; of larger ones some batches stand for all
LAGS = 4  # windows of the autocorrelation function that are drawn
ROUNDING = 1e-12  # an error this small beside the mean is rounding


class Run(NamedTuple):
    """What one result file says of one quantity; all that needs a series is None where the file has none.

    table: its blocking; mean: of all; per_row: measurements in a row of the series, the unit of block sizes and lags;
    rho, window, tau: the autocorrelation; r_hat: over the batches; means: float64[batches]; rows: int64[points] and
    running: float64[points, lines], running means of some batches up to those rows; count: rows in all; sampled:
    batches from which rho and R-hat come, 0 for all.
    """

    label: str
    title: str
    status: str
    system: dict
    quantity: str
    table: Blocking | None = None
    mean: float | None = None
    per_row: int = 1
    rho: np.ndarray | None = None
    window: int = 0
    tau: float | None = None
    r_hat: float | None = None
    means: np.ndarray | None = None
    rows: np.ndarray | None = None
    running: np.ndarray | None = None
    count: int = 0
    sampled: int = 0

    @property
    def error(self):
        """The error at the quoted level, or None."""
        return None if self.table is None else float(self.table.error[self.table.level])

    @property
    def is_exact(self):
        """Whether nothing varies but rounding, so that there is no statistics to judge."""
        return self.error is not None and self.error <= ROUNDING * max(1.0, abs(self.mean or 0.0))


def loader(quantity):
    """Return a function that reads what the figure needs of an open result file."""

    def load(result):
        found = Run(
            common.label_of(result.path), result.title, result.status, result.deck["system"], quantity
        )._replace(per_row=max(1, result.measurements_per_row))
        if quantity in result.blocking_names:
            found = found._replace(table=result.blocking(quantity))
        if quantity in result.scalar_names:
            found = found._replace(mean=result.scalar(quantity))
        if result.components and quantity in ("energy", *result.components):
            return _with_series(found, result.lazy_series(quantity))
        if found.table is None and result.components:
            names = ", ".join(dict.fromkeys(["energy", *result.components, *result.blocking_names]))
            raise ValueError(f"has no quantity {quantity!r}; there is: {names}")
        return found

    return load


def _with_series(found, lazy):
    """Return the run with what its series float64[rows, batches] shows, read by pieces."""
    count, batches = lazy.shape
    if count < statistics.FEWEST_STEPS:
        return found
    taken = max(1, min(batches, MOST_BYTES // (8 * count)))
    columns = np.unique(np.linspace(0, batches - 1, taken).astype(int))
    series, sums = np.empty((count, taken)), np.zeros(batches)
    for first, rows in lazy.pieces():
        series[first : first + len(rows)] = rows[:, columns]
        sums += rows.sum(axis=0)
    table = found.table
    if table is None:
        table = statistics.block(series)
        scale = np.sqrt(taken / batches)  # of errors where some batches stand for all
        errors = table.error * scale, table.error_of_error * scale
        table = Blocking(table.block_size, table.blocks, *errors, table.level, table.plateau)
    rho, window, tau = statistics.autocorrelation(series)
    rows = np.unique(np.linspace(1, count, POINTS).astype(int))
    chosen = np.unique(np.linspace(0, taken - 1, LINES).astype(int))
    running = np.cumsum(series[:, chosen], axis=0)[rows - 1] / rows[:, np.newaxis]
    return found._replace(
        table=table,
        mean=float(sums.sum() / (count * batches)),
        rho=rho[: LAGS * window + 2],
        window=window,
        tau=tau,
        r_hat=statistics.split_r_hat(series),
        means=sums / count,
        rows=rows,
        running=running,
        count=count,
        sampled=taken if taken < batches else 0,
    )


# --- the figure


def _has_statistics(runs):
    return any(run.table is not None and not run.is_exact for run in runs)


def height(runs):
    """Return the height in inches of the figure."""
    return ROW * (1 + len(runs)) if _has_statistics(runs) else 0.5 * ROW


def size(runs):
    """Return width and height in inches of the figure."""
    return WIDTH, height(runs)


def draw(figure, runs):
    """Draw the runs into an empty figure or subfigure: two panels of all, then two for each."""
    if not _has_statistics(runs):
        exact = any(run.is_exact for run in runs)
        text = "nothing varies but rounding: no statistical error" if exact else "no production yet"
        return common.note(figure.subplots(), text)
    panels = figure.subplots(1 + len(runs), 2)
    _draw_blocking(panels[0, 0], runs)
    _draw_autocorrelation(panels[0, 1], runs)
    for number, (run, (traces, means)) in enumerate(zip(runs, panels[1:], strict=True)):
        _draw_traces(traces, run, number)
        _draw_means(means, run, number)
    return None


def _draw_blocking(axes, runs):
    shown = [(number, run) for number, run in enumerate(runs) if run.table is not None and not run.is_exact]
    for number, run in shown:
        look, table = common.look_of(number), run.table
        size = table.block_size * run.per_row
        marker = common.MARKERS[number % len(common.MARKERS)]
        axes.errorbar(size, table.error, table.error_of_error, **look, marker=marker, markersize=3.0, capsize=2.0)
        text = "plateau" if table.plateau else "no plateau"
        face = look["color"] if table.plateau else "white"
        chosen = {"marker": marker, "markersize": 9.0, "linestyle": "", "color": look["color"], "zorder": 4}
        label = f"{run.label}: {run.error:.2g}, {text}"
        axes.plot(size[table.level], run.error, **chosen, markerfacecolor=face, markeredgecolor="black", label=label)
        axes.axhline(run.error, color=look["color"], linestyle=(0, (1, 2)), linewidth=0.8)
    axes.set_xscale("log", base=2)
    if len(shown) > 1:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0.0)
    systems, name = [run.system for _, run in shown], shown[0][1].quantity
    axes.set(xlabel="block size (measurements)", ylabel=common.energy_label(systems, f"error of {_words(name)}"))
    axes.legend(fontsize="small", loc="best", title="quoted level", title_fontsize="small")


def _words(quantity):
    energies = ("kinetic", "trap", "interaction", "diagonal", "off_diagonal")
    return f"{quantity} energy".replace("_", "-") if quantity in energies else quantity


def _draw_autocorrelation(axes, runs):
    shown = [(number, run) for number, run in enumerate(runs) if run.rho is not None and not run.is_exact]
    if not shown:
        return common.note(axes, "no series in the file")
    for number, run in shown:
        look = common.look_of(number)
        lags = np.arange(len(run.rho)) * run.per_row
        marker = {"marker": common.MARKERS[number % len(common.MARKERS)], "markersize": 3.0}
        axes.plot(lags, run.rho, **look, **marker, label=rf"{run.label}: $\tau$ = {run.per_row * run.tau:.3g}")
        axes.axvline(run.window * run.per_row, color=look["color"], linestyle=(0, (1, 2)), linewidth=0.9)
    axes.axhline(0.0, color="0.4", linewidth=0.7)
    axes.set(xlabel="lag (measurements)", ylabel=r"autocorrelation $\rho$", ylim=(None, 1.05))
    axes.legend(fontsize="small", loc="upper right")
    return None


def _empty(axes, run):
    """Say why there is nothing to draw of the batches, and return whether that is so."""
    if run.means is None:
        text = "no series in the file" if run.table is not None else "no production yet"
    elif run.is_exact:
        text = "nothing varies but rounding"
    else:
        return False
    common.note(axes, f"{run.label}: {text}")
    return True


def _draw_traces(axes, run, number):
    """Running means of the batches, of all of them together, and the expected spread of one batch."""
    if _empty(axes, run):
        return
    color, batches = common.look_of(number)["color"], len(run.means)
    steps = run.rows * run.per_row
    axes.plot(steps, run.running, color=color, linewidth=0.5, alpha=0.45)
    spread = 2.0 * run.error * np.sqrt(batches * run.count / run.rows)
    for sign in (1.0, -1.0):
        axes.plot(steps, run.mean + sign * spread, color="black", linestyle="--", linewidth=0.9)
    axes.axhline(run.mean, color="black", linewidth=1.2)
    late = spread[len(spread) // 20 :].max()
    axes.set_ylim(run.mean - 1.8 * late, run.mean + 1.8 * late)
    lines = run.running.shape[1]
    text = f"{lines} of {batches} batches" if lines < batches else f"{batches} batches"
    axes.set_title(f"{run.label}: running means, {text}", fontsize="medium")
    axes.set(xlabel="measurements", ylabel=common.energy_label([run.system], _words(run.quantity)))
    axes.ticklabel_format(axis="y", useOffset=False)


def _sample(run):
    """A word on the batches from which correlations come where they are not all."""
    return f" ({run.sampled} batches)" if run.sampled else ""


def _draw_means(axes, run, number):
    """Means of the batches in units of what one batch's standard error should be."""
    if _empty(axes, run):
        return
    batches = len(run.means)
    scores = (run.means - run.mean) / (run.error * np.sqrt(batches))
    look = {"color": common.look_of(number)["color"], "marker": common.MARKERS[number % len(common.MARKERS)]}
    axes.axhspan(-1.0, 1.0, color="0.5", alpha=0.2, linewidth=0.0)
    axes.axhline(0.0, color="black", linewidth=1.0)
    axes.plot(np.arange(batches), scores, linestyle="", **look)
    reach = max(3.5, 1.1 * np.abs(scores).max())
    axes.set_ylim(-reach, reach)
    axes.set_title(f"{run.label}: batch means, R-hat {run.r_hat:.4f}{_sample(run)}", fontsize="medium")
    axes.set(xlabel="batch of walkers", ylabel="deviation\n(standard errors)")


# --- the table


def table(runs):
    """Return the blocking tables as text, with tau and R-hat, a block for each file."""
    blocks = []
    for run in runs:
        lines = [f"# {run.label}: {run.title} ({run.status})"]
        if run.table is None:
            blocks.append("\n".join([*lines, "# no production yet"]))
            continue
        if run.mean is not None:
            lines.append(f"# {run.quantity} {with_error(run.mean, run.error)}")
        if run.tau is not None:
            tau, window = run.per_row * run.tau, run.per_row * run.window
            lines.append(f"# tau {tau:.4g} measurements (window {window}), R-hat {run.r_hat:.5f}{_sample(run)}")
        lines.append("# " + ("plateau" if run.table.plateau else "no plateau: the error is a lower bound"))
        lines.append(f"#{'block size':>12}{'blocks':>10}{'error':>14}{'its error':>12}  (* quoted)")
        columns = run.table.block_size * run.per_row, run.table.blocks, run.table.error, run.table.error_of_error
        for level, (size, count, error, uncertainty) in enumerate(zip(*columns, strict=True)):
            mark = "  *" if level == run.table.level else ""
            lines.append(f"{size:>13}{count:>10}{error:>14.4e}{uncertainty:>12.2e}{mark}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def main(arguments=None):
    """Draw all files into one figure, or print the numbers; return 1 if one of them could not be read."""
    parser = common.parser(__doc__, EPILOG, OUTPUT)
    parser.add_argument("--quantity", default="energy", metavar="NAME", help="energy (default), kinetic, virial, ...")
    common.add_table(parser)
    given = parser.parse_args(arguments)
    runs, failures = common.each(given.files, loader(given.quantity))
    return common.conclude(given, OUTPUT, runs, size(runs), draw, table, failures)


if __name__ == "__main__":
    common.run(main)
