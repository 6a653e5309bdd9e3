"""The pages of docs/: their commands run and print what is quoted, their links lead somewhere, the site builds."""

import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lanes
import pytest
import test_states
from conftest import ROOT, SEARCHED, command, environment

from parvmc import results

sys.path.insert(0, str(ROOT / "docs"))
import regenerate

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
ENVIRONMENT = environment(PYTHONPATH=str(ROOT / "src"), COLUMNS="80")

QUOTED = re.compile(r"(?<![\w.])(-?\d+(?:\.(\d+))?)\((\d+)\)")
ENERGY = re.compile(rf"^(?:  energy +|(?!parvmc:|kinetic|passed)\S.*?){QUOTED.pattern}", re.MULTILINE)
ERRORS = 10  # an energy may be off by so many of its errors: they do not know of the optimisation's noise
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![\w/.-])(?:src|inputs|jobs|analysis|tests|docs)/[\w./-]*\w")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def energies(text):
    """Return (value, error) of each energy, like 3.0604(3): the first such number of a line that is no warning and no
    detail of a summary."""
    return [(float(value), int(error) * 10.0 ** -len(decimals)) for value, decimals, error in ENERGY.findall(text)]


def assert_quoted(quoted, printed, to_the_digit):
    """Assert that a page quotes what was printed: every character; or else the energies, and whether a check failed.

    On another processor the optimisation takes other steps after a while, so that parts of the energy, which are of
    first order in them, and checks near their thresholds are others too.
    """
    quoted, printed = map(regenerate.without_times, (quoted, printed))
    if to_the_digit:
        assert printed == quoted, "run `python docs/regenerate.py`"
        return
    before, now = energies(quoted), energies(printed)
    assert len(before) == len(now)
    for (old, its_error), (new, error) in zip(before, now, strict=True):
        assert abs(old - new) <= ERRORS * math.hypot(its_error, error)
    assert ("FAIL" in quoted) == ("FAIL" in printed)


@pytest.mark.parametrize(
    ("quoted", "printed", "to_the_digit", "agree"),
    [
        (
            "E = 3.0604(3)   57 M moves/core-s   0.0005 core-h",
            "E = 3.0604(3)   9.1 M moves/core-s   2e-4 core-h",
            True,
            True,
        ),
        ("E = 3.0604(3)", "E = 3.0605(3)", True, False),
        ("E = 3.0604(3)", "E = 3.0608(3)", False, True),
        ("E = 3.0604(3)", "E = 3.0708(3)", False, False),
        ("    FAIL virial 1.2", "    ok virial 1.0", False, False),
        ("  energy  3.0604(3)\n  kinetic 0.861(1)", "  energy  3.0601(3)\n  kinetic 0.838(1)", False, True),
        ("  energy  3.0604(3)", "  energy  3.0501(3)", False, False),
        ("dot  2  3.0604(3)  0.0604(3)", "dot  2  3.0929(3)  0.0929(3)", False, False),
        ("E = 3.0604(3)", "", False, False),
    ],
)
def test_what_agrees(quoted, printed, to_the_digit, agree):
    """The comparison below sees what it should, and nothing else."""
    if agree:
        assert_quoted(quoted, printed, to_the_digit)
    else:
        with pytest.raises(AssertionError):
            assert_quoted(quoted, printed, to_the_digit)


@pytest.mark.mpi
@pytest.mark.parametrize("page", regenerate.PAGES)
def test_commands_of_a_page_run_and_print_what_it_quotes(page, tmp_path):
    """In the order of the page, in one folder: to the digit where the processor and the versions are those that wrote
    the page, within errors otherwise; and the figures that it shows are drawn."""
    text = (DOCS / page).read_text()
    steps = regenerate.steps(text)
    assert steps
    regenerate.prepare(tmp_path)
    outputs = [regenerate.run(step, tmp_path, ENVIRONMENT) for step in steps]
    same = regenerate.WRITTEN_ON.search(text)[1] == regenerate.machine(tmp_path)
    for step, output in zip(steps, outputs, strict=True):
        if step.quoted is not None:
            assert_quoted(step.quoted, output, same)
    for figure in regenerate.FIGURE.findall(text):
        assert (tmp_path / figure).stat().st_size > 10_000
        assert (DOCS / "figures" / figure).is_file()


@pytest.mark.parametrize("page", regenerate.PAGES)
def test_energies_in_the_words_of_a_page_are_quoted_below_a_command(page):
    """No energy with an error stands in the words alone, where nothing would keep it right."""
    text = (DOCS / page).read_text()
    printed = {found[0] for step in regenerate.steps(text) for found in QUOTED.finditer(step.quoted or "")}
    assert {found[0] for found in QUOTED.finditer(FENCE.sub("", text))} <= printed


def test_every_page_that_has_commands_to_run_is_run():
    """A page with a block `sh` is in the list, but for those whose commands belong to clusters and containers."""
    with_commands = {page.name for page in PAGES if regenerate.steps(page.read_text())}
    assert with_commands - set(regenerate.PAGES) == {"containers.md", "spins.md"}


def anchor(heading):
    """Return the anchor that a forge and the site give a heading."""
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower()))


@pages
def test_links_lead_to_files_and_headings_that_there_are(page):
    """Every relative link, its anchor too; addresses elsewhere are not looked at."""
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"https?:", link):
            continue
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if place:
            headings = re.findall(r"^#+ (.*)$", FENCE.sub("", target.read_text()), re.MULTILINE)
            assert place in map(anchor, headings), link


@pages
def test_files_that_a_page_names_are_there(page):
    """Paths of the checkout, in words, in code and in commands."""
    for name in NAMED.findall(page.read_text()):
        assert (ROOT / name).exists() or name in ("docs/mine.toml", "inputs/mine.toml"), name


def test_files_that_theory_names_are_in_the_package():
    """Formulas are beside the names of the files that compute them."""
    names = set(re.findall(r"`(\w+(?:/\w+)?\.py|\w+/)`", (DOCS / "theory.md").read_text()))
    assert len(names) > 15
    assert [name for name in names if not (ROOT / "src/parvmc" / name).exists()] == []


@pages
def test_every_page_is_reached_from_the_overview(page):
    """index.md links to all of them."""
    assert page.name == "index.md" or f"({page.name})" in (DOCS / "index.md").read_text()


def test_the_site_has_every_page():
    """The menu of the site lists all of them."""
    menu = (DOCS / "site/mkdocs.yml").read_text()
    assert [page.name for page in PAGES if f": {page.name}\n" not in menu] == []


@pages
def test_formulas_are_written_so_that_forge_and_site_show_them(page):
    """Inline ones have what Markdown leaves alone: no backslash before punctuation, no star, no bar in a table."""
    text = re.sub(r"`[^`]*`", "", FENCE.sub("", page.read_text()))
    for formula in re.findall(r"\$([^$\n]+)\$", text):
        assert not re.search(r"\\[{}_,;!*|]|\*", formula), formula
        assert formula == formula.strip()
    assert text.count("$") % 2 == 0


def example(language):
    """Return the one block of a language in the page about new factors."""
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```$", (DOCS / "new-factor.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return found


@pytest.fixture(scope="module")
def factor(tmp_path_factory):
    """Return the module of the page's factor."""
    path = tmp_path_factory.mktemp("factor") / "exponential_jastrow.py"
    path.write_text(example("python"))
    spec = importlib.util.spec_from_file_location("exponential_jastrow", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "check",
    [
        test_states.test_gradient_and_laplacian_are_finite_differences,
        test_states.test_log_derivatives_are_finite_differences,
        test_states.test_ratio_is_the_difference_of_logarithms,
    ],
)
def test_the_factor_of_the_page_keeps_the_contract(factor, check):
    """It passes the conformance suite, beside a Gaussian."""
    check(test_states.of(test_states.GAUSSIAN, factor.Settings(gamma=0.7)), lanes.system(3, 2))


def test_the_factor_of_the_page_is_as_tidy_as_the_others(tmp_path):
    """It passes the linter where that is installed."""
    ruff = shutil.which("ruff", path=SEARCHED)
    if ruff is None:
        pytest.skip("no ruff: pip install '.[lint]'")
    path = tmp_path / "exponential_jastrow.py"
    path.write_text(example("python"))
    options = ["--config", str(ROOT / "pyproject.toml")]
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        process = subprocess.run([ruff, *words, *options, str(path)], capture_output=True, text=True)
        assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.slow
def test_the_deck_of_the_page_runs_with_the_factor(tmp_path):
    """Its file put where it belongs is all that it takes; E is between the exact 3 and 3.01, as the page says."""
    shutil.copytree(ROOT / "src/parvmc", tmp_path / "src/parvmc", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/parvmc/states/exponential_jastrow.py").write_text(example("python"))
    (tmp_path / "new.toml").write_text(example("toml"))
    own = environment(PYTHONPATH=str(tmp_path / "src"), PARVMC_CACHE_DIR=str(tmp_path / "cache"))
    words = command("new.toml", "--quiet")
    subprocess.run(words, cwd=tmp_path, env=own, check=True, timeout=600)
    listed = subprocess.run(command("--list"), cwd=tmp_path, env=own, capture_output=True, text=True, check=True)
    assert "exponential_jastrow" in listed.stdout
    with results.open(tmp_path / "new.h5") as result:
        assert 3.0 < result.scalar("energy") < 3.01


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    """`mkdocs build --strict`, with the formulas marked for MathJax and the linked files of the checkout beside."""
    pytest.importorskip("mkdocs", reason="no mkdocs: pip install '.[docs]'")
    pytest.importorskip("material", reason="no mkdocs-material: pip install '.[docs]'")
    words = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-f",
        str(DOCS / "site/mkdocs.yml"),
        "-d",
        str(tmp_path),
    ]
    process = subprocess.run(words, capture_output=True, text=True, timeout=300, env=os.environ)
    assert process.returncode == 0, process.stderr
    for page in PAGES:
        html = (tmp_path / f"{page.stem}.html").read_text()
        for target in re.findall(r'(?:href|src)="([^"#:]+?)(?:#[^"]*)?"', html):
            assert (tmp_path / target).exists(), f"{page.name}: {target}"
    tutorial = (tmp_path / "tutorial.html").read_text()
    assert tutorial.count('<div class="arithmatex">') == (DOCS / "tutorial.md").read_text().count("```math")
    assert not Path(tmp_path / "regenerate.py").exists()
