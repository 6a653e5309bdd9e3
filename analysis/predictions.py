"""What scaling.py --predict shows: time per iteration and efficiency on many ranks, by the model of scaling."""

import math
from dataclasses import replace
from typing import NamedTuple

import common
import numpy as np

from parvmc.samples import keeps_derivatives
from parvmc.scaling_model import Costs, Fabric, Run, Work, calls, fitted, predicted
from parvmc.values import Sizes

RANKS = tuple(2**power for power in range(6, 15))
SPINS = ("ising", "heisenberg", "j1j2")
HEADER = ("ranks", "batches", "ms", "sampling", "sums", "solve", "communication", "efficiency", "calls", "MB", "auto")


class Curve(NamedTuple):
    """A prediction: label of the runs; Work on each number of ranks; {part: seconds} there, and efficiencies."""

    label: str
    costs: Costs
    ranks: tuple
    works: list
    seconds: list
    efficiencies: list

    @property
    def totals(self):
        """Seconds of an iteration on each number of ranks."""
        return [math.fsum(parts.values()) for parts in self.seconds]


def work_of(result, products):
    """Return the `Work` of a run; all of its parameters count as trained. products: iterations of "cg"."""
    deck, optimizer = result.deck, result.deck["optimizer"]
    arrays = [values for own in result.parameters.values() for values in own.values()]
    is_complex = any(map(np.iscomplexobj, arrays))
    parameters, system, sampler = sum(np.size(values) for values in arrays), deck["system"], deck["sampler"]
    units = math.prod(system.get("lattice", (system.get("particles", 0), system.get("dimensions", 0))))
    walkers, samples = sampler["walkers"], optimizer.get("samples", sampler["walkers"])
    memory, coordinates = optimizer.get("memory", 4.0), parameters * (1 + is_complex)
    method = optimizer["kind"]
    if method == "reconfiguration":
        method = optimizer.get("method", "auto")
        method = Sizes(parameters, samples, is_complex).route(memory) if method == "auto" else method
    return Work(
        method=method,
        coordinates=coordinates,
        parts=1 + is_complex,
        batches=walkers // sampler["lanes"],
        measurements=samples // walkers,
        lanes=sampler["lanes"],
        products=products if method == "cg" else 0,
        keeps=keeps_derivatives(coordinates, units, samples, memory),
        memory=memory,
        weighted=sampler["kind"] == "enumerate",
    )


def curves(timings, is_weak, fabric, walkers=None):
    """Return a `Curve` for the timings of each deck and method whose parts are known.

    Weak: as many batches per rank as the run with most of them has; strong: the walkers given, else as many as make
    one batch for each of the most ranks, where they are not a matrix's sides as well.
    """
    found, by_deck = [], {}
    for one in timings:
        if np.isfinite(one.seconds["own sums"]):
            by_deck.setdefault((one.work, one.sizes.method), []).append(one)
    for own in by_deck.values():
        runs = [
            Run(one.sizes, one.ranks, *(one.seconds[part] for part in ("sampling", "own sums", "solve"))) for one in own
        ]
        costs, first = fitted(runs), max(own, key=lambda one: one.walkers / one.ranks)
        work = first.sizes
        most = work.batches if work.by_samples else max(work.batches, RANKS[-1])
        most = walkers // work.lanes if walkers else most
        each = -(-work.batches // first.ranks)
        alone = replace(work, batches=each) if is_weak else replace(work, batches=most)
        ranks = tuple(count for count in RANKS if is_weak or count <= most)
        works = [replace(work, batches=each * count) if is_weak else alone for count in ranks]
        seconds = [predicted(one, costs, count, fabric) for one, count in zip(works, ranks, strict=True)]
        one_rank = math.fsum(predicted(alone, costs, 1, fabric).values())
        shares = ranks if not is_weak else [1] * len(ranks)
        efficiencies = [one_rank / (n * math.fsum(parts.values())) for n, parts in zip(shares, seconds, strict=True)]
        size = f"{each * work.lanes:,} walkers per rank" if is_weak else f"{most * work.lanes:,} walkers"
        parameters = f"{work.coordinates // work.parts:,} {'complex ' * (work.parts == 2)}parameters"
        label = f"{common.label_of(first.path)}: {work.method}, {parameters}, {size}"
        found.append(Curve(label, costs, ranks, works, seconds, efficiencies))
    return found


def rows_of(curve):
    """Return the rows of the table of a curve, times in milliseconds; auto: the route that "auto" would take."""
    rows = []
    for count, work, parts, efficiency in zip(curve.ranks, curve.works, curve.seconds, curve.efficiencies, strict=True):
        sent = calls(work, count)
        is_route = work.method in ("dense", "cg", "minsr", "spring")
        sizes = Sizes(work.coordinates // work.parts, work.samples, work.parts == 2)
        times = [f"{1e3 * value:.3g}" for value in (math.fsum(parts.values()), *parts.values())]
        row = [count, work.batches, *times, f"{efficiency:.3f}", sum(call.count for call in sent)]
        rows.append(
            [*row, f"{sum(call.bytes for call in sent) / 1e6:.3g}", sizes.route(work.memory) if is_route else None]
        )
    return rows


def stated(fabric):
    """Return a line on the parameters of the fabric."""
    return (
        f"fabric: {1e6 * fabric.latency:g} us a hop and {fabric.bandwidth / 1e9:g} GB/s between nodes of "
        f"{fabric.cores} cores, {1e6 * fabric.latency_in_node:g} us and {fabric.bandwidth_in_node / 1e9:g} GB/s "
        f"within, trees of radix {fabric.radix}"
    )


def draw(found, fabric, output):
    """Draw for strong and for weak scaling time and efficiency against ranks; found: {title: curves}."""
    figure = common.figure(7.6, 3.1 * len(found) + 0.3 * sum(map(len, found.values())))
    with common.drawing():
        panels = figure.subplots(len(found), 2, squeeze=False)
        for (times, shares), (title, own) in zip(panels, found.items(), strict=True):
            for number, curve in enumerate(own):
                look = common.look_of(number) | {"marker": common.MARKERS[number % len(common.MARKERS)]}
                times.plot(curve.ranks, [1e3 * total for total in curve.totals], label=curve.label, **look)
                shares.plot(curve.ranks, curve.efficiencies, **look)
                sending = [
                    parts["communication"] / total for parts, total in zip(curve.seconds, curve.totals, strict=True)
                ]
                shares.plot(curve.ranks, sending, color=look["color"], linestyle=":", linewidth=0.9)
            times.set(title=title, yscale="log", ylabel="time of an iteration (ms)")
            shares.set(title="efficiency; dotted: share of communication", ylim=(0.0, 1.05), ylabel="fraction")
            for axes in (times, shares):
                axes.set_xscale("log", base=2)
                axes.set_xticks(RANKS[::2], [f"{count:,}" for count in RANKS[::2]])
                axes.minorticks_off()
                axes.set(xlabel="ranks", xlim=(RANKS[0] / 1.3, RANKS[-1] * 1.3))
            times.legend(fontsize="x-small", loc="lower left", bbox_to_anchor=(0.0, 1.1))
        figure.suptitle(stated(fabric), fontsize="x-small")
        figure.savefig(output)
    return figure


def add_to(parser):
    """Give a parser the options of a prediction."""
    own = parser.add_argument_group("prediction")
    own.add_argument("--predict", action="store_true", help="show what the model expects on 64 to 16,384 ranks instead")
    own.add_argument("--walkers", type=int, metavar="N", help="of strong scaling; default: one batch for each rank")
    own.add_argument("--cg-iterations", type=int, default=200, metavar="N", help="of a step by cg; default: 200")
    for name, value, text in (
        ("latency", Fabric.latency, "seconds of a hop between nodes"),
        ("bandwidth", Fabric.bandwidth, "bytes per second of a node"),
        ("cores", Fabric.cores, "ranks on a node"),
        ("latency_in_node", Fabric.latency_in_node, "seconds of a hop within a node"),
        ("bandwidth_in_node", Fabric.bandwidth_in_node, "bytes per second of a rank within a node"),
        ("radix", Fabric.radix, "of the trees along which calls of MPI go"),
    ):
        option = f"--{name.replace('_', '-')}"
        own.add_argument(option, type=type(value), default=value, metavar="X", help=f"{text}; default: {value:g}")


def fabric_of(given):
    """Return the `Fabric` of the options."""
    names = ("latency", "bandwidth", "cores", "latency_in_node", "bandwidth_in_node", "radix")
    return Fabric(**{name: getattr(given, name) for name in names})
