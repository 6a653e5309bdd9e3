"""Observables: kernels against naive twins, ideal bosons in closed form, and what a run makes of them."""

import math
from pathlib import Path

import h5py
import lanes
import numba
import numpy as np
import pytest
from conftest import TWO_ELECTRONS
from files import assert_same_bits, content
from scipy import stats

from parvmc import config, declarations, operations, results, spaces
from parvmc.deck import OBSERVABLES
from parvmc.observables import common, density_matrix
from parvmc.observables.several import Observables
from parvmc.randoms import Purpose, streams, uniform
from parvmc.schema import DeckError

INPUTS = Path(__file__).parent.parent / "inputs"
OMEGA = 0.7
FALSE_ALARM = 1e-5  # of each chi-square test below
OF_PARTICLES = {kind: made for kind, made in OBSERVABLES.items() if spaces.Space in declarations.spaces(made())}
SIZES = {"density": 20, "cartesian_density": 6, "pair_correlation": 20, "density_matrix": 4}


@numba.njit
def _measure(observable, state, positions, randoms, rows):
    batches, units, lanes = positions.shape
    work = operations.workspace(state, lanes)
    for batch in range(batches):
        operations.rebuild(state, work, positions[batch])
        scratch = np.full((units + 16, lanes), np.nan)
        operations.measure(observable, state, work, positions[batch], randoms[batch], scratch, rows[batch])


def observed(dimensions, positions, extent, particles=2, **bins):
    """Return {name: Quantity} of all observables for ideal bosons at positions float64[batches, units, lanes]."""
    space = declarations.space(lanes.system(particles, dimensions, "none", omega=OMEGA))
    sizes = {name: {"bins": count} for name, count in (SIZES | bins).items()}
    several = Observables(tuple(made(**sizes.get(kind, {})) for kind, made in OF_PARTICLES.items()), space)
    state, parameters = lanes.machine(lanes.system(particles, dimensions, "none", omega=OMEGA), hidden=0)
    parameters[0]["a"][:] = 0.0
    parameters[0]["sigma"][:] = 1.0 / math.sqrt(2.0 * OMEGA)  # |psi|^2 = exp(-x^2 omega)
    batches = positions.shape[0]
    rows, pack = np.zeros((batches, several.size)), several.pack(extent)
    randoms = streams(8, Purpose.PRODUCTION, range(batches), positions.shape[2])
    _measure(pack, state.pack(parameters), positions, randoms, rows)
    return several.quantities(extent, rows[np.newaxis])


def ideal_gas(dimensions, particles=2, batches=256, walkers=256):
    """Return independent walkers of the ideal gas: a Gaussian of variance 1/(2 omega) along each axis."""
    normal = np.random.default_rng(dimensions).standard_normal((batches, particles * dimensions, walkers))
    return normal / math.sqrt(2.0 * OMEGA)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_kernels_count_what_loops_count(dimensions):
    """Three particles at random places, some outside of every range: numpy's histograms and means, walker by walker."""
    positions, extent = (
        ideal_gas(dimensions, particles=3, batches=2, walkers=40),
        np.array([1.5, 1.2, 1.0])[:dimensions],
    )
    found = observed(dimensions, positions, extent, particles=3)
    walkers = positions.transpose(0, 2, 1).reshape(80, 3, dimensions)
    radii = np.linalg.norm(walkers, axis=2).ravel()
    pairs = np.stack([walkers[:, i] - walkers[:, j] for j in range(3) for i in range(j)])
    distances = np.linalg.norm(pairs, axis=2).ravel()
    for name, values, reach in (("density", radii, extent.max()), ("pair_correlation", distances, 2.0 * extent.max())):
        counts, edges = np.histogram(values, 20, (0.0, reach))
        volumes = common.shell_volumes(edges, dimensions)
        np.testing.assert_allclose(found[name].values, counts / 80 / volumes, rtol=1e-12)
        assert found[f"{name}_beyond"].values == pytest.approx((values.size - counts.sum()) / 80, abs=1e-12)
    grid = np.histogramdd(walkers.reshape(-1, dimensions), 6, [(-reach, reach) for reach in extent])[0]
    cell = np.prod(extent / 3.0)
    np.testing.assert_allclose(found["cartesian_density"].values, grid / 80 / cell, rtol=1e-12)
    assert found["cartesian_density_beyond"].values == pytest.approx((240 - grid.sum()) / 80, abs=1e-12)
    assert 0 < grid.sum() < 240
    for name, values in (("radius", radii), ("squared_radius", radii**2), ("pair_distance", distances)):
        assert found[name].values == pytest.approx(values.mean(), rel=1e-12)
    np.testing.assert_allclose(found["density_matrix"].values, naive_matrix(positions, extent), rtol=1e-9, atol=1e-15)


def naive_matrix(positions, extent, particles=3, bins=4):
    """The density matrix with the kernel's random numbers and psi = exp(-omega x^2 / 2), one displaced point a time."""
    batches, units, walkers = positions.shape
    dimensions, randoms = units // particles, streams(8, Purpose.PRODUCTION, range(batches), walkers)
    matrix, shape = np.zeros((bins**dimensions, bins**dimensions)), (bins,) * dimensions
    extent = density_matrix.REACH * extent
    for batch in range(batches):
        for particle in range(particles):
            place = np.empty((dimensions, walkers))
            for axis in range(dimensions):
                uniform(randoms[batch], place[axis])
            for lane in range(walkers):
                x = positions[batch, particle * dimensions : (particle + 1) * dimensions, lane]
                other = extent * (2.0 * place[:, lane] - 1.0)
                if (np.abs(x) < extent).all():
                    cells = [
                        np.ravel_multi_index(tuple(((y + extent) / extent * bins / 2).astype(int)), shape)
                        for y in (x, other)
                    ]
                    q = math.exp(0.5 * OMEGA * (x @ x - other @ other))
                    matrix[cells[0], cells[1]] += 2.0 * q / (1.0 + q**2)
    box = np.prod(2.0 * extent)
    matrix *= box / (batches * walkers) / (box / bins**dimensions) ** 2
    return (0.5 * (matrix + matrix.T)).reshape(2 * shape)


def chi_square(counts, probabilities):
    """Return how probable it is that independent draws disagree more with these probabilities; rare bins are pooled."""
    total = counts.sum()
    often = probabilities * total >= 10.0
    counts = np.append(counts[often], counts[~often].sum())
    expected = np.append(probabilities[often], probabilities[~often].sum()) * total
    if expected[-1] < 10.0:
        counts, expected = np.append(counts[:-2], counts[-2:].sum()), np.append(expected[:-2], expected[-2:].sum())
    return stats.chisquare(counts, expected).pvalue


def shell_probabilities(edges, dimensions, variance):
    """Return the probabilities of shells, and of what lies beyond, for a Gaussian of this variance along each axis."""
    cumulative = stats.chi(dimensions, scale=math.sqrt(variance)).cdf(edges)
    return np.append(np.diff(cumulative), 1.0 - cumulative[-1])


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_free_bosons_have_a_gaussian_density_bin_by_bin(dimensions):
    """Density, its grid, pair correlation, lengths and occupation of 65,536 independent walkers: closed forms.

    Each chi-square test gives 1 false alarm in 10^5 samples; the control is the same at an omega 5 % off, rejected.
    """
    positions, extent = ideal_gas(dimensions), np.full(dimensions, 3.2)
    found = observed(dimensions, positions, extent, density=60, cartesian_density=8, pair_correlation=60)
    walkers = positions.shape[0] * positions.shape[2]
    for name, number, variance, reach in (("density", 2, 0.5, 3.2), ("pair_correlation", 1, 1.0, 6.4)):
        edges = np.linspace(0.0, reach, 61)
        held = found[name].values * common.shell_volumes(edges, dimensions)
        counts = np.append(held, found[f"{name}_beyond"].values) * walkers
        assert counts.sum() == pytest.approx(number * walkers, rel=1e-12)  # the integral is N, or the number of pairs
        assert chi_square(counts, shell_probabilities(edges, dimensions, variance / OMEGA)) > FALSE_ALARM
        assert chi_square(counts, shell_probabilities(edges, dimensions, variance / (1.05 * OMEGA))) < FALSE_ALARM
        expected = number * shell_probabilities(edges, dimensions, variance / OMEGA)[:-1]
        often = expected * walkers > 20.0
        deviations = (held - expected)[often]
        spread = (found[name].errors * common.shell_volumes(edges, dimensions))[often]
        assert 0.4 < np.mean((deviations / spread) ** 2) < 2.0  # about 40 degrees of freedom: 1 +- 0.23
    side = np.diff(stats.norm.cdf(np.linspace(-3.2, 3.2, 9) * math.sqrt(2.0 * OMEGA)))
    inside = side if dimensions == 1 else np.multiply.outer(side, side if dimensions == 2 else np.outer(side, side))
    cells = found["cartesian_density"].values * (6.4 / 8) ** dimensions
    counts = np.append(cells.ravel(), found["cartesian_density_beyond"].values) * walkers
    assert counts.sum() == pytest.approx(2 * walkers, rel=1e-12)
    assert chi_square(counts, np.append(inside.ravel(), 1.0 - inside.sum())) > FALSE_ALARM

    exact = results.references.exact(2, dimensions, (OMEGA,) * dimensions, "none", 0.0)
    known = {name: getattr(exact, name) for name in results.SCALAR_OBSERVABLES}
    # one cell's part of the ground orbital: a projection on functions that are constant in each cell
    amplitude = math.sqrt(math.sqrt(OMEGA / math.pi)) * math.sqrt(2.0 * math.pi / OMEGA)
    half = density_matrix.REACH * 3.2
    part = amplitude * np.diff(stats.norm.cdf(np.linspace(-half, half, 5) * math.sqrt(OMEGA)))
    known["density_matrix_trace"] = 2.0 * ((part**2).sum() / (half / 2.0)) ** dimensions  # a cell's edge is half / 2
    for name, value in known.items():
        assert abs(found[name].values - value) < 4.5 * found[name].errors, name
        assert abs(1.05 * found[name].values - value) > 4.5 * found[name].errors or "matrix" in name
        assert found[name].errors < 0.03 * value
    # all are in one orbital: the first occupation is the trace, but for noise, which raises it, and the others are nil
    occupations, first = found["density_matrix_occupations"], known["density_matrix_trace"]
    assert occupations.values[0] == pytest.approx(first, abs=4.5 * occupations.errors[0] + 0.02 * first)
    assert abs(occupations.values[1:]).max() < 0.2 * first
    assert occupations.values.sum() == pytest.approx(found["density_matrix_trace"].values, rel=1e-9)


def test_errors_see_correlation_and_constants():
    """AR(1) rows of 40 batches, correlation 0.8: three times the naive error; a constant has none; two rows: batches.

    The mean of 200 squared errors is known to 4 % at 40 rows; what is asserted is 20 %.
    """
    generator = np.random.default_rng(4)
    rows = generator.standard_normal((48, 40, 200))
    for row in range(1, 48):
        rows[row] = 0.8 * rows[row - 1] + 0.6 * rows[row]
    truth = rows.mean(axis=0).std() / math.sqrt(40)
    naive = 1.0 / math.sqrt(48 * 40)
    found = math.sqrt(np.mean(common.errors(rows) ** 2))
    assert found == pytest.approx(truth, rel=0.2)
    assert found > 2.0 * naive
    assert (common.errors(np.full((48, 3, 2), 0.1)) == 0.0).all()
    assert common.errors(rows[:2])[0] == pytest.approx(rows[:2, :, 0].mean(axis=0).std(ddof=1) / math.sqrt(40))
    assert np.isnan(common.errors(rows[:2, :1])).all()
    rows[5, 3, 1] = np.inf
    assert np.isnan(common.errors(rows)[:3]).tolist() == [False, True, False]


def test_what_cannot_be_measured_is_refused():
    """No pair in a system of one particle; too many cells, with how many can be; an unknown name, with the nearest."""
    one = declarations.space(lanes.system(1, 2, "none"))
    for kind in ("pair_correlation", "pair_distance"):
        assert "one particle" in declarations.problems(OBSERVABLES[kind](), one)[0][1]
    assert "at most 256" in declarations.problems(OBSERVABLES["cartesian_density"](bins=300), one)[0][1]
    assert "at most 16" in declarations.problems(OBSERVABLES["density_matrix"](bins=17), one)[0][1]
    assert declarations.problems(OBSERVABLES["density_matrix"](bins=16), one) == []
    with pytest.raises(DeckError, match='did you mean "density"'):
        config.loads(DECK, ['production.observables=["densty"]'])


def test_a_kind_may_be_there_twice():
    """The second gets a number: two ranges of the density, and the default range is what walkers reach."""
    settings = (OBSERVABLES["density"](bins=2), OBSERVABLES["density"](bins=4, range=2.0))
    several = Observables(settings, declarations.space(lanes.system(2, 2, "none")))
    found = several.quantities(np.array([3.0, 5.0]), np.ones((16, 2, several.size)))
    assert list(found) == ["density", "density_beyond", "density_2", "density_2_beyond"]
    assert found["density"].axes["r"][0].tolist() == [1.25, 3.75]
    assert found["density_2"].axes["r"][0].tolist() == [0.25, 0.75, 1.25, 1.75]


DECK = f"""
seed = 5
{TWO_ELECTRONS}hidden = 1

[sampler]
walkers = 256
lanes = 32
equilibration = 40

[optimizer]
iterations = 2

[production]
samples = 51_200
"""
ALL = """production.observables=["density", {kind="cartesian_density", bins=6},
    {kind="pair_correlation", bins=30, range=4.0}, "radius", "squared_radius", "pair_distance",
    {kind="density_matrix", bins=4}]"""


@pytest.fixture
def run(parvmc, tmp_path):
    """Return a function that runs the deck with some observables and returns what was printed."""
    (tmp_path / "run.toml").write_text(DECK)

    def call(output, *options, observables=ALL, **more):
        process = parvmc("run.toml", "-o", output, "--set", observables.replace("\n", ""), *options, **more)
        assert process.returncode == 0, process.stderr
        return process.stdout

    return call


@pytest.mark.mpi
def test_a_run_reports_them_with_the_same_bits_on_any_number_of_ranks(run, tmp_path):
    """One rank, three, and two that extend a shorter run: the result files agree to the bit, and hold all of them."""
    run("one.h5")
    run("three.h5", ranks=3)
    assert_same_bits(tmp_path / "three.h5", tmp_path / "one.h5")
    run("longer.h5", "--set", "production.samples=25_600")
    run("longer.h5", "--resume", ranks=2)
    assert_same_bits(tmp_path / "longer.h5", tmp_path / "one.h5")
    with results.open(tmp_path / "one.h5") as result:
        found = {name: result.observable(name) for name in result.observable_names}
        energy, trap = result.scalar("energy"), result.scalar("trap")
    assert set(found) >= {*OF_PARTICLES, "density_matrix_occupations", "density_matrix_trace", "density_beyond"}
    for name, quantity in found.items():
        assert np.isfinite(quantity.values).all(), name
        assert np.all((quantity.errors >= 0.0) | (quantity.values == 0.0)), name  # where nothing was counted: nan
        assert np.shape(quantity.errors) == np.shape(quantity.values)
        assert [len(axis) for axis in quantity.axes.values()] == list(np.shape(quantity.values))
    assert list(found["density_matrix"].axes) == ["x", "y", "x_prime", "y_prime"]
    radii = found["density"].axes["r"]
    held = found["density"].values * 2.0 * math.pi * radii * (radii[1] - radii[0])
    assert held.sum() + found["density_beyond"].values == pytest.approx(2.0, rel=1e-12)
    # the trap's energy is omega^2 <r^2> / 2 for each of both: the same walkers, but for rows not yet full
    assert found["squared_radius"].values == pytest.approx(trap, rel=0.02)
    assert energy > 3.0
    with h5py.File(tmp_path / "one.h5") as file:
        assert file["observables/density/values"].dims[0].keys()
        assert file["observables/density/errors"].attrs["units"] == "bohr^-2 (hbar = m = e = 1)"


def test_two_electrons_in_their_exact_state(parvmc, tmp_path):
    """(1 + r12) exp(-(r1^2 + r2^2) / 2): lengths and components of the exact table, within 4.5 errors.

    Its pair correlation is (1 + r)^2 exp(-r^2 / 2) / (2 pi (3 + sqrt(2 pi))): deviations squared in units of the errors
    are 1 on average, within 0.6 for some 50 bins; without the cusp, (1 + r)^2 left out, they are not (control).
    """
    process = parvmc(INPUTS / "two_electrons_exact.toml", "-o", "run.h5", "--set", "production.samples=1_048_576")
    assert process.returncode == 0, process.stderr
    with results.open(tmp_path / "run.h5") as result:
        for name, value in result.exact_observables.items():
            found = result.observable(name)
            assert abs(found.values - value) < 4.5 * found.errors, name
            assert found.errors < 3e-3 * value
        for name, value in result.exact_components.items():
            assert abs(result.scalar(name) - value) < 4.5 * result.scalar(f"{name}_error"), name
        g = result.observable("pair_correlation")
    middle = g.axes["r"]
    radii = middle[:, np.newaxis] + np.linspace(-0.5, 0.5, 101) * (middle[1] - middle[0])

    def deviations(form):
        """The mean of ((g - form) / error)^2, form averaged over each shell, where shells are well filled."""
        expected = (form(radii) * radii).mean(axis=1) / middle
        often = g.values * 2.0 * math.pi * middle * (middle[1] - middle[0]) > 1e-4
        assert often.sum() > 40
        return np.mean(((g.values - expected)[often] / g.errors[often]) ** 2)

    norm = 2.0 * math.pi * (3.0 + math.sqrt(2.0 * math.pi))
    assert abs(deviations(lambda r: (1.0 + r) ** 2 * np.exp(-0.5 * r**2) / norm) - 1.0) < 0.6
    assert deviations(lambda r: np.exp(-0.5 * r**2) / (2.0 * math.pi)) > 10.0


def test_counting_leaves_the_walk_as_it_is(run, tmp_path):
    """The energies of a run that counts and of one that does not have the same bits (control: another seed)."""
    run("none.h5", observables="production.observables=[]")
    run("some.h5", observables='production.observables=["density"]')
    run("other.h5", "--seed", 6, observables="production.observables=[]")
    none, some, other = (content(tmp_path / f"{name}.h5") for name in ("none", "some", "other"))
    assert [name for name in none if none[name] != some[name]] == []
    assert none["result/energy"] != other["result/energy"]


def test_check_states_their_memory(run, tmp_path):
    """Numbers at every step, memory per rank and what rank 0 needs at the end; a larger grid needs more."""
    line = next(line for line in run("none.h5", "--check").splitlines() if line.startswith("# observables"))
    assert "308 numbers at every step, in 64 rows for each batch" in line
    assert "per rank, rank 0 2.5 MB more at the end" in line
    larger = run("none.h5", "--check", observables='production.observables=[{kind="cartesian_density", bins=200}]')
    assert "40001 numbers" in larger
    assert "rank 0 327.7 MB more" in larger
    assert not (tmp_path / "none.h5").exists()
