"""Many runs beside each other: energies against any key of the decks, with what is known exactly.

Prints a table, of each system one; draws if --output is given. With --extrapolate also the energy against its variance,
and what a straight line makes of it at zero, the variance of an eigenstate. Reads result files only, of runs in
progress too.
"""

import difflib
import itertools
import math
import sys
from pathlib import Path
from typing import NamedTuple

import common
import compare_figures
import numpy as np
from extrapolation import line
from tables import FORMATS, Measured, is_number, shown, table

EPILOG = """\
examples:
  python analysis/compare.py omega_*.h5 --by system.omega --output omega.pdf
  python analysis/compare.py hidden_*.h5 --by state.0.hidden --format latex
  python analysis/compare.py ising_*.h5 --extrapolate --output variance.pdf

--by takes any key of the deck with every default filled in (state.0 is its first [[state]]), and provenance.ranks. It
can be given several times: the first is the axis of the figure, the others make its curves. Without it the keys are
those in which the decks differ, of which the figure has two. Energies are finished ones, by blocking; of a run in
production the mean so far with the error of independent batches; before that the last iteration's. The error of the
energy at zero variance is the statistical one alone: a curve that bends less than is noticed moves it by more.
"""
NOT_COMPARED = ("title", "seed", "output.", "production.", "system.")
HEAVY = 2.0  # times the estimator's variance: what is left is no 1/r, and infinite in two dimensions


class Point(NamedTuple):
    """A run: keys of its deck, energy with error, variance; covariance: [2, 2] of both; reference: (energy, source)."""

    path: str
    keys: dict
    status: str
    energy: float
    error: float
    variance: float
    estimator: float
    covariance: np.ndarray
    reference: tuple | None


def flattened(value, name=""):
    """Return {dotted key: value} of a deck; lists of numbers are texts, such as 1 x 2."""
    if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
        return {name: " x ".join(map(shown, value))}
    if not isinstance(value, dict | list):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = {}
    for own, below in items:
        found |= flattened(below, f"{name}.{own}" if name else str(own))
    return found


def point_of(result, with_covariance):
    """Return the `Point` of a result file; raise ValueError where it has no energy yet."""
    keys, ranks = flattened(result.deck), result.provenance.get("ranks", ())
    if len(set(ranks)) == 1:
        keys["provenance.ranks"] = int(ranks[0])
    reference = result.reference
    if result.scalar_names:
        energy, error, variance, estimator = map(
            result.scalar, ("energy", "energy_error", "variance", "variance_estimator")
        )
        covariance = _covariance(result, error) if with_covariance else None
    elif result.components:
        means = {name: _batch_means(result, name) for name in ("energy", "local_energy", "local_energy_squared")}
        energy, error = means["energy"].mean(), means["energy"].std(ddof=1) / math.sqrt(len(means["energy"]))
        variance = estimator = means["local_energy_squared"].mean() - means["local_energy"].mean() ** 2
        covariance = None
    elif len(result.optimization.get("energy", ())):
        energy, error, variance = (float(result.optimization[n][-1]) for n in ("energy", "energy_error", "variance"))
        estimator, covariance = variance, None
    else:
        raise ValueError("no energy yet")
    return Point(
        result.path, keys, result.status, float(energy), float(error), variance, estimator, covariance, reference
    )


def _batch_means(result, name):
    """Return float64[batches], the mean of a series over its steps."""
    found = result.lazy_series(name)
    return sum(rows.sum(axis=0) for _, rows in found.pieces()) / len(found)


def _covariance(result, error):
    """Return float64[2, 2] of (energy, variance): the energy's error by blocking, the rest from independent batches."""
    energy, local, square = (_batch_means(result, name) for name in ("energy", "local_energy", "local_energy_squared"))
    if len(energy) < 2:
        return np.diag([error**2, 0.0])
    found = np.cov(energy, square - 2.0 * local.mean() * local) / len(energy)
    found[0, 0] = error**2
    return found


# --- which runs belong together


def differing(points, wanted):
    """Return the keys, of those that wanted(key) is true for, in which the decks of the points differ.

    Where kinds differ, so do most of the keys beside them: the kind alone tells.
    """
    names = dict.fromkeys(itertools.chain(*(point.keys for point in points)))
    found = [name for name in names if wanted(name) and len({point.keys.get(name) for point in points}) > 1]
    kinds = tuple(name.removesuffix("kind") for name in found if name.endswith(".kind"))
    return [name for name in found if name.endswith(".kind") or not name.startswith(kinds)]


def arranged(points, by):
    """Return (keys, {system: points}): points of one system but for the keys, sorted by them.

    Without keys they are the ones in which the decks differ; of the system's own only one number, as in a scan.
    """
    if not by:
        own = differing(points, lambda name: name.startswith("system."))
        scanned = own if len(own) == 1 and all(is_number(point.keys.get(own[0])) for point in points) else []
        groups = grouped(points, scanned)
        for group in groups.values():
            by = by + differing(group, lambda name: not name.startswith((*NOT_COMPARED, "provenance.")))
        by = scanned + sorted(dict.fromkeys(by), key=lambda name: _rank(points, name))
        by = by or differing(points, lambda name: name == "provenance.ranks")
    return by, grouped(points, by)


def _rank(points, name):
    """Return the place of a key among those that differ: numbers first, the state before how it was found."""
    sections = ("state", "sampler", "optimizer", "pretrain")
    section = name.partition(".")[0]
    is_text = not all(is_number(point.keys.get(name)) for point in points)
    return is_text, sections.index(section) if section in sections else len(sections)


def grouped(points, by):
    """Return {text of the system: points}, without the keys in `by`, in the order of these."""
    found = {}
    for point in points:
        system = {name: value for name, value in point.keys.items() if name.startswith("system.") and name not in by}
        short = [f"{name.removeprefix('system.')} {shown(value)}" for name, value in system.items()]
        found.setdefault(", ".join(short).removeprefix("kind "), []).append(point)

    def place(point):
        values = [point.keys.get(name) for name in by]
        return [(0, value, "") if is_number(value) else (1, 0, str(value)) for value in values]

    return {system: sorted(group, key=place) for system, group in sorted(found.items())}


# --- what is shown


def rows_of(points, by):
    """Return (header, rows) of the table of one system."""
    header = ["run", *by, "energy", "variance", "reference", "difference", "in errors", "status"]
    rows = []
    for point in points:
        known = point.reference
        difference = Measured(point.energy - known[0], point.error) if known else None
        errors = f"{difference.value / point.error:+.1f}" if known and point.error > 1e-12 * abs(known[0]) else None
        row = [common.label_of(point.path), *(point.keys.get(name) for name in by), Measured(point.energy, point.error)]
        rows.append([*row, f"{point.variance:.3g}", known and f"{known[0]:.10g}", difference, errors, point.status])
    return header, rows


def fitted(points):
    """Return (Line, lines of text) of the finished points of one system; raise ValueError where there is no line."""
    points = [point for point in points if point.covariance is not None]
    found = line(*([getattr(p, name) for p in points] for name in ("variance", "energy", "covariance")))
    text = f"at zero variance: E = {shown(Measured(found.energy, found.error))} from {len(points)} runs"
    text += f", slope {shown(Measured(found.slope, found.slope_error))}"
    warnings = []
    if found.freedom:
        text += f", chi^2 {found.chi_squared:.1f} of {found.freedom} degrees of freedom"
    else:
        warnings.append("two points are on a line whatever they are: take a third state")
    if not found.is_straight:
        warnings.append(
            f"this is no straight line: chi^2 {found.chi_squared:.1f} is above {found.limit:.1f}, which one line in a "
            "hundred exceeds; leave out the states of largest variance"
        )
    if found.factor > 2.0:
        warnings.append(f"zero is far, {found.factor:.1f} times the extent of the points; take better states")
    for point in points:
        if point.variance > HEAVY * point.estimator:
            warnings.append(
                f"{point.path}: variance {point.variance:.2g} of the local energy, {point.estimator:.2g} without its "
                "1/r: it may be infinite, and then lies on no line; add a factor with the cusp"
            )
    return found, [text, *(f"warning: {warning}" for warning in warnings)]


def unknown(points, by):
    """Return a line for each key that no deck has, with the nearest that there is."""
    names = dict.fromkeys(itertools.chain(*(point.keys for point in points)))
    lines = []
    for name in by:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.5)
            lines.append(f"--by {name}: no deck has this key{f'; did you mean {near[0]}?' if near else ''}")
    return lines


def main(arguments=None):
    """Print and draw what was asked for; return 1 if a file could not be read."""
    parser = common.parser(__doc__, EPILOG)
    parser.add_argument("--by", action="append", default=[], metavar="KEY", help="compare by this key; repeatable")
    parser.add_argument("--extrapolate", action="store_true", help="energies against variances, to zero variance")
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the table; default: text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="draw the figure: .pdf, .svg, .png")
    given = parser.parse_args(arguments)
    points, failures = common.each(given.files, lambda result: point_of(result, given.extrapolate))
    if lines := unknown(points, given.by) if points else []:
        return common.ended(failures + lines)
    by, groups = arranged(points, given.by)
    found = {}
    for number, (system, own) in enumerate(groups.items()):
        comment = {"csv": "# ", "latex": "% "}.get(given.format, "")
        print(("\n" if number else "") + comment + system + ("\n" if given.format == "markdown" else ""))
        print(table(*rows_of(own, by), given.format))
        if given.extrapolate:
            try:
                found[system], lines = fitted(own)
            except ValueError as error:
                lines = [f"not extrapolated: {error}"]
            print(("\n" if given.format == "markdown" else "") + "\n".join(comment + text for text in lines))
    if given.output and (found if given.extrapolate else groups):
        if given.extrapolate:
            compare_figures.lines(groups, found, given.output)
        else:
            compare_figures.energies(groups, given.by or by[:2], given.output)
        print(f"wrote {given.output}", file=sys.stderr)
    return common.ended(failures)


if __name__ == "__main__":
    common.run(main)
