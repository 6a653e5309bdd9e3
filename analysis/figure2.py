"""Figure 2 of Carleo and Troyer, Science 355, 602 (2017): relative error of the energy against the density alpha.

Reads result files of finished runs of spin_rbm states, one point each, and draws them beside the parameter files that
were published with the paper, as re-sampled. Needs neither MPI nor a compiler; drawing needs matplotlib, the extra
`plots`.
"""

import argparse
import itertools
import math
import sys
from pathlib import Path
from typing import NamedTuple

from parvmc import results
from parvmc.printing import end_when_unread

EPILOG = """\
example:
  python analysis/figure2.py ising_chain_*.h5 heisenberg_*.h5 --output figure2.pdf

The relative error is (energy - reference) / |reference|. Bars are one standard error. A point whose bar reaches zero
or below is drawn as an upper limit with an arrow: the point (zero where it is below) and two standard errors.
"""

CHECKPOINTS = (".ckpt.h5", ".ckpt.1.h5")
ERRORS_OF_A_LIMIT = 2.0
SHIFT = 1.03  # of points to the right, and of the paper's to the left, so that bars do not cover each other
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#000000", "v"))  # Okabe and Ito


class System(NamedTuple):
    """A Hamiltonian on a lattice; panel: of the figure, curve: in the panel."""

    panel: str
    curve: str


class Point(NamedTuple):
    """A relative error with its standard error, zero where none is known; limit: whether it is an upper limit."""

    alpha: float
    value: float
    error: float = 0.0
    limit: bool = False

    def __str__(self):
        if self.limit:
            return f"< {self.value:.1e}"
        return f"{self.value:.2e} +- {self.error:.0e}" if self.error else f"{self.value:.1e}"


ISING, CHAIN, SQUARE = "Ising ring, N = 80", "Heisenberg ring, N = 80", "Heisenberg square, 10 x 10"
PUBLISHED = {
    # the parameter files published with the paper, re-sampled; energies measured against the same references
    System(ISING, "h = 0.5"): (Point(1, 4e-5), Point(2, 2e-5), Point(4, 1e-6, limit=True)),
    System(ISING, "h = 1"): (Point(1, 3.2e-3), Point(2, 5.6e-5), Point(4, 7e-6, 3e-6)),
    System(ISING, "h = 2"): (Point(1, 3e-6, limit=True), Point(2, 3e-7, limit=True)),
    System(CHAIN, ""): (Point(1, 4.2e-4), Point(2, 1e-4), Point(4, 1.1e-5)),
    System(SQUARE, ""): (Point(1, 7.5e-3), Point(2, 3.2e-3), Point(4, 1.7e-3), Point(8, 1.0e-3)),
}
PANELS = (ISING, CHAIN, SQUARE)


def system_of(deck):
    """Return the `System` of a deck, with all that differs from what the paper has in its name."""
    system = deck["system"]
    lattice, ring = system["lattice"], system.get("periodic", True)
    shapes = {(1, True): "ring", (1, False): "chain", (2, True): "square", (2, False): "open square"}
    shape = shapes.get((len(lattice), ring), "lattice") if len(set(lattice)) == 1 else "rectangle" if ring else "open"
    size = f"N = {lattice[0]}" if len(lattice) == 1 else " x ".join(map(str, lattice))
    name = {"ising": "Ising", "heisenberg": "Heisenberg", "j1j2": "J1-J2"}.get(system["kind"], system["kind"])
    usual = {"coupling": ("J", 1.0), "anisotropy": ("D", 1.0), "j1": ("J1", 1.0), "magnetisation": ("M", 0)}
    shown = [f"h = {system.get('field', 1.0):g}"] if system["kind"] == "ising" else []
    shown += [f"J2 = {system.get('j2', 0.5):g}"] if system["kind"] == "j1j2" else []
    shown += [f"{label} = {system[key]}" for key, (label, value) in usual.items() if system.get(key, value) != value]
    return System(f"{name} {shape}, {size}", ", ".join(shown))


def density_of(deck):
    """Return alpha of a deck's one spin_rbm."""
    machines = [factor for factor in deck["state"] if factor["kind"] == "spin_rbm"]
    if len(machines) != 1:
        raise ValueError(f"has {len(machines)} factors spin_rbm, where one is needed")
    return machines[0].get("density") or machines[0]["hidden"] / math.prod(deck["system"]["lattice"])


def point_of(result):
    """Return the `Point` of a finished run."""
    if result.reference is None:
        raise ValueError("has no reference energy")
    reference, _ = result.reference
    if not (reference and math.isfinite(result.scalar("energy")) and math.isfinite(result.scalar("energy_error"))):
        raise ValueError("has an energy that is not finite, or a reference of zero")
    value = (result.scalar("energy") - reference) / abs(reference)
    error = result.scalar("energy_error") / abs(reference)
    alpha = density_of(result.deck)
    if value - error > 0.0:
        return Point(alpha, value, error)
    limit = max(value, 0.0) + ERRORS_OF_A_LIMIT * error
    if limit <= 0.0:
        raise ValueError("has no error and is not above the reference, which a logarithmic axis cannot show")
    return Point(alpha, limit, limit=True)


def read(files):
    """Return ({System: points by alpha}, lines on what was left out, lines on what could not be read)."""
    found, skipped, failures = {}, [], []
    for path in [name for name in files if not name.endswith(CHECKPOINTS)]:
        try:
            with results.open(path) as result:
                if result.status != "finished" or not result.scalar_names:
                    skipped.append(f"{path}: left out, not finished (status: {result.status})")
                elif "lattice" not in result.deck["system"]:
                    skipped.append(f"{path}: left out, not a lattice of spins")
                else:
                    found.setdefault(system_of(result.deck), []).append(point_of(result))
        except results.NotAResult as error:
            failures.append(str(error))
        except ValueError as error:
            skipped.append(f"{path}: left out, it {error}")
        except (KeyError, TypeError) as error:
            failures.append(f"{path}: not laid out as a result file ({error.args[0] if error.args else error!r})")
    return {system: sorted(points) for system, points in sorted(found.items())}, skipped, failures


def table(found):
    """Return the text of all points beside those of the paper."""
    lines = [f"{'system':<28}{'':<12}{'alpha':>6}  {'this program':<22}paper's files, re-sampled"]
    for system, points in found.items():
        paper = {point.alpha: point for point in PUBLISHED.get(system, ())}
        alphas = sorted({point.alpha for point in points} | paper.keys())
        for alpha in alphas:
            own = [str(point) for point in points if point.alpha == alpha] or ["-"]
            lines += [
                f"{system.panel:<28}{system.curve:<12}{alpha:>6g}  {text:<22}{paper.get(alpha, '-')!s}" for text in own
            ]
    return "\n".join(lines)


def _draw_points(axes, points, style, label, published):
    """Add one curve: filled markers and a line of this program, open ones and dashes of the paper's files."""
    color, marker = style
    face, shift = ("white", 1.0 / SHIFT) if published else (color, SHIFT)
    look = {"color": color, "markerfacecolor": face, "linewidth": 1.0, "markersize": 6.0, "zorder": 2 + (not published)}
    axes.plot(
        *zip(*((p.alpha * shift, p.value) for p in points), strict=True),
        "--" if published else "-",
        **look,
        label=label,
    )
    for p in points:
        length = 0.45 * p.value if p.limit else p.error  # an arrow of this length for a limit
        lower = min(length, 0.999 * p.value)
        bars = [[lower], [0.0 if p.limit else p.error]]
        axes.errorbar([p.alpha * shift], [p.value], bars, fmt=marker, uplims=p.limit, capsize=2.5, **look)


def draw(found, output):
    """Draw the figure into a file and return it; one panel for each lattice, one colour for each field."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter
    except ImportError:
        sys.exit("drawing needs matplotlib: pip install 'parvmc[plots]'; or print the numbers with --table")
    order = {name: number for number, name in enumerate(PANELS)}
    names = sorted({system.panel for system in found}, key=lambda name: (order.get(name, len(order)), name))
    figure = Figure(figsize=(0.8 + 3.0 * len(names), 4.3), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        shown, handles = [], []
        for style, system in zip(itertools.cycle(STYLES), [key for key in found if key.panel == name], strict=False):
            paper, label = PUBLISHED.get(system, ()), system.curve or "this program"
            if paper:
                _draw_points(axes, paper, style, f"{label}, paper", published=True)
            _draw_points(axes, found[system], style, label, published=False)
            shown += [*paper, *found[system]]
            handles.append(Line2D([], [], color=style[0], marker=style[1], linestyle="-", label=label))
        if any(system in PUBLISHED for system in found if system.panel == name):
            handles.append(
                Line2D([], [], color="0.3", marker="o", markerfacecolor="white", linestyle="--", label="paper's files")
            )
        if any(point.limit for point in shown):
            handles.append(Line2D([], [], color="0.3", marker=r"$\downarrow$", linestyle="", label="upper limit"))
        alphas, values = zip(*((point.alpha, point.value) for point in shown), strict=True)
        axes.set(title=name, xlabel=r"density of hidden units $\alpha$", xscale="log", yscale="log")
        axes.set_xlim(min(alphas) / 1.3, max(alphas) * 1.3)
        axes.set_ylim(
            10.0 ** math.floor(math.log10(0.4 * min(values))), 10.0 ** math.ceil(math.log10(1.3 * max(values)))
        )
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(alphas))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2, "columnspacing": 1.2}
        axes.legend(handles=handles, frameon=False, fontsize="small", **below)
    panels[0].set_ylabel(r"relative error $(E - E_0)\,/\,|E_0|$")
    figure.savefig(output, dpi=200)
    return figure


def main(arguments=None):
    """Draw the figure, or print the table; return 1 if a file could not be read or none gave a point."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="result file (HDF5)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="figure2.pdf if not given; .png, .svg too")
    parser.add_argument("--table", action="store_true", help="print the numbers; draws only if --output is given")
    given = parser.parse_args(arguments)
    found, skipped, failures = read(given.files)
    for line in skipped + failures:
        print(line, file=sys.stderr)
    if not found:
        print("no finished run of spins among the files, nothing to draw", file=sys.stderr)
        return 1
    if given.table:
        print(table(found))
    if given.output or not given.table:
        output = given.output or Path("figure2.pdf")
        draw(found, output)
        print(f"wrote {output}")
    return 1 if failures else 0


if __name__ == "__main__":
    end_when_unread()
    sys.exit(main())
