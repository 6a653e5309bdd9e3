"""The panels of observables.py: curves with bars beside exact ones, maps with a colour bar, numbers."""

import re

import common
import numpy as np

from parvmc import known

WIDTH, ROW, LINE = 7.2, 2.9, 0.13  # inches
FINE = 400  # places at which an exact curve is drawn
LEAST = 1e-3  # of the largest value, below which the tail of a density is not drawn
MOST_ORBITALS = 12  # whose occupations are drawn
SYMBOLS = {
    "density": "$n(r)$",
    "cartesian_density": "$n$",
    "pair_correlation": "$g(r)$",
    "density_matrix": r"$\rho(x, x')$",
    "density_matrix_occupations": "occupation",
    "spin_correlation": r"$\langle s_i s_k \rangle$",
    "structure_factor": "$S(q)$",
}
TITLES = {"cartesian_density": "density", "density_matrix_occupations": "natural occupations"}
AXES = {"d": "distance along the chain (sites)", "q": "wave number $q$", "orbital": "natural orbital"}
AXES |= {"q_x": "$q_x$", "q_y": "$q_y$"}
QUARTERS = np.arange(-2, 3) * 0.5 * np.pi, (r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$")
TAILED = ("density", "pair_correlation")


def _unit(text):
    """A unit of a result file as it is written on an axis."""
    plain = text.split(" (")[0]
    return re.sub(r"\^(-?[0-9]+)", r"$^{\1}$", plain) if plain not in ("", "1") else ""


def quantity_label(measured):
    """Return what is on the axis of values, with its unit."""
    name = SYMBOLS.get(measured.kind, measured.kind.replace("_", " "))
    unit = _unit(measured.unit)
    return f"{name} ({unit})" if unit else name


def title_of(measured, *words):
    """Return the title of a panel: the quantity in words, and what else there is to say."""
    plain = TITLES.get(measured.kind, measured.kind) if measured.name == measured.kind else measured.name
    return ", ".join(text for text in (plain.replace("_", " "), *words) if text)


def axis_label(axis, system):
    """Return what is on an axis of places, with its unit."""
    if axis in AXES:
        return AXES[axis]
    name = "$" + axis.replace("_prime", "'") + "$"
    return f"{name} (bohr)" if system.get("kind") == "trap" else rf"$\Delta${name} (sites)"


def draw_curves(figure, curves):
    """Draw one quantity of several runs with bars, exact curves in black, and below what differs from them.

    curves: list of (number of the run, run, Measured).
    """
    compared = [item for item in curves if item[2].exact is not None]
    if compared:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.0, 1.2))
    else:
        axes, below = figure.subplots(), None
    shown = set()
    for number, run, measured in curves:
        ((axis, places),) = measured.axes.items()
        look = common.look_of(number)
        marker = {"marker": common.MARKERS[number % len(common.MARKERS)], "markersize": 3.0, "capsize": 1.5}
        marker |= {"linestyle": "", "color": look["color"], "elinewidth": 1.0}
        axes.errorbar(places, measured.values, measured.errors, **marker, label=run.label)
        if measured.exact is not None:
            x, y, source = _exact_curve(run, measured, axis, places)
            if (key := tuple(np.round(y[np.isfinite(y)], 12))) not in shown:
                joined = {"color": "black", "linewidth": 1.0, "zorder": 3}
                if axis not in known.BINS:
                    joined |= {"marker": "_", "markersize": 9.0, "linestyle": (0, (1, 2)), "markeredgewidth": 1.2}
                axes.plot(x, y, **joined, label=source)
            shown.add(key)
            below.errorbar(places, measured.difference, measured.errors, **marker)
    _frame(axes, below, curves)


def _exact_curve(run, measured, axis, places):
    """Return (x, y, source) of the exact curve: fine along bins, else at the places alone."""
    if axis not in known.BINS:
        return places, measured.exact.values, measured.exact.source
    half = 0.5 * (places[1] - places[0]) if len(places) > 1 else 0.0
    x = np.linspace(places[0] - half, places[-1] + half, FINE)
    fine = known.observable(run.system, measured.kind, {axis: x})
    return x, fine.values, fine.source


def _frame(axes, below, curves):
    _, run, first = curves[0]
    (axis,) = first.axes
    axes.set_ylabel(quantity_label(first))
    axes.set_title(title_of(first), fontsize="medium")
    bottom = axes
    if below is not None:
        below.axhline(0.0, color="black", linewidth=1.0)
        below.set_ylabel("measured\n$-$ exact")
        bottom = below
    bottom.set_xlabel(axis_label(axis, run.system))
    if first.kind in TAILED:
        last = max(_last(measured) for _, _, measured in curves)
        axes.set_xlim(0.0, last)
        axes.set_ylim(bottom=0.0)
    if axis == "q":
        axes.set_ylim(bottom=0.0)
        bottom.set_xticks(*QUARTERS)
    if first.kind == "density_matrix_occupations":
        axes.set_xlim(0.5, min(MOST_ORBITALS, first.values.size) + 0.5)
        bottom.set_xticks(range(1, min(MOST_ORBITALS, first.values.size) + 1))
    # beside curves that may be anywhere, below them is the only place that is always free
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))  # an exact curve over other bins has the same name
    axes.figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2, fontsize="small")


def _last(measured):
    """Return where the tail of a density has come down to nothing that could be seen."""
    (places,) = measured.axes.values()
    high = np.flatnonzero(measured.values > LEAST * np.nanmax(measured.values))
    return 1.05 * places[high[-1]] if len(high) else places[-1]


# --- maps


def plane(measured):
    """Return (values, differences or None, (first axis, second axis), a word on what became of further axes).

    Values [first, second]. A density in space is summed up along z; of a density matrix in several dimensions the
    further coordinates of both places are those of the middle cell.
    """
    exact = measured.exact.values if measured.exact is not None else None
    names, places = list(measured.axes), list(measured.axes.values())
    if len(names) == 2:
        return measured.values, None if exact is None else measured.values - exact, names, ""
    if measured.kind == "density_matrix":
        half = len(names) // 2
        middle = [places[axis].size // 2 for axis in range(1, half)]
        section = (slice(None), *middle, slice(None), *middle)
        fixed = zip(names[1:half], places[1:half], middle, strict=True)
        word = ", ".join(f"${name} = {name}' = {values[index]:.2g}$" for name, values, index in fixed)
        kept = [names[0], names[half]]
        return measured.values[section], None if exact is None else (measured.values - exact)[section], kept, word
    width = places[2][1] - places[2][0] if places[2].size > 1 else 1.0
    total = measured.values.sum(axis=2) * width
    return total, None if exact is None else total - exact.sum(axis=2) * width, names[:2], "integrated along z"


def _edges(middles):
    width = middles[1] - middles[0] if len(middles) > 1 else 1.0
    return np.append(middles - 0.5 * width, middles[-1] + 0.5 * width)


def _map(figure, run, measured, values, label, title, **look):
    axes = figure.subplots()
    kept, word = plane(measured)[2:]
    edges = [_edges(measured.axes[name]) for name in kept]
    mesh = axes.pcolormesh(*edges, values.T, rasterized=True, **look)
    figure.colorbar(mesh, ax=axes, label=label, shrink=0.9)
    axes.set(xlabel=axis_label(kept[0], run.system), ylabel=axis_label(kept[1], run.system), aspect="equal")
    axes.grid(False)
    axes.set_title(title_of(measured, title, word), fontsize="medium")
    if run.system.get("kind") != "trap":
        limits = axes.get_xlim(), axes.get_ylim()
        for line, name in ((axes.xaxis, kept[0]), (axes.yaxis, kept[1])):
            line.set_ticks(*QUARTERS if name.startswith("q") else (measured.axes[name][:: 1 + len(edges[0]) // 12],))
        axes.set(xlim=limits[0], ylim=limits[1])
    else:
        axes.locator_params(nbins=5)  # as many whatever the size: labels that come and go upset the layout


def _projected(measured):
    """The label of a map's values; what is summed up along z has another unit."""
    flat = len(measured.axes) == 3
    return quantity_label(measured._replace(unit=measured.unit.replace("^-3", "^-2")) if flat else measured)


def draw_map(figure, run, measured, named):
    """Draw values in two dimensions as a map with a colour bar; named: whether the title tells the run."""
    values = plane(measured)[0]
    look = {"cmap": "cividis"}
    if (values < 0.0).any() and measured.kind == "spin_correlation":
        look = {"cmap": "PuOr", "vmin": -1.0, "vmax": 1.0}
    _map(figure, run, measured, values, _projected(measured), run.label if named else "", **look)


def draw_difference(figure, run, measured, named):
    """Draw the difference of a map from what is exact, of either sign."""
    values = plane(measured)[1]
    reach = float(np.nanmax(np.abs(values))) or 1.0
    title = f"{run.label}, less exact" if named else "less exact"
    _map(figure, run, measured, values, _projected(measured), title, cmap="PuOr", vmin=-reach, vmax=reach)


def draw_nothing(figure):
    """Leave a place free, so that what belongs together comes side by side."""


def draw_numbers(figure, lines):
    """Write numbers as they are in the table."""
    axes = figure.subplots()
    axes.set_axis_off()
    look = {"family": "monospace", "fontsize": 7.0, "va": "top", "transform": axes.transAxes}
    axes.text(0.0, 1.0, "\n".join(lines), **look)
