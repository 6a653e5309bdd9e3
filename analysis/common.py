"""What the tools of this folder share: the command line, reading many files, and how figures look."""

import argparse
import sys
from pathlib import Path

from parvmc import results
from parvmc.printing import end_when_unread

CHECKPOINTS = (".ckpt.h5", ".ckpt.1.h5")  # *.h5 finds them as well
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "savefig.dpi": 200,
}
"""Of matplotlib: for print, in thin lines; text in a PDF stays text."""


def run(main):
    """Exit with the status of a tool's main(); `| head` may close its output before the end."""
    end_when_unread()
    sys.exit(main())


def parser(description, epilog, output=None):
    """Return the parser of a tool; output: the default of --output, None where it draws nothing."""
    found = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("files", metavar="FILE", nargs="+", help="result file (HDF5), of a run in progress too")
    if output:
        text = f"default: {output}; the ending decides: .pdf, .svg, .png"
        found.add_argument("--output", type=Path, default=Path(output), metavar="FILE", help=text)
    return found


def each(files, look):
    """Call look(result) for every result file among the names; return (what it returned, a line for each failure).

    A ValueError of `look` is such a line too: its message says what the file lacks.
    """
    found, failures = [], []
    for path in [name for name in files if not str(name).endswith(CHECKPOINTS)] or files:
        try:
            with results.open(path) as result:
                found.append(look(result))
        except results.NotAResult as error:
            failures.append(str(error))
        except ValueError as error:
            failures.append(f"{path}: {error}")
        except (LookupError, TypeError) as error:
            failures.append(f"{path}: not laid out as a result file ({error.args[0] if error.args else error!r})")
    return found, failures


def ended(failures):
    """Print the failures on stderr and return the exit status."""
    sys.stdout.flush()
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def figure(width, height):
    """Return an empty figure of the common style, sizes in inches; without matplotlib the tool ends with a word."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("drawing needs matplotlib: pip install 'parvmc[plots]'")
    with rc_context(STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def drawing():
    """Return the context in which axes are made and a figure is saved, for the common style."""
    from matplotlib import rc_context

    return rc_context(STYLE)


# --- curves of several runs in one panel

DASHES = ("-", "--", "-.", ":")


def look_of(number):
    """Return the colour and the dashes of a run's curve, by its number among the files; they differ in grey too."""
    return {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number % len(DASHES)]}


def label_of(path):
    """Return what to call a file in a legend."""
    return Path(path).name.removesuffix(".h5")


def note(axes, text):
    """Say in an otherwise empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color="0.35", transform=axes.transAxes, wrap=True)


def energy_label(systems, what="energy"):
    """Return the label of an axis with energies of these systems (tables of decks), with the unit where they share
    one."""
    units = {"hartree" if system.get("kind") == "trap" else "units of the couplings" for system in systems}
    return f"{what} ({units.pop()})" if len(units) == 1 else what


def add_table(found):
    """Give a parser the option --table, with which a figure is drawn only where --output is given too."""
    found.set_defaults(output=None)
    found.add_argument("--table", action="store_true", help="print the numbers; draws only if --output is given")


def conclude(given, default, items, size, draw, table, failures):
    """Print table(items) where it was asked for, draw(figure, items) into a figure of the size; return the exit status.

    given: the parsed arguments; default: name of the figure's file; items: what was read from the files.
    """
    if items and given.table:
        print(table(items))
    if items and (given.output or not given.table):
        output = given.output or Path(default)
        found = figure(*size)
        with drawing():
            draw(found, items)
            found.savefig(output)
        print(f"wrote {output}")
    return ended(failures)
