"""analysis/report.py writes a page that is whole by itself: its tags, its figures, what it says, what it escapes."""

import base64
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import fake_result
import pytest
import runs
from conftest import TWO_ELECTRONS

import parvmc
from parvmc import archive, results, verdict
from parvmc.archive import Dataset

pytest.importorskip("jinja2", reason="jinja2, the extra `report`, is not installed")
pytest.importorskip("matplotlib", reason="matplotlib, the extra `report`, is not installed")

SCRIPT = Path(__file__).parents[1] / "analysis" / "report.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(parvmc.__file__).parents[1])}
VOID = {"meta", "img", "br"}
DECK = f"""
title = "Two electrons, for a page"
seed = 3
{TWO_ELECTRONS}hidden = 3

[sampler]
walkers = 2048
lanes = 128

[optimizer]
iterations = 150
samples = 2048

[production]
samples = 262_144
observables = ["density", "pair_distance"]
"""


class Page(HTMLParser):
    """The text of a page, its images, and what is wrong with its tags."""

    def __init__(self, path):
        super().__init__()
        self.open, self.wrong, self.images, self.tags, self.pieces = [], [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.pieces.append(data)

    def assert_whole(self):
        """Every tag is closed in its place, and nothing is fetched or run."""
        assert (self.open, self.wrong) == ([], [])
        assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in self.tags}
        addresses = [value for _, found in self.tags for key, value in found.items() if key in ("src", "href")]
        assert all(address.startswith("data:image/") for address in addresses)
        assert not [key for _, found in self.tags for key in found if key.startswith("on")]
        style = self.source.split("<style>")[1].split("</style>")[0]
        assert "url(" not in style
        assert "@import" not in style


def report(*arguments, script=(str(SCRIPT),)):
    """Run the tool."""
    command = [sys.executable, *script, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def drawing(image):
    """The root of an image's SVG."""
    kind, data = image["src"].split(";base64,")
    assert kind == "data:image/svg+xml"
    return ElementTree.fromstring(base64.b64decode(data))


def written(path, title, deck_title):
    """Write a made-up result of these titles; return its path."""
    attributes, datasets, groups = fake_result.contents()
    text = datasets["input"].values.replace("Two electrons, made up", deck_title)
    datasets["input"] = Dataset(text, "", "deck", attributes={"original": "# a < b & c\n" + text})
    archive.write_result(path, attributes | {"title": title}, datasets, groups)
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A small run, and its page."""
    folder = tmp_path_factory.mktemp("report")
    _, result = runs.whole(folder, DECK)
    done = report(result)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {folder / 'long.html'}\n"
    return result, Page(folder / "long.html")


def test_the_page_of_a_run_is_whole(real):
    real[1].assert_whole()


def test_the_page_says_what_the_file_says(real):
    path, page = real
    with results.open(path) as result:
        energy = results.with_error(result.scalar("energy"), result.scalar("energy_error"))
        kinetic = results.with_error(result.scalar("kinetic"), result.scalar("kinetic_error"))
        checks, parameters, provenance = verdict.judge(result), result.parameters, result.provenance
        table = result.blocking("energy")
    assert "Two electrons, for a page" in page.text
    assert f"E = {energy}, exact 3 (Taut 1994)" in page.text
    assert f"kinetic {kinetic} 0.886199497" in page.text
    assert f"{verdict.conclusion(checks)}." in page.text
    for check in checks:
        assert " ".join(f"{check.outcome} {check.name} {check.number} {check.rule}".split()) in page.text
    count = sum(values.size for own in parameters.values() for values in own.values())
    assert f"Numbers in all: {count}." in page.text
    assert "0_gaussian_rbm w 4 x 3" in page.text
    assert f"{table.block_size[table.level]} {table.blocks[table.level]} {table.error[table.level]:.2e}" in page.text
    assert page.text.count("observables = [") == 2  # the deck as given, and with every default
    assert provenance["command"][0] in page.text
    assert "Started once" in page.text
    assert "has not finished" not in page.text


def test_the_page_has_the_figures_of_the_tools(real):
    """Optimisation, error bar and observables as drawings with curves in them; what they show is in words too."""
    images = real[1].images
    assert [image["alt"].split(" of ")[0] for image in images] == ["Optimisation", "Error bar", "Observables"]
    for image, axes in zip(images, (6, 4, 2), strict=True):
        groups = [node.get("id", "") for node in drawing(image).iter("{http://www.w3.org/2000/svg}g")]
        assert sum(name.startswith("axes_") for name in groups) >= axes
        assert sum(name.startswith("line2d_") for name in groups) > 3 * axes


def test_a_failed_check_says_what_to_do(tmp_path):
    report(fake_result.write(tmp_path / "run.h5"))
    page = Page(tmp_path / "run.html")
    page.assert_whole()
    assert "1 of 11 checks failed (length)" in page.text
    assert "failed length 9 tau" in page.text
    assert "the series is short, 9 autocorrelation times where 50 are needed" in page.text


def test_without_statistical_error_there_is_no_figure_of_it(tmp_path):
    """An eigenstate: blocking of rounding is not shown, and the page says why."""
    attributes, datasets, groups = fake_result.contents()
    datasets["result/energy"], datasets["result/energy_error"] = Dataset(3.0, "1", "energy"), Dataset(0.0, "1", "error")
    archive.write_result(tmp_path / "run.h5", attributes, datasets, groups)
    report(tmp_path / "run.h5")
    page = Page(tmp_path / "run.html")
    assert [image["alt"].split(" of ")[0] for image in page.images] == ["Optimisation", "Observables"]
    assert "there is no statistical error to judge" in page.text


def test_restarts_are_columns_of_the_provenance(tmp_path):
    report(fake_result.write(tmp_path / "run.h5"))
    page = Page(tmp_path / "run.html")
    assert "Started 2 times" in page.text
    assert "ranks 4 2" in page.text


@pytest.mark.parametrize(
    ("stage", "text", "figures"),
    [
        ("optimization", "Optimisation: 5 of 5 iterations. Production has not begun.", 1),
        ("production", "Production: 16 rows of 2 batches, energy 3.0", 2),
    ],
)
def test_the_page_of_a_run_in_progress_says_so(tmp_path, stage, text, figures):
    done = report(fake_result.write(tmp_path / "run.h5", "running", stage))
    assert (done.returncode, done.stderr) == (0, "")
    page = Page(tmp_path / "run.html")
    page.assert_whole()
    assert "This run has not finished: running." in page.text
    assert text in page.text
    assert len(page.images) == figures
    assert "nothing can be judged yet" in page.text
    assert "E = " not in page.text


def test_what_a_deck_says_is_text_and_not_markup(tmp_path):
    """A title and a deck with tags in them are shown, and change nothing."""
    title = "<script>alert('1')</script><img src=x onerror=y>"
    done = report(written(tmp_path / "run.h5", title, "</pre><b>"))
    assert (done.returncode, done.stderr) == (0, "")
    page = Page(tmp_path / "run.html")
    page.assert_whole()
    assert title in page.text
    assert 'title = "</pre><b>"' in page.text
    assert "# a < b & c" in page.text
    assert not re.search("<script|<b>", page.source)


def test_several_files_are_several_pages(tmp_path):
    """In a folder; a damaged file is a line on stderr, and does not hide the others; no page replaces another."""
    (tmp_path / "other").mkdir()
    good = fake_result.write(tmp_path / "good.h5"), fake_result.write(tmp_path / "running.h5", "running", "production")
    again = fake_result.write(tmp_path / "other" / "good.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    done = report(*good, tmp_path / "text.h5", again, "--output", tmp_path / "pages")
    assert done.returncode == 1
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["good.html", "running.html"]
    damaged, twice = done.stderr.splitlines()
    assert "text.h5" in damaged
    assert f"{again}: its page would replace that of {good[0]}" in twice


def test_help_has_an_example():
    assert "python analysis/report.py two_electrons.h5" in report("--help").stdout


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_its_libraries_the_message_says_what_to_do(tmp_path, missing):
    path = fake_result.write(tmp_path / "run.h5")
    source = (
        f"import os, runpy, sys\nsys.modules[{missing!r}] = None\nscript = sys.argv.pop(1)\n"
        "sys.path.insert(0, os.path.dirname(script))\nrunpy.run_path(script, run_name='__main__')\n"
    )
    done = report(path, script=("-c", source, str(SCRIPT)))
    assert done.returncode == 1
    assert re.search(r"pip install 'parvmc\[(report|plots)\]'", done.stderr)
    assert "Traceback" not in done.stderr


def test_the_script_imports_neither_mpi_nor_kernels(tmp_path):
    path = fake_result.write(tmp_path / "run.h5")
    source = (
        "import os, runpy, sys\n"
        "script = sys.argv.pop(1)\n"
        "sys.path.insert(0, os.path.dirname(script))\n"
        "status = runpy.run_path(script)['main'](sys.argv[1:])\n"
        "assert not {'mpi4py', 'numba', 'llvmlite', 'pydantic'} & sys.modules.keys()\n"
        "sys.exit(status)\n"
    )
    done = report(path, script=("-c", source, str(SCRIPT)))
    assert (done.returncode, done.stderr) == (0, "")
