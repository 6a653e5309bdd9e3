"""What the state looks like: densities, pair correlations, correlations of spins, with errors, beside exact curves.

Of finished runs, several in one figure; a run that still goes on has no observables yet, and the figure says so.
"""

from typing import NamedTuple

import common
import numpy as np
import panels

from parvmc import known
from parvmc.results import with_error

EPILOG = """\
example:
  python analysis/observables.py two_electrons.h5 --output observables.pdf
  python analysis/observables.py two_electrons.h5 --table

Bars are standard errors, each by blocking; neighbouring values come from the same walkers, so that their errors are
correlated. Where the curve is known exactly (the ideal gas; two electrons in a dot whose energy is tabulated; rings of
Ising spins; lattices of up to 1,024 states; neighbours in the Heisenberg model) it is black, and below the panel, or in
a panel of its own, is what was measured less the exact value. Densities are compared with the exact mean over a bin.
Other arrays in two dimensions are maps, of more dimensions slices or projections, as their titles say.
"""
OUTPUT = "observables.pdf"
INTEGRATED = ("density", "cartesian_density", "pair_correlation")


class Measured(NamedTuple):
    """A quantity: values, errors or None, axes {name: float64[n]} and unit as in the file.

    kind: the name, without the number that a second observable of a kind has; exact: `known.Known` at the same places,
    or None.
    """

    name: str
    kind: str
    values: np.ndarray
    errors: np.ndarray | None
    axes: dict
    unit: str
    exact: known.Known | None

    @property
    def difference(self):
        """What was measured less what is exact, nan where that is not known."""
        return self.values - self.exact.values


class Run(NamedTuple):
    """What one result file says of its observables: numbers and arrays, each {name: Measured}."""

    label: str
    title: str
    status: str
    system: dict
    numbers: dict
    arrays: dict


def load(result):
    """Read what the figure needs of an open result file."""
    deck = result.deck
    asked, scalars, numbers, arrays = _asked(deck), result.exact_observables, {}, {}
    for name in result.observable_names:
        found = result.observable(name)
        kind, sites = _kind(name, asked)
        exact = known.means(deck["system"], kind, found.axes, sites)
        if kind in scalars:
            exact = known.Known(np.asarray(scalars[kind]), "exact")
        values = np.asarray(found.values, dtype=float)
        errors = None if found.errors is None else np.asarray(found.errors, dtype=float)
        kept = numbers if values.ndim == 0 else arrays
        kept[name] = Measured(name, kind, values, errors, dict(found.axes), found.unit, exact)
    label = common.label_of(result.path)
    return Run(label, result.title, result.status, deck["system"], numbers, arrays)


def _asked(deck):
    """Return {name: table} of the deck's observables, named as in the result file, longer names first."""
    tables = deck.get("production", {}).get("observables", ())
    kinds, found = [table["kind"] for table in tables], {}
    for index, (kind, table) in enumerate(zip(kinds, tables, strict=True)):
        count = kinds[: index + 1].count(kind)
        found[f"{kind}_{count}" if count > 1 else kind] = table
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _kind(name, asked):
    """Return a quantity's name without the number of a second observable of a kind, and the sites of its block."""
    for label, table in asked.items():
        if name == label or name.startswith(f"{label}_"):
            return table["kind"] + name.removeprefix(label), table.get("sites")
    return name, None


# --- the figure


def _plan(runs):
    """Return what to draw, a list of (function, arguments) for a subfigure each: curves of all runs, then maps of
    each, those that are compared beside their differences."""
    curves, pairs, single = [], [], []
    for name in dict.fromkeys(name for run in runs for name in run.arrays):
        having = [(number, run, run.arrays[name]) for number, run in enumerate(runs) if name in run.arrays]
        flat = [item for item in having if item[2].values.ndim == 1]
        if flat:
            curves.append((panels.draw_curves, (flat,)))
        for _, run, measured in having:
            if measured.values.ndim > 1:
                arguments = run, measured, len(runs) > 1
                compared = measured.exact is not None
                drawn = [(panels.draw_map, arguments), (panels.draw_difference, arguments)][: 1 + compared]
                pairs, single = (pairs + drawn, single) if compared else (pairs, single + drawn)
    gap = [(panels.draw_nothing, ())] if len(curves) % 2 and pairs and not single else []
    return curves + (single[:1] if len(curves) % 2 else gap) + pairs + single[len(curves) % 2 :]


def _heights(runs):
    """Return the heights in inches of the rows of panels, and of the numbers below them."""
    lines = len(number_lines(runs))
    return [panels.ROW] * ((len(_plan(runs)) + 1) // 2) + [0.2 + panels.LINE * lines] * (lines > 0)


def size(runs):
    """Return width and height in inches of the figure."""
    return panels.WIDTH, sum(_heights(runs)) or 1.5


def draw(figure, runs):
    """Draw the runs into an empty figure or subfigure: a panel for every curve and every map, then the numbers."""
    plan, lines, heights = _plan(runs), number_lines(runs), _heights(runs)
    if not heights:
        finished = all(run.status == "finished" for run in runs)
        text = "no observables were measured" if finished else "observables come at the end of the run"
        common.note(figure.subplots(), text)
        return
    rows = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
    for number, row in enumerate(rows[: (len(plan) + 1) // 2]):
        for place, (function, arguments) in zip(row.subfigures(1, 2), plan[2 * number : 2 * number + 2], strict=False):
            function(place, *arguments)
    if lines:
        panels.draw_numbers(rows[-1], lines)


# --- the table


def _numbers_of(run, indent=""):
    lines = []
    for measured in run.numbers.values():
        error = None if measured.errors is None else float(measured.errors)
        text = f"{indent}{measured.name:<24} {with_error(float(measured.values), error):<16}"
        if measured.exact is not None:
            exact = round(float(measured.exact.values), 12) + 0.0  # no -0
            text += f" exact {exact:<12.7g}"
            text += f" {float(measured.difference) / error:+.1f} errors" if error and np.isfinite(error) else ""
        lines.append(text.rstrip())
    return lines


def number_lines(runs):
    """Return the numbers as lines of text, with what is exact and the distance in standard errors."""
    lines = []
    for run in runs:
        if run.numbers:
            lines += [f"{run.label}:"] if len(runs) > 1 else []
            lines += _numbers_of(run)
    return lines


def _integral(measured, system):
    """Return the sum of values times the volumes of their bins, of densities; or None."""
    if measured.kind not in INTEGRATED:
        return None
    volume = np.ones(())
    for axis, middles in measured.axes.items():
        width = middles[1] - middles[0] if len(middles) > 1 else 2.0 * middles[0]
        if axis == "r":
            edges = np.append(middles - 0.5 * width, middles[-1] + 0.5 * width)
            balls = {1: 2.0 * edges, 2: np.pi * edges**2, 3: 4.0 / 3.0 * np.pi * edges**3}
            volume = np.diff(balls[system["dimensions"]])
        else:
            volume = volume * width
    return float(np.sum(measured.values * volume))


def _array_lines(measured, system):
    shape = " x ".join(map(str, measured.values.shape))
    head = f"# {measured.name}: {shape} by {', '.join(measured.axes)}"
    integral = _integral(measured, system)
    head += f", integral {integral:.6g}" if integral is not None else ""
    if measured.exact is not None and measured.errors is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.abs(measured.difference / measured.errors)
        scores = scores[np.isfinite(scores)]
        far = f", farthest by {scores.max():.1f} errors, half within {np.median(scores):.1f}" if len(scores) else ""
        head += f"; known exactly ({measured.exact.source}){far}"
    if measured.values.ndim > 1:
        return [head]
    ((axis, places),) = measured.axes.items()
    columns = {axis: places, "value": measured.values}
    columns |= {} if measured.errors is None else {"error": measured.errors}
    columns |= {} if measured.exact is None else {"exact": measured.exact.values}
    lines = [head, "#" + "".join(f"{name:>15}" for name in columns)[1:]]
    return lines + ["".join(f"{value:>15.7g}" for value in row) for row in zip(*columns.values(), strict=True)]


def table(runs):
    """Return numbers, and arrays of one dimension, as text, a block for each file."""
    blocks = []
    for run in runs:
        lines = [f"# {run.label}: {run.title} ({run.status})"]
        if not run.numbers and not run.arrays:
            lines.append("# no observables" + ("" if run.status == "finished" else " yet, they come at the end"))
        lines += _numbers_of(run, "# ")
        for measured in run.arrays.values():
            lines += ["", *_array_lines(measured, run.system)]
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
