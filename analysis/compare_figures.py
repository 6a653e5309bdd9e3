"""The figures of compare.py: energies against a key of the decks, and against their variance."""

import itertools
import math
import textwrap

import common
import numpy as np
from tables import is_number, shown


def _label(points):
    return common.energy_label([{"kind": point.keys["system.kind"]} for point in points], "energy E")


def _value(point, by):
    return point.keys.get(by[0]) if by else common.label_of(point.path)


def _wrapped(system):
    return textwrap.fill(system, 48)


def _axis(axes, values):
    """Put the places of the values on the x axis and return {value: place}; texts stand side by side."""
    distinct = list(dict.fromkeys(values))
    if not all(map(is_number, distinct)):
        axes.set_xticks(range(len(distinct)), [shown(value) for value in distinct])
        axes.margins(x=0.15)
        return {value: place for place, value in enumerate(distinct)}
    if min(distinct) > 0 and max(distinct) >= 8 * min(distinct):
        axes.set_xscale("log")
        axes.minorticks_off()
    if len(distinct) <= 8:
        axes.set_xticks(distinct, [shown(value) for value in distinct])
    return {value: value for value in distinct}


def energies(groups, by, output):
    """Draw energies against the first key and return the figure: a column for each system, curves by the other keys.

    Below, where the energy is known, the difference from it.
    """
    known = any(point.reference for point in itertools.chain(*groups.values()))
    figure = common.figure(0.6 + 3.6 * len(groups), 4.6 if known else 3.2)
    with common.drawing():
        panels = figure.subplots(1 + known, len(groups), squeeze=False, sharex="col")
        for column, (system, points) in enumerate(groups.items()):
            panel = panels[:, column]
            places = _axis(panel[-1], [_value(point, by) for point in points])
            _energies(panel, points, by, places)
            panel[0].set_title(_wrapped(system), fontsize="small")
            panel[-1].set_xlabel(by[0] if by else "run")
            panel[0].set_ylabel(_label(points))
            if known:
                panel[1].set_ylabel(r"E $-$ reference")
        figure.savefig(output)
    return figure


def _energies(panel, points, by, places):
    curves = {}
    for point in points:
        label = ", ".join(f"{name} = {shown(point.keys.get(name))}" for name in by[1:])
        curves.setdefault(label, []).append(point)
    looks = zip(curves.items(), itertools.cycle(common.COLORS), itertools.cycle(common.MARKERS), strict=False)
    for (label, own), color, marker in looks:
        xs = [places[_value(point, by)] for point in own]
        is_curve = by and len(set(xs)) == len(xs)
        look = {"color": color, "fmt": f"{marker}-" if is_curve else marker, "capsize": 2.5, "linewidth": 0.9}
        panel[0].errorbar(xs, [p.energy for p in own], [p.error for p in own], label=label or "energy", **look)
        pairs = [(x, p.energy - p.reference[0], p.error) for x, p in zip(xs, own, strict=True) if p.reference]
        if pairs:
            x, difference, error = zip(*pairs, strict=True)
            panel[1].errorbar(x, difference, error, **look)
    known = {places[_value(point, by)]: point.reference[0] for point in points if point.reference}
    if known:
        panel[0].plot(*zip(*sorted(known.items()), strict=True), "_--", color="0.35", label="reference", zorder=1)
        panel[1].axhline(0.0, color="0.35", linestyle="--", zorder=1)
    panel[0].legend(fontsize="small")


def lines(groups, found, output):
    """Draw energies against variances with the line of each system and its value at zero; return the figure."""
    figure = common.figure(0.6 + 3.6 * len(found), 3.4)
    with common.drawing():
        panels = figure.subplots(1, len(found), squeeze=False)[0]
        for axes, (system, own) in zip(panels, found.items(), strict=True):
            points = [point for point in groups[system] if point.covariance is not None]
            x, y = [point.variance for point in points], [point.energy for point in points]
            bars = [math.sqrt(point.covariance[1, 1]) for point in points]
            axes.errorbar(
                x, y, [p.error for p in points], bars, fmt="o", color=common.COLORS[0], capsize=2.5, label="runs"
            )
            ends = np.array([0.0, max(x)])
            axes.plot(ends, own.energy + own.slope * ends, color=common.COLORS[0], linewidth=0.9, label="line")
            look = {"fmt": "D", "color": common.COLORS[1], "markerfacecolor": "white", "capsize": 2.5, "clip_on": False}
            axes.errorbar([0.0], [own.energy], [own.error], label="at zero variance", **look)
            reference = next((point.reference[0] for point in points if point.reference), None)
            if reference is not None:
                axes.axhline(reference, color="0.35", linestyle="--", label="reference", zorder=1)
            axes.set(xlabel="variance of the local energy", ylabel=_label(points))
            axes.set_title(_wrapped(system), fontsize="small")
            axes.set_xlim(left=0.0)
            axes.legend(fontsize="small")
        figure.savefig(output)
    return figure
