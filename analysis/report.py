"""One page for a run: verdict, energies, figures, deck and where it all comes from, as an HTML file of its own.

It needs nothing from the network and can be mailed, printed and read on a phone. Of a run that still goes on it shows
what there is. Needs matplotlib and jinja2, the extra `report`.
"""

import base64
import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import blocking
import common
import convergence
import numpy as np
import observables
import summary

from parvmc import verdict
from parvmc.results import reference_label, with_error

EPILOG = """\
example:
  python analysis/report.py two_electrons.h5                 # writes two_electrons.html beside it
  python analysis/report.py omega_*.h5 --output pages        # a page for each, in the folder pages
"""
TEMPLATE = "report.html.j2"
LARGEST_DRAWING = 1_000_000  # bytes of SVG, above which a figure becomes pixels
QUALITY = {  # what to call a final value, and its format
    "variance": ("variance of the local energy", ".3g"),
    "variance_estimator": ("variance of the estimator that was averaged", ".3g"),
    "autocorrelation_time": ("autocorrelation time (measurements)", ".3g"),
    "r_hat": ("R-hat", ".4f"),
    "acceptance": ("acceptance", ".3f"),
    "samples": ("samples", ",.0f"),
    "effective_samples": ("effective samples", ",.0f"),
    "effective_samples_per_core_second": ("effective samples per core-second", ",.0f"),
}


class Figure(NamedTuple):
    """A figure of the page: its title, what it shows in words, and its data as a URI."""

    title: str
    words: str
    data: str


class Tool(NamedTuple):
    """A sibling that draws: load(result) -> run, draw(figure, [run]), size([run]) in inches; shows(result): whether
    there is something to draw."""

    title: str
    words: str
    load: object
    draw: object
    size: object
    shows: object


TOOLS = (
    Tool(
        "Optimisation",
        "energy, variance, acceptance, gradient and step against the iteration",
        convergence.load,
        convergence.draw,
        convergence.size,
        lambda result: bool(len(result.optimization.get("energy", ()))),
    ),
    Tool(
        "Error bar",
        "standard error against block size, autocorrelation function, running means and means of the batches",
        blocking.loader("energy"),
        blocking.draw,
        blocking.size,
        lambda result: bool(result.components) and not verdict.numbers_of(result).is_exact,
    ),
    Tool(
        "Observables",
        "what was measured besides the energy, with errors and exact curves where they are known",
        observables.load,
        observables.draw,
        observables.size,
        lambda result: bool(result.observable_names),
    ),
)


def template():
    """Return the page's template; without jinja2 the tool ends with a word."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        sys.exit("a page needs jinja2: pip install 'parvmc[report]'")
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(TEMPLATE)


def picture(tool, result):
    """Return the `Figure` of a tool for one run, the same each time but for rounding in its layout."""
    runs = [tool.load(result)]
    found = common.figure(*tool.size(runs))
    with common.drawing():
        from matplotlib import rcParams

        rcParams["svg.hashsalt"] = tool.title
        tool.draw(found, runs)
        kind, data = "svg+xml", _saved(found, "svg", metadata={"Date": None})
        if len(data) > LARGEST_DRAWING:
            kind, data = "png", _saved(found, "png")
    address = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Figure(tool.title, f"{tool.title} of {common.label_of(result.path)}: {tool.words}", address)


def _saved(figure, form, **more):
    file = io.BytesIO()
    figure.savefig(file, format=form, **more)
    return file.getvalue()


# --- what the page says


def page(result):
    """Return the HTML of the page of an open result file."""
    numbers = verdict.numbers_of(result)
    checks = verdict.checks(numbers)
    starts = len(next(iter(result.provenance.values()), ()))
    written = datetime.fromtimestamp(Path(result.path).stat().st_mtime, UTC)
    parameters = _parameters(result)
    return template().render(
        title=result.title or common.label_of(result.path),
        file=Path(result.path).name,
        written=f"{written:%Y-%m-%d %H:%M} UTC",
        status=result.status,
        system=summary.system_text(result.deck),
        state=summary.state_text(result.deck),
        progress="" if result.status == "finished" else _progress(result),
        headline=_headline(result),
        conclusion=verdict.conclusion(checks),
        checks=checks,
        exact=numbers.is_exact,
        unit="hartree (hbar = m = e = 1)" if result.deck["system"]["kind"] == "trap" else "units of the couplings",
        energies=_energies(result),
        quality=[
            (text, format(result.scalar(name), form))
            for name, (text, form) in QUALITY.items()
            if name in result.scalar_names
        ],
        figures=[picture(tool, result) for tool in TOOLS if tool.shows(result)],
        blocking=_blocking(result),
        plateau="energy" in result.blocking_names and result.blocking("energy").plateau,
        parameters=parameters,
        count=f"{sum(row['count'] for row in parameters):,}",
        deck=result.deck_text,
        original=result.original_deck,
        provenance=[(name, values) for name, values in result.provenance.items() if any(values)],
        starts=f"Started {starts} times, one column each." if starts > 1 else "Started once.",
    )


def _headline(result):
    if not result.scalar_names:
        return []
    lines = [f"E = {summary.quoted(result, 'energy')}"]
    if result.reference:
        exact, source = result.reference
        named = f" ({source})" if source != "exact" else ""
        lines[0] += f", {reference_label(source)} {exact:.10g}{named}"
    return lines


def _progress(result):
    done, planned = len(result.optimization.get("energy", ())), result.deck.get("optimizer", {}).get("iterations", 0)
    text = f"Optimisation: {done} of {planned} iterations."
    if not result.components:
        return f"{text} Production has not begun."
    rows, batches, mean = summary.so_far(result)
    return f"{text} Production: {rows} rows of {batches} batches, energy {mean:.6g} on average; errors come at the end."


def _energies(result):
    if not result.scalar_names:
        return []
    known, rows = result.exact_components, []
    if result.reference:
        exact, source = result.reference
        rows.append(_row(result, "energy", f"{exact:.12g} ({source})", summary.distance_text(result)))
    else:
        rows.append(_row(result, "energy"))
    for name in result.components:
        if name in known:
            away = with_error(result.scalar(name) - known[name], result.scalar(f"{name}_error"))
            rows.append(_row(result, name, f"{known[name]:.9g}", away))
        else:
            rows.append(_row(result, name))
    return rows + ([_row(result, "virial", label="virial residual")] if "virial" in result.scalar_names else [])


def _row(result, name, known="", distance="", label=None):
    return {"name": label or name, "value": summary.quoted(result, name), "known": known, "distance": distance}


def _blocking(result):
    if "energy" not in result.blocking_names:
        return []
    table = result.blocking("energy")
    columns = zip(table.block_size, table.blocks, table.error, table.error_of_error, strict=True)
    return [
        {
            "size": size,
            "blocks": blocks,
            "error": f"{error:.2e}",
            "uncertainty": f"{uncertainty:.1e}",
            "quoted": level == table.level,
        }
        for level, (size, blocks, error, uncertainty) in enumerate(columns)
    ]


def _parameters(result):
    found = []
    for factor, own in result.parameters.items():
        for name, stored in own.items():
            values = np.asarray(stored)
            magnitudes = np.abs(values)
            found.append(
                {
                    "factor": factor,
                    "name": name,
                    "count": values.size,
                    "shape": " x ".join(map(str, values.shape)) or "1",
                    "mean": f"{values.mean():.3g}",
                    "rms": f"{np.sqrt(np.mean(magnitudes**2)):.3g}",
                    "largest": f"{magnitudes.max():.3g}",
                }
            )
    return found


# --- files


def place(path, output, many):
    """Return where the page of a result file belongs: beside it, in the folder `output`, or there itself."""
    path = Path(path)
    name = f"{common.label_of(path)}.html"
    if output is None:
        return path.with_name(name)
    return output / name if many or output.is_dir() else output


def main(arguments=None):
    """Write a page for every file; return 1 if one of them could not be read."""
    parser = common.parser(__doc__, EPILOG)
    text = "the page, or the folder for the pages of several files; default: NAME.html beside NAME.h5"
    parser.add_argument("--output", type=Path, metavar="FILE", help=text)
    given = parser.parse_args(arguments)
    written = {}

    def write(result):
        target = place(result.path, given.output, len(given.files) > 1)
        if target in written:
            raise ValueError(f"its page would replace that of {written[target]}; give --output for one of them alone")
        html = page(result)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html, encoding="utf-8")
        written[target] = result.path
        print(f"wrote {target}")

    _, failures = common.each(given.files, write)
    return common.ended(failures)


if __name__ == "__main__":
    common.run(main)
