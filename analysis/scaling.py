"""How an optimisation scales with the number of ranks: time of an iteration by part, efficiency, communication.

Reads result files of runs of one deck on different numbers of ranks (strong scaling), or with as many times the
walkers and samples on as many times the ranks (weak scaling); finished ones and those in progress.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import common
import numpy as np
import predictions
from tables import FORMATS, table

EPILOG = """\
example:
  for n in 1 2 4 8; do mpirun -n $n python -m parvmc inputs/two_electrons.toml -o ranks_$n.h5; done
  python analysis/scaling.py ranks_*.h5 --output scaling.pdf
  python analysis/scaling.py ranks_*.h5 --predict --output prediction.pdf

Times are means over the middle half of the iterations, of rank 0: sampling; exchange, its calls of MPI, waiting for
slower ranks included; solve, finding the step, for which the other ranks wait; own sums, over the samples of rank 0.
Efficiency is iterations per core-second (strong: of the same work; weak: of work in proportion to ranks) relative to
the smallest number of ranks. Imbalance is how much longer than rank 0 the slowest rank sampled, in parts of the
iteration.

--predict takes sampling, own sums and solve from the runs and adds the time of what is sent, by the model of
parvmc.scaling_model. Runs of a deck with several numbers of walkers per rank tell what is done once from what ranks
share; with one, that is guessed. Runs of other decks (more parameters, another method) are further curves. Columns:
calls of MPI and megabytes of an iteration on rank 0; auto: what method = "auto" would be.
"""
PARTS = ("sampling", "exchange", "solve", "own sums")
HATCHES = ("", "////", "....", "xxxx")  # of the bars, for print in grey
COMMENTS = {"csv": "# ", "latex": "% "}
NOT_COMPARED = {"title", "seed", "output", "production", "pretrain"}


class Timing(NamedTuple):
    """A run: ranks, walkers; work: text of the deck but for walkers, samples and what costs no time; seconds: {part:
    seconds of an iteration}, parts nan in files without; rate: effective samples per core-second in production, None
    before its end; sizes: the `Work` of the model of scaling, None where it was not asked for.
    """

    path: str
    ranks: int
    walkers: int
    work: str
    iterations: int
    seconds: dict
    rate: float | None
    sizes: predictions.Work | None = None

    @property
    def total(self):
        """Seconds of an iteration."""
        return self.seconds["whole"]


def timing(result):
    """Return the `Timing` of a result file; raise ValueError where there is none."""
    ranks, history = result.provenance.get("ranks", ()), result.optimization
    if len(set(ranks)) != 1:
        raise ValueError(f"started on {', '.join(ranks) or 'an unknown number of'} ranks: give runs on one number each")
    whole = np.asarray(history.get("seconds", ()))
    if not len(whole):
        raise ValueError("no iteration of the optimisation yet")
    names = {name: f"{name}_seconds" for name in (*PARTS[:3], "slowest_sampling")}
    columns = {name: np.asarray(history.get(column, np.full(len(whole), np.nan))) for name, column in names.items()}
    columns |= {"own sums": whole - sum(columns[part] for part in PARTS[:3]), "whole": whole}
    rows = _middle(whole, np.isfinite(columns["own sums"]))
    seconds = {name: float(values[rows].mean()) for name, values in columns.items()}
    deck = {name: value for name, value in result.deck.items() if name not in NOT_COMPARED}
    walkers = deck["sampler"].pop("walkers")
    deck["optimizer"] = {n: value for n, value in deck["optimizer"].items() if n not in ("iterations", "samples")}
    deck["measurements"] = result.deck["optimizer"].get("samples", walkers) // walkers
    name = "effective_samples_per_core_second"
    rate = result.scalar(name) if name in result.scalar_names else None
    return Timing(result.path, int(ranks[0]), walkers, repr(deck), len(whole), seconds, rate)


def predict(given):
    """Print the tables of the model and draw its figure; return 1 if a file could not be read."""
    fabric = predictions.fabric_of(given)

    def sized(result):
        return timing(result)._replace(sizes=predictions.work_of(result, given.cg_iterations))

    timings, failures = common.each(given.files, sized)
    found = {
        title: predictions.curves(timings, is_weak, fabric, None if is_weak else given.walkers)
        for title, is_weak in (("strong scaling", False), ("weak scaling", True))
    }
    print(COMMENTS.get(given.format, "") + predictions.stated(fabric))
    for title, own in found.items():
        for curve in own:
            print(f"\n{COMMENTS.get(given.format, '')}{title}, {curve.label}" + "\n" * (given.format == "markdown"))
            print(table(predictions.HEADER, predictions.rows_of(curve), given.format))
    failures += [f"{one.path}: without the times of its parts" for one in timings if not _has_parts(one)]
    if given.output and any(found.values()):
        predictions.draw(found, fabric, given.output)
        print(f"wrote {given.output}", file=sys.stderr)
    return common.ended(failures)


def _has_parts(one):
    return np.isfinite(one.seconds["own sums"])


def _middle(whole, known):
    """Return which iterations to average: those that are neither among the fastest nor among the slowest quarter.

    Unlike medians, means over the same iterations add up. Those from before the parts were recorded are left out.
    """
    rows = np.flatnonzero(known) if known.any() else np.arange(len(whole))
    rows = rows[np.argsort(whole[rows], kind="stable")]
    return rows[len(rows) // 4 : len(rows) - len(rows) // 4]


def series(timings):
    """Return {(title, is_weak): timings by ranks}, of those with several numbers of ranks; what is left stays alone.

    Strong: the same walkers; weak: the same walkers per rank.
    """
    found = {}
    for work in dict.fromkeys(timing.work for timing in timings):
        same = sorted((t for t in timings if t.work == work), key=lambda t: (t.ranks, t.walkers))
        for is_weak in (False, True):
            sets = {}
            for one in same:
                sets.setdefault(one.walkers / one.ranks if is_weak else one.walkers, []).append(one)
            for size, own in sets.items():
                if len({one.ranks for one in own}) > 1:
                    text = (
                        f"weak scaling, {size:,.6g} walkers per rank"
                        if is_weak
                        else f"strong scaling, {size:,} walkers"
                    )
                    found.setdefault(text, (is_weak, []))[1].extend(own)
        in_sets = [one for _, own in found.values() for one in own]
        for one in same:
            if one not in in_sets:
                found.setdefault(f"{one.walkers:,} walkers", (False, []))[1].append(one)
    return found


def efficiencies(own, is_weak):
    """Return the iterations per core-second, or of weak scaling per second, relative to those of the fewest ranks."""
    cost = [one.total * (1 if is_weak else one.ranks) for one in own]
    return [cost[0] / value for value in cost]


def rows_of(own, is_weak):
    """Return (header, rows) of the table of one series."""
    header = ["run", "ranks", "walkers", "iterations", "ms", *(f"{part} ms" for part in PARTS)]
    header += ["efficiency", "exchange share", "imbalance", "effective/core-s"]
    rows = []
    for one, efficiency in zip(own, efficiencies(own, is_weak), strict=True):
        seconds = [_known(one.seconds[name], 1e3, "{:.3g}") for name in ("whole", *PARTS)]
        row = [common.label_of(one.path), one.ranks, one.walkers, one.iterations, *seconds, f"{efficiency:.3f}"]
        row += [_known(one.seconds["exchange"], 1.0 / one.total, "{:.1%}")]
        row += [_known(one.seconds["slowest_sampling"] - one.seconds["sampling"], 1.0 / one.total, "{:.1%}")]
        rows.append([*row, None if one.rate is None else f"{one.rate:,.0f}"])
    return header, rows


def _known(value, factor, form):
    """Return a number as text, None where it is not known."""
    return form.format(value * factor) if np.isfinite(value) else None


def draw(found, output):
    """Draw for each series the time of an iteration by part and the efficiency; return the figure."""
    figure = common.figure(7.2, 3.0 * len(found))
    with common.drawing():
        panels = figure.subplots(len(found), 2, squeeze=False)
        for (bars, curve), (title, (is_weak, own)) in zip(panels, found.items(), strict=True):
            places, bottom = np.arange(len(own)), np.zeros(len(own))
            for part, color, hatch in zip(PARTS, common.COLORS, HATCHES, strict=False):
                heights = np.nan_to_num([1e3 * max(one.seconds[part], 0.0) for one in own])
                look = {"color": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0.0}
                bars.bar(places, heights, 0.6, bottom, label=part, **look)
                bottom += heights
            bars.plot(places, [1e3 * one.total for one in own], "k_", markersize=14.0, label="whole")
            bars.set_xticks(places, [str(one.ranks) for one in own])
            bars.set(title=title, xlabel="ranks", ylabel="time of an iteration (ms)")
            bars.grid(axis="x", visible=False)
            bars.set_axisbelow(True)
            bars.set_ylim(0.0, 1.35e3 * max(one.total for one in own))
            bars.legend(fontsize="small", ncols=3, loc="upper center")
            ranks = [one.ranks for one in own]
            look = {"markersize": 5.0, "linewidth": 1.2}
            curve.plot(ranks, efficiencies(own, is_weak), "o-", color=common.COLORS[0], label="efficiency", **look)
            shares = [one.seconds["exchange"] / one.total for one in own]
            curve.plot(ranks, shares, "s--", color=common.COLORS[1], label="exchange's share of the time", **look)
            curve.axhline(1.0, color="0.35", linestyle=":", label="ideal")
            curve.set_xscale("log", base=2)
            curve.set_xticks(sorted(set(ranks)), [str(number) for number in sorted(set(ranks))])
            curve.minorticks_off()
            curve.set(title=f"relative to {ranks[0]} rank{'s' * (ranks[0] > 1)}", xlabel="ranks", ylabel="fraction")
            curve.set_ylim(0.0, max(1.0, *efficiencies(own, is_weak)) * 1.45)
            curve.legend(fontsize="small", loc="upper right")
        figure.savefig(output)
    return figure


def main(arguments=None):
    """Print the tables and draw the figure; return 1 if a file could not be read."""
    parser = common.parser(__doc__, EPILOG)
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the table; default: text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="draw the figure: .pdf, .svg, .png")
    predictions.add_to(parser)
    given = parser.parse_args(arguments)
    if given.predict:
        return predict(given)
    timings, failures = common.each(given.files, timing)
    found = series(timings)
    for number, (title, (is_weak, own)) in enumerate(found.items()):
        print(("\n" if number else "") + COMMENTS.get(given.format, "") + title + "\n" * (given.format == "markdown"))
        print(table(*rows_of(own, is_weak), given.format))
    if given.output and found:
        draw(found, given.output)
        print(f"wrote {given.output}", file=sys.stderr)
    return common.ended(failures)


if __name__ == "__main__":
    common.run(main)
