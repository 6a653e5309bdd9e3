"""Tables of what tools find, as text, CSV, LaTeX and Markdown, with digits cut at the error."""

import csv
import io
from typing import NamedTuple

from parvmc.results import with_error

FORMATS = ("text", "csv", "latex", "markdown")
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


class Measured(NamedTuple):
    """A value with its standard error, one cell of a table, two columns of CSV."""

    value: float
    error: float


def is_number(value):
    """Whether a key's value can be a place on an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(cell):
    """Return a cell as text; None is a dash."""
    if cell is None:
        return "-"
    if isinstance(cell, Measured):
        return with_error(*cell)
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def table(header, rows, form):
    """Return the table as text; rows: lists of texts, numbers, Measured and None, as long as the header."""
    if form == "csv":
        return _csv(header, rows)
    cells = [header, *([shown(cell) for cell in row] for row in rows)]
    if form == "latex":
        cells = [["".join(LATEX.get(character, character) for character in cell) for cell in row] for row in cells]
        lines = [" & ".join(row) + r" \\" for row in cells]
        columns = "l" + "r" * (len(header) - 1)
        return "\n".join([f"\\begin{{tabular}}{{{columns}}}", lines[0], r"\hline", *lines[1:], r"\end{tabular}"])
    if form == "markdown":
        cells = [[cell.replace("|", r"\|") for cell in row] for row in cells]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([lines[0], f"|---|{'---:|' * (len(header) - 1)}", *lines[1:]])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *rest in cells:
        texts = [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(texts).rstrip())
    return "\n".join(lines)


def _csv(header, rows):
    """Return the table as CSV: errors have columns of their own, what is missing is empty."""
    pairs = [any(isinstance(row[column], Measured) for row in rows) for column in range(len(header))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [n for name, pair in zip(header, pairs, strict=True) for n in ([name, f"{name} error"][: 1 + pair])]
    )
    for row in rows:
        found = []
        for cell, pair in zip(row, pairs, strict=True):
            if isinstance(cell, Measured):
                found += [with_error(*cell).partition("(")[0], f"{cell.error:.2g}"]
            else:
                found += ["" if cell is None else shown(cell), ""][: 1 + pair]
        writer.writerow(found)
    return text.getvalue().rstrip("\n")
