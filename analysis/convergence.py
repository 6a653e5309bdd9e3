"""How an optimisation went: energy, variance, acceptance, gradient and steps against the iteration.

Of finished runs and of those that still go on, several in one figure; with what is known exactly of the system's
energy, and the likelihood where the machine was fitted to data first.
"""

from typing import NamedTuple

import common
import numpy as np

from parvmc import known
from parvmc.results import reference_label, with_error

EPILOG = """\
example:
  python analysis/convergence.py two_electrons.h5 two_electrons_jastrow.h5 --output convergence.pdf

The shaded iterations are those whose parameters production uses, averaged (optimizer.average of the deck). In the
panel of the distance to the reference single iterations are pale, the curve is their running mean, and the dotted line
is the standard error of one iteration: where they meet, noise is all that is seen of one iteration, and what lies below
the reference leaves a gap. A cross marks an iteration before which a step that did harm was taken back. The point at
the right end of the energies is the result of production.
"""
OUTPUT = "convergence.pdf"
COLUMNS = ("energy", "energy_error", "variance", "acceptance", "gradient_norm", "step_norm", "shrunk")
WIDTH, ROW = 7.2, 2.3  # inches
SMOOTHED = 0.05  # of the iterations go into a running mean


class Run(NamedTuple):
    """What one result file says of its optimisation.

    history, pretraining: {name: one value per iteration}; planned: iterations of the deck; averaged: how many of the
    last ones production averages; reference: (energy, source) or None; final: (energy, error) of production or None.
    """

    label: str
    title: str
    status: str
    system: dict
    history: dict
    pretraining: dict
    planned: int
    averaged: int
    reference: tuple | None
    final: tuple | None

    @property
    def iterations(self):
        """The numbers of the iterations done."""
        return np.arange(1, 1 + len(self.history.get("energy", ())))

    @property
    def caption(self):
        """The label, and how far the run has come where it has not finished."""
        done = len(self.iterations)
        return self.label + (f" ({self.status}, {done} of {self.planned})" if done < self.planned else "")


def load(result):
    """Read what the figure needs of an open result file."""
    deck = result.deck
    optimizer = deck.get("optimizer", {})
    planned = optimizer.get("iterations", 0)
    averaged = min(planned, max(1, round(optimizer.get("average", 0.0) * planned)))
    final = None
    if "energy_error" in result.scalar_names:
        final = result.scalar("energy"), result.scalar("energy_error")
    reference = result.reference or known.energy(deck["system"])
    return Run(
        common.label_of(result.path),
        result.title,
        result.status,
        deck["system"],
        result.optimization,
        result.pretraining,
        planned,
        averaged,
        reference,
        final,
    )


# --- the figure


def _has_iterations(runs):
    return any(len(run.iterations) for run in runs)


def rows_of(runs):
    """Return the number of rows of panels."""
    return any(len(run.pretraining) for run in runs) + 3 * _has_iterations(runs)


def size(runs):
    """Return width and height in inches of the figure."""
    return WIDTH, 0.6 + ROW * rows_of(runs)


def draw(figure, runs):
    """Draw the runs into an empty figure or subfigure: two columns of panels, pretraining first."""
    fitted, rows = any(len(run.pretraining) for run in runs), rows_of(runs)
    panels = figure.subplots(rows, 2).ravel() if rows else ()
    if fitted:
        _draw_pretraining(panels[0], panels[1], runs)
        panels = panels[2:]
    if not _has_iterations(runs):
        text = "no optimisation" if all(run.planned == 0 for run in runs) else "no iteration yet"
        return figure.suptitle(text, fontsize="medium") if fitted else common.note(figure.subplots(), text)
    systems = [run.system for run in runs]
    _draw_energy(panels[0], runs, common.energy_label(systems))
    if any(run.reference for run in runs):
        _draw_distance(panels[1], runs, common.energy_label(systems, r"$E - E_0$"))
    else:
        _draw_last_half(panels[1], runs, common.energy_label(systems))
    squared = common.energy_label(systems, "variance").replace(")", r"$^2$)")
    _draw_column(panels[2], runs, "variance", squared, log=True)
    _draw_column(panels[3], runs, "acceptance", "acceptance")
    panels[3].set_ylim(0.0, 1.02)
    _draw_column(panels[4], runs, "gradient_norm", common.energy_label(systems, "norm of the gradient"), log=True)
    _draw_column(panels[5], runs, "step_norm", "norm of the step", log=True)
    _mark_refused(panels[5], runs, "step_norm")
    last = max(len(run.iterations) for run in runs)
    for axes in panels:
        axes.set(xlabel="iteration", xlim=(1 - 0.04 * last, 1.07 * last + 1.0))
        _shade(axes, runs)
    handles, labels = panels[0].get_legend_handles_labels()
    more = [pair for axes in (panels[1], panels[5]) for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    named = dict(zip(labels, handles, strict=True)) | {label: handle for handle, label in more if label not in labels}
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=min(3, len(named)), fontsize="small")
    return None


def _look(number, runs):
    return common.look_of(number) | {"linewidth": 1.0 if len(runs) > 1 else 0.9}


def _draw_column(axes, runs, name, label, log=False):
    for number, run in enumerate(runs):
        values = np.asarray(run.history.get(name, ()), dtype=float)
        if log:
            values = _positive(values)
        axes.plot(run.iterations[: len(values)], values, **_look(number, runs))
    if log and any(np.isfinite(line.get_ydata()).any() for line in axes.lines):
        axes.set_yscale("log")
    elif log:
        common.note(axes, f"{label}: zero throughout")
    axes.set_ylabel(label)


def _draw_band(axes, runs, first=0):
    """Energies with a band of a standard error, from iteration `first` (a function of the run, or a number)."""
    for number, run in enumerate(runs):
        begin = first(run) if callable(first) else first
        x, energy = run.iterations[begin:], run.history.get("energy", np.empty(0))[begin:]
        error = run.history.get("energy_error", np.zeros(len(run.iterations)))[begin:]
        look = _look(number, runs)
        axes.fill_between(x, energy - error, energy + error, color=look["color"], alpha=0.25, linewidth=0.0)
        axes.plot(x, energy, **look, label=run.caption)
        if run.final:
            bar = _bar(number) | {"label": _once(axes, "production")}
            axes.errorbar([_right_of(run)], [run.final[0]], [run.final[1]], **bar)


def _bar(number):
    """The look of the point that stands for production."""
    look = {"fmt": common.MARKERS[number % len(common.MARKERS)], "color": common.look_of(number)["color"]}
    return look | {"capsize": 2.0, "markeredgecolor": "white"}


def _right_of(run):
    return 1.03 * len(run.iterations) + 0.5


def _draw_references(axes, runs):
    """A line for each reference energy that is known, in black; several systems have several."""
    lines = {run.reference for run in runs if run.reference}
    for energy, source in sorted(lines):
        name = reference_label(source)
        text = f"{name} {energy:.10g}" + (f" ({source})" if source != "exact" else "")
        axes.axhline(energy, color="black", linestyle=(0, (6, 2)), linewidth=0.9, label=text)


def _draw_energy(axes, runs, label):
    _draw_band(axes, runs)
    _mark_refused(axes, runs, "energy")
    _draw_references(axes, runs)
    axes.set_ylabel(label)
    axes.ticklabel_format(axis="y", useOffset=False)


def _draw_last_half(axes, runs, label):
    _draw_band(axes, runs, lambda run: len(run.iterations) // 2)
    axes.set_ylabel(f"{label},\nlast half")
    axes.ticklabel_format(axis="y", useOffset=False)


def _draw_distance(axes, runs, label):
    """Distance to the reference, on a logarithmic axis where it is positive, with an iteration's error."""
    for number, run in enumerate(runs):
        if not run.reference or not len(run.iterations):
            continue
        look = _look(number, runs)
        distance = run.history["energy"] - run.reference[0]
        axes.plot(run.iterations, _positive(distance), **look | {"alpha": 0.35, "linewidth": 0.7})
        count = max(1, round(SMOOTHED * len(distance)))
        middle = run.iterations[: len(distance) - count + 1] + 0.5 * (count - 1)
        mean = np.convolve(distance, np.full(count, 1.0 / count), "valid")
        axes.plot(middle, _positive(mean), **look | {"linewidth": 1.6})
        error = run.history.get("energy_error", np.full(len(run.iterations), np.nan))
        noise = {"color": look["color"], "linestyle": (0, (1, 1.5)), "linewidth": 0.9, "alpha": 0.8}
        axes.plot(run.iterations, _positive(error), **noise, label=_once(axes, "standard error of an iteration"))
        if run.final and run.final[0] > run.reference[0]:
            value, error = run.final[0] - run.reference[0], run.final[1]
            lower = min(error, 0.9 * value)
            axes.errorbar([_right_of(run)], [value], [[lower], [error]], **_bar(number))
    if any(np.isfinite(line.get_ydata()).any() for line in axes.lines):
        axes.set_yscale("log")
    axes.set_ylabel(label)


def _positive(values):
    """The values, nan where they are not positive and a logarithmic axis has no place for them."""
    return np.where(values > 0.0, values, np.nan)


def _once(axes, label):
    return None if label in axes.get_legend_handles_labels()[1] else label


def _mark_refused(axes, runs, name):
    """Mark the iterations before which a step was taken back."""
    for run in runs:
        where = np.flatnonzero(np.asarray(run.history.get("shrunk", ())) > 0)
        if len(where):
            look = {"linestyle": "", "marker": "x", "color": "#000000", "markersize": 5.0, "zorder": 5}
            label = _once(axes, "step taken back")
            axes.plot(run.iterations[where], run.history[name][where], **look, label=label)


def _shade(axes, runs):
    """Shade the iterations whose parameters production averages, as far as the run has come."""
    for number, run in enumerate(runs):
        first, done = run.planned - run.averaged, len(run.iterations)
        if run.averaged and done > first:
            color = "0.5" if len(runs) == 1 else common.look_of(number)["color"]
            look = {"color": color, "alpha": 0.15 / len(runs) ** 0.5, "linewidth": 0.0, "zorder": 0}
            axes.axvspan(first + 0.5, done + 0.5, **look, label=_once(axes, "averaged for production"))


def _draw_pretraining(likelihood, divergence, runs):
    """The likelihood of the data in the fitted machine; beside it the distance to the ideal gas, or the gradient."""
    name = "divergence" if any("divergence" in run.pretraining for run in runs) else "gradient_norm"
    for axes, column in ((likelihood, "log_likelihood"), (divergence, name)):
        for number, run in enumerate(runs):
            values = np.asarray(run.pretraining.get(column, ()), dtype=float)
            axes.plot(np.arange(1, 1 + len(values)), values, marker=".", markersize=3.0, **_look(number, runs))
        axes.set_xlabel("iteration of the pretraining")
    likelihood.set_ylabel(r"$\langle \ln P \rangle$ of the data (nat)")
    words = {"divergence": "from the ideal gas (nat)", "gradient_norm": "norm of the gradient (nat)"}
    divergence.set_ylabel(words[name])
    if any((line.get_ydata() > 0.0).any() for line in divergence.lines):
        divergence.set_yscale("log", nonpositive="mask")


# --- the table


def table(runs):
    """Return the numbers of all iterations as text, a block for each file."""
    blocks = []
    for run in runs:
        lines = [f"# {run.caption}: {run.title}"]
        if run.reference:
            lines.append(f"# reference {run.reference[0]:.12g} ({run.reference[1]})")
        if run.final:
            lines.append(f"# production {with_error(*run.final)}")
        columns = [name for name in COLUMNS if name in run.history]
        lines.append("# iteration" + "".join(f"{name:>16}" for name in columns) if columns else "# no iteration yet")
        rows = zip(run.iterations, *(run.history[name] for name in columns), strict=True) if columns else ()
        lines += [f"{number:>11}" + "".join(f"{value:>16.8g}" for value in values) for number, *values in rows]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def main(arguments=None):
    """Draw all files into one figure, or print the numbers; return 1 if one of them could not be read."""
    parser = common.parser(__doc__, EPILOG, OUTPUT)
    common.add_table(parser)
    given = parser.parse_args(arguments)
    runs, failures = common.each(given.files, load)
    return common.conclude(given, OUTPUT, runs, size(runs), draw, table, failures)


if __name__ == "__main__":
    common.run(main)
