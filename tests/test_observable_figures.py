"""analysis/observables.py draws and tells what the states of real small runs look like, beside what is known."""

import math

import fake_result
import figures
import numpy as np
import pytest
import scripts

from parvmc import archive, known, results
from parvmc.archive import Dataset

pytest.importorskip("matplotlib", reason="matplotlib, the extra `plots`, is not installed")
observables, panels = figures.module("observables"), figures.module("panels")
CORRELATION = r"$\langle s_i s_k \rangle$"
TRAP = f"""{figures.TRAP}
observables = ["density", {{kind = "cartesian_density", bins = 6}},
    {{kind = "pair_correlation", bins = 30, range = 4.0}},
    "radius", "squared_radius", "pair_distance", {{kind = "density_matrix", bins = 4}}]
"""
SPINS = """
title = "Ten Ising spins, a short run"
seed = 5

[system]
kind = "ising"
lattice = [10]

[[state]]
kind = "spin_rbm"
density = 1
symmetry = "translation"

[sampler]
walkers = 512
lanes = 64
equilibration = 100

[optimizer]
iterations = 100
learning_rate = 0.1

[production]
samples = 65_536
observables = ["magnetisation", "spin_correlation", "structure_factor", "renyi", {kind = "renyi", sites = 2}]
"""


@pytest.fixture(scope="module")
def electrons(tmp_path_factory):
    """The result file of a short run of two electrons."""
    return figures.made(tmp_path_factory.mktemp("trap"), "electrons", TRAP)


@pytest.fixture(scope="module")
def spins(tmp_path_factory):
    """The result file of a short run of ten spins."""
    return figures.made(tmp_path_factory.mktemp("spins"), "ring", SPINS)


def read(*paths):
    """What the tool reads of files."""
    return figures.read(observables.load, *paths)


def stored(path, name):
    """An observable as the file has it."""
    with results.open(path) as result:
        return result.observable(name)


def panel(figure, label):
    """Return the axes with this vertical label, and those right below with the difference from what is exact."""
    number = next(n for n, axes in enumerate(figure.axes) if axes.get_ylabel().startswith(label))
    return figure.axes[number : number + 2]


@pytest.mark.parametrize(
    ("name", "label"), [("density", "$n(r)$ (bohr$^{-2}$)"), ("pair_correlation", "$g(r)$ (bohr$^{-2}$)")]
)
def test_densities_have_the_files_bars_beside_the_exact_curve(electrons, name, label):
    """Points, half the bars and the axis are those of the file; the exact curve has the norm; below is the difference
    from the exact mean over each shell."""
    figure = figures.drawn(observables, read(electrons))
    axes, below = panel(figure, label)
    found = stored(electrons, name)
    often = np.isfinite(found.errors)
    for place, values in ((axes, found.values), (below, None)):
        points, halves = figures.bars(place)
        assert points[:, 0].tolist() == found.axes["r"].tolist()
        assert halves == pytest.approx(found.errors[often], rel=1e-6)
        if values is not None:
            assert points[:, 1].tolist() == values.tolist()
    r, exact = next(line for line in axes.lines if line.get_label() == "exact").get_xydata().T
    number = {"density": 2.0, "pair_correlation": 1.0}[name]
    assert np.trapezoid(2.0 * math.pi * r * exact, r) == pytest.approx(number, rel=1e-2)
    with results.open(electrons) as result:
        mean = known.means(result.deck["system"], name, found.axes).values
    assert figures.bars(below)[0][:, 1] == pytest.approx(found.values - mean, rel=1e-12)
    assert below.get_xlabel() == "$r$ (bohr)"
    shown = axes.get_xlim()[1]
    assert found.values[found.axes["r"] > shown].max(initial=0.0) < 2e-3 * found.values.max()
    assert axes.get_ylim()[0] == 0.0 < exact.max() < axes.get_ylim()[1]


def test_the_ideal_gas_meets_its_gaussian(tmp_path, electrons):
    """A density that is exactly the Gaussian of the ideal gas differs by nothing; the file of the electrons does not
    meet that curve (control)."""
    with results.open(electrons) as result:
        deck = result.deck_text.replace('kind = "coulomb"', 'kind = "none"').replace("strength = 1.0\n", "")
    edges = np.linspace(0.0, 5.0, 26)
    disks = -2.0 * np.diff(np.exp(-(edges**2))) / np.diff(math.pi * edges**2)  # of N = 2 at omega = 1
    attributes, datasets, groups = fake_result.contents()
    datasets = {name: value for name, value in datasets.items() if "observables" not in name}
    axis = "observables/density/r"
    datasets["input"] = Dataset(deck, "", "deck")
    datasets[axis] = Dataset(0.5 * (edges[1:] + edges[:-1]), "bohr", "r")
    for name, values in {"values": disks, "errors": np.full(25, 1e-3)}.items():
        datasets[f"observables/density/{name}"] = Dataset(values, "bohr^-2 (hbar = m = e = 1)", name, (axis,))
    archive.write_result(tmp_path / "ideal.h5", attributes, datasets, groups)
    axes, below = panel(figures.drawn(observables, read(tmp_path / "ideal.h5")), "$n(r)$")
    assert "ideal gas" in figures.texts(axes)
    assert np.abs(figures.bars(below)[0][:, 1]).max() < 1e-5
    found = stored(electrons, "density")
    gaussian = 2.0 * np.exp(-(found.axes["r"] ** 2)) / math.pi
    assert np.nanmax(np.abs(found.values - gaussian) / found.errors) > 10.0


def test_planes_are_maps_with_a_colour_bar(electrons):
    """The density's cells are the file's, x to the right; beside it the difference from the exact means over cells,
    in colours that are symmetric about zero. Of the density matrix the cut through the middle."""
    figure = figures.drawn(observables, read(electrons))
    meshes = {axes: part for axes in figure.axes for part in axes.collections if hasattr(part, "get_coordinates")}
    maps = [axes for axes in meshes if axes.get_xlabel()]  # a colour bar is a mesh, too
    bars = [axes.get_ylabel() for axes in meshes if axes not in maps]
    meshes = [meshes[axes] for axes in maps]
    density, matrix = stored(electrons, "cartesian_density"), stored(electrons, "density_matrix")
    by_size = {mesh.get_array().shape: mesh for mesh in meshes}
    assert sorted(mesh.get_array().size for mesh in meshes) == [16, 36, 36]
    values, difference = (mesh for mesh in meshes if mesh.get_array().size == 36)
    assert np.array_equal(np.asarray(values.get_array()), density.values.T)
    with results.open(electrons) as result:
        exact = known.means(result.deck["system"], "cartesian_density", density.axes).values
    assert np.asarray(difference.get_array()) == pytest.approx((density.values - exact).T, rel=1e-12)
    low, high = difference.get_clim()
    assert low == -high
    corners = values.get_coordinates()
    width = density.axes["x"][1] - density.axes["x"][0]
    ends = density.axes["x"][[0, -1]] + np.array([-0.5, 0.5]) * width
    assert np.asarray(corners[0, [0, -1], 0]) == pytest.approx(ends)
    assert np.array_equal(np.asarray(by_size[4, 4].get_array()), matrix.values[:, 2, :, 2].T)
    assert any(label.startswith("$n$ (bohr$^{-2}$)") for label in bars)
    assert {(axes.get_xlabel(), axes.get_ylabel()) for axes in maps} == {
        ("$x$ (bohr)", "$y$ (bohr)"),
        ("$x$ (bohr)", "$x'$ (bohr)"),
    }


def test_spins_beside_the_exact_correlations(spins):
    """C(d) and S(q) with the file's bars; the exact ones are those of the diagonalised ring, C(0) = 1 among them."""
    figure = figures.drawn(observables, read(spins))
    for name, label in (("spin_correlation", CORRELATION), ("structure_factor", "$S(q)$")):
        axes, below = panel(figure, label)
        found = stored(spins, name)
        points, halves = figures.bars(axes)
        assert points[:, 1].tolist() == found.values.tolist()
        assert halves == pytest.approx(found.errors, rel=1e-6, abs=1e-12)
        exact = next(line for line in axes.lines if line.get_label() == "diagonalisation").get_ydata()
        assert np.abs(found.values - exact)[1:] == pytest.approx(np.zeros(len(exact) - 1), abs=0.15)
        assert figures.bars(below)[0][:, 1] == pytest.approx(found.values - exact, abs=1e-12)
    assert panel(figure, CORRELATION)[0].lines[1].get_ydata()[0] == pytest.approx(1.0)


def test_numbers_are_a_table_with_what_is_exact(spins, electrons):
    """In the figure as in the table: values with errors, the exact ones, and how many errors are between. A second
    observable of a kind is compared with its own block."""
    (run,) = read(spins)
    lines = {line.split()[0]: line for line in observables.number_lines([run])}
    half, two = run.numbers["renyi"], run.numbers["renyi_2"]
    system = {"kind": "ising", "lattice": [10], "coupling": 1.0, "field": 1.0}
    assert float(half.exact.values) == pytest.approx(float(known.observable(system, "renyi", {}, 5).values))
    assert float(two.exact.values) == pytest.approx(float(known.observable(system, "renyi", {}, 2).values))
    assert float(two.exact.values) != pytest.approx(float(half.exact.values), rel=0.05)
    square = run.numbers["magnetisation_squared"]
    text = (
        f"{results.with_error(float(square.values), float(square.errors)):<16} exact {float(square.exact.values):.7g}"
    )
    assert text in lines["magnetisation_squared"]
    assert "exact 0 " in lines["magnetisation"]
    drawn = figures.drawn(observables, [run]).axes[-1].texts[0].get_text()
    assert drawn.splitlines() == list(lines.values())
    both = observables.number_lines(read(spins, electrons))
    assert [line for line in both if line.endswith(":")] == ["ring:", "electrons:"]
    assert any(line.startswith("pair_distance") and "exact 1.636801" in line for line in both)


def test_several_files_share_the_panels_of_their_kind(electrons, spins, tmp_path):
    """Two files of electrons are two sets of points and one exact curve; spins have panels of their own; maps name
    their file."""
    other = tmp_path / "again.h5"
    other.write_bytes(electrons.read_bytes())
    figure = figures.drawn(observables, read(electrons, other, spins))
    axes, below = panel(figure, "$n(r)$")
    assert figures.texts(axes) == ["exact", "electrons", "again"]
    assert len(below.containers) == 2
    first, second = (part.lines[0] for part in axes.containers)
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert {"density, electrons", "density, again", "density, again, less exact", "structure factor"} < set(titles)
    assert panel(figure, "$S(q)$")


def test_a_density_in_space_is_summed_up_along_z():
    """A map of the integral, in its unit, less the exact one's; its sum with the cells' areas stays N."""
    system = {"kind": "trap", "particles": 2, "dimensions": 3, "omega": 1.0, "interaction": {"kind": "none"}}
    axis = np.linspace(-3.9, 3.9, 14)
    axes = dict.fromkeys("xyz", axis)
    exact = known.means(system, "cartesian_density", axes)
    name = "cartesian_density"
    measured = observables.Measured(name, name, exact.values, None, axes, "bohr^-3", exact)
    values, difference, kept, word = panels.plane(measured)
    assert (kept, word) == (["x", "y"], "integrated along z")
    assert values.sum() * 0.6**2 == pytest.approx(2.0, rel=1e-4)
    assert np.abs(difference).max() == 0.0
    run = observables.Run("gas", "", "finished", system, {}, {name: measured})
    bars = [axes.get_ylabel() for axes in figures.drawn(observables, [run]).axes]
    assert "$n$ (bohr$^{-2}$)" in bars


def test_a_run_in_progress_and_one_without_observables_say_so(tmp_path):
    running = fake_result.write(tmp_path / "running.h5", "running", "production")
    figure = figures.drawn(observables, read(running))
    assert [text.get_text() for text in figure.axes[0].texts] == ["observables come at the end of the run"]
    attributes, datasets, groups = fake_result.contents()
    datasets = {name: value for name, value in datasets.items() if not name.startswith("observables")}
    groups = {name: value for name, value in groups.items() if not name.startswith("observables")}
    archive.write_result(tmp_path / "none.h5", attributes, datasets, groups)
    figure = figures.drawn(observables, read(tmp_path / "none.h5"))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no observables were measured"]
    assert "they come at the end" in scripts.tool("observables.py", running, "--table").stdout


def test_the_command_writes_a_figure_or_the_numbers(electrons, tmp_path):
    """The table has the arrays of one dimension with the file's numbers, and the integrals of densities, which with
    what lies beyond are N; a damaged file is one line, the others are drawn."""
    (tmp_path / "bad.h5").write_text("not HDF5")
    done = scripts.tool("observables.py", electrons, tmp_path / "bad.h5", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "wrote observables.pdf\n")
    assert [str(tmp_path / "bad.h5") in line for line in done.stderr.splitlines()] == [True]
    assert (tmp_path / "observables.pdf").read_bytes().startswith(b"%PDF")
    done = scripts.tool("observables.py", electrons, "--table", cwd=tmp_path)
    blocks = {block.split(":")[0].removeprefix("# "): block for block in done.stdout.split("\n\n")}
    rows = [line.split() for line in blocks["pair_correlation"].splitlines() if not line.startswith("#")]
    found = stored(electrons, "pair_correlation")
    assert [float(row[1]) for row in rows] == pytest.approx(found.values, rel=1e-6)
    inside = float(blocks["pair_correlation"].split("integral ")[1].split(";")[0])
    assert inside + stored(electrons, "pair_correlation_beyond").values == pytest.approx(1.0, rel=1e-5)
    assert "6 x 6 by x, y" in blocks["cartesian_density"]
    assert "python analysis/observables.py two_electrons.h5" in scripts.tool("observables.py", "--help").stdout


def test_reading_imports_neither_mpi_nor_kernels(electrons, spins):
    done = scripts.tool("observables.py", electrons, spins, "--table", guard=True)
    assert (done.returncode, done.stderr) == (0, "")
