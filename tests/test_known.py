"""What is known exactly of a deck's system: curves against tabulated moments, closed forms and dense matrices."""

import itertools
import math
import tomllib
from pathlib import Path

import exact_spins
import numpy as np
import pytest

from parvmc import config, declarations, known, references, spin_curves
from parvmc.lattice import Lattice

INPUTS = Path(__file__).parents[1] / "inputs"
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def trap(particles=2, dimensions=2, omega=1.0, kind="coulomb", **more):
    """The table [system] of a trap."""
    pair = {"kind": kind} | more
    return {"kind": "trap", "particles": particles, "dimensions": dimensions, "omega": omega, "interaction": pair}


def radial(dimensions, reach):
    """Return (r, weights) of an integral over all space of a function of r."""
    r = 0.5 * reach * (NODES + 1.0)
    sphere = {1: 2.0 * np.ones_like(r), 2: 2.0 * math.pi * r, 3: 4.0 * math.pi * r**2}[dimensions]
    return r, 0.5 * reach * WEIGHTS * sphere


# --- energies


@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_energy_of_a_decks_text_is_that_of_its_hamiltonian(path):
    """The reader's route, by text alone, and the program's, by its components, agree for every deck that is shipped."""
    deck = config.loads(path.read_text())
    system = tomllib.loads(config.dumps(deck))["system"]
    assert known.energy(system) == declarations.reference_energy(deck.system)


def test_of_other_systems_nothing_is_known():
    assert known.energy({"kind": "heisenberg", "lattice": [20], "anisotropy": 0.5}) is None
    assert known.energy({"kind": "unheard of"}) is None
    assert known.observable({"kind": "unheard of"}, "density", {}) is None
    assert known.observable(trap(3), "density", {"r": np.ones(2)}) is None
    assert known.observable(trap(omega=0.33), "pair_correlation", {"r": np.ones(2)}) is None
    assert known.observable(trap(kind="none", omega=[1.0, 2.0]), "density", {"r": np.ones(2)}) is None
    assert known.observable(trap(), "density_matrix", {"x": np.ones(2), "x_prime": np.ones(2)}) is None


# --- two electrons


@pytest.mark.parametrize(("dimensions", "omega"), references.TWO_ELECTRONS)
def test_the_curves_of_two_electrons_have_the_tables_moments(dimensions, omega):
    """<r12>, <1/r12> and <r^2>, which the table has from elsewhere, and the norms, to 1e-7; those of a neighbour in
    the table are not met (control)."""
    row = references.TWO_ELECTRONS[dimensions, omega]
    system = trap(2, dimensions, omega, strength=1.0)
    r, weights = radial(dimensions, 9.0 / math.sqrt(omega))
    pair, density = (known.observable(system, name, {"r": r}).values for name in ("pair_correlation", "density"))
    assert np.sum(weights * pair) == pytest.approx(1.0, rel=1e-9)
    assert np.sum(weights * density) == pytest.approx(2.0, rel=1e-9)
    assert np.sum(weights * pair * r) == pytest.approx(row.pair_distance, rel=1e-7)
    assert np.sum(weights * pair / r) == pytest.approx(row.interaction, rel=1e-7)
    assert 0.5 * np.sum(weights * density * r**2) == pytest.approx(row.squared_radius, rel=1e-7)
    if dimensions == 2 and omega > 0.01:
        r, weights = radial(2, 9.0 / math.sqrt(1.05 * omega))
        wrong = np.sum(weights * known.observable(system, "pair_correlation", {"r": r * math.sqrt(1.05)}).values)
        assert abs(wrong - 1.0) > 1e-2


def test_the_pair_correlation_in_closed_form():
    """(1 + r)^2 exp(-r^2 / 2) / (2 pi (3 + sqrt(2 pi))) in two dimensions at omega = 1; at other strengths the same in
    other lengths."""
    r = np.linspace(0.0, 7.0, 50)
    closed = (1.0 + r) ** 2 * np.exp(-0.5 * r**2) / (2.0 * math.pi * (3.0 + math.sqrt(2.0 * math.pi)))
    found = known.observable(trap(strength=1.0), "pair_correlation", {"r": r})
    assert found.values == pytest.approx(closed, rel=1e-9)
    strong = known.observable(trap(omega=4.0, strength=2.0), "pair_correlation", {"r": 0.5 * r})
    assert strong.values == pytest.approx(4.0 * closed, rel=1e-9)


def test_the_density_in_a_plane_is_the_radial_one():
    x, y = np.linspace(-3.0, 3.0, 13), np.linspace(0.0, 2.0, 5)
    plane = known.observable(trap(strength=1.0), "cartesian_density", {"x": x, "y": y}).values
    radii = np.hypot(x[:, np.newaxis], y)
    line = known.observable(trap(strength=1.0), "density", {"r": radii.ravel()}).values
    assert plane.ravel() == pytest.approx(line, rel=1e-12)


def test_on_a_fine_grid_it_is_interpolated():
    x = np.linspace(-4.0, 4.0, 80)
    plane = known.observable(trap(strength=1.0), "cartesian_density", {"x": x, "y": x}).values
    line = known.observable(trap(strength=1.0), "density", {"r": np.hypot(x[3], x)}).values
    assert plane[3] == pytest.approx(line, rel=1e-5, abs=1e-9)


# --- the ideal gas


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_ideal_gas_has_its_particles_and_lengths(dimensions):
    """n integrates to N, g to the pairs; <r>, <r^2> and <r12> are those of `references`."""
    system = trap(3, dimensions, 0.7, "none")
    row = references.exact(3, dimensions, [0.7] * dimensions, "none", 0.0)
    r, weights = radial(dimensions, 14.0)
    density, pair = (known.observable(system, name, {"r": r}).values for name in ("density", "pair_correlation"))
    assert np.sum(weights * density) == pytest.approx(3.0, rel=1e-9)
    assert np.sum(weights * pair) == pytest.approx(3.0, rel=1e-9)
    assert np.sum(weights * density * r) / 3.0 == pytest.approx(row.radius, rel=1e-9)
    assert np.sum(weights * density * r**2) / 3.0 == pytest.approx(row.squared_radius, rel=1e-9)
    assert np.sum(weights * pair * r) / 3.0 == pytest.approx(row.pair_distance, rel=1e-9)


def test_the_density_matrix_of_the_ideal_gas_is_a_projector():
    """Its diagonal is the density, rho rho = N rho, in an anisotropic trap; one orbital holds all particles."""
    system = trap(4, 2, [1.0, 2.5], "none")
    x, y = 8.0 * NODES[::5], 8.0 * NODES[2::5]
    diagonal = known.observable(system, "density_matrix", {"x": x[40:42], "y": y[40:41]} | _primed(x[40:42], y[40:41]))
    density = known.observable(system, "cartesian_density", {"x": x[40:42], "y": y[40:41]}).values
    assert [diagonal.values[i, 0, i, 0] for i in range(2)] == pytest.approx(density[:, 0])
    line = trap(4, 1, 1.0, "none")
    places = {"x": 7.0 * NODES, "x_prime": 7.0 * NODES}
    rho = known.observable(line, "density_matrix", places).values
    assert (rho * 7.0 * WEIGHTS) @ rho == pytest.approx(4.0 * rho, rel=1e-9)
    occupied = known.observable(line, "density_matrix_occupations", {"orbital": np.arange(1, 4)})
    assert occupied.values.tolist() == [4.0, 0.0, 0.0]


def _primed(x, y):
    return {"x_prime": x, "y_prime": y}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_means_over_shells_add_up(dimensions):
    """Their sum with the shells' volumes is the integral, which the values at the middles miss (control)."""
    system = trap(2, dimensions, 0.5, strength=1.0)
    edges = np.linspace(0.0, 12.0, 25)
    axes = {"r": 0.5 * (edges[1:] + edges[:-1])}
    volumes = np.diff({2: math.pi * edges**2, 3: 4.0 / 3.0 * math.pi * edges**3}[dimensions])
    assert np.sum(volumes * known.means(system, "density", axes).values) == pytest.approx(2.0, rel=1e-4)
    assert abs(np.sum(volumes * known.observable(system, "density", axes).values) - 2.0) > 1e-3


def test_means_over_cells_are_those_of_fine_sums():
    system = trap(2, 2, [0.5, 2.0], "none")
    axes = {"x": np.array([-1.5, 0.0, 1.5]), "y": np.array([-0.5, 0.5])}
    found = known.means(system, "cartesian_density", axes).values
    inside = (np.arange(200) + 0.5) / 200 - 0.5
    for (i, x), (k, y) in itertools.product(enumerate(axes["x"]), enumerate(axes["y"])):
        fine = known.observable(system, "cartesian_density", {"x": x + 1.5 * inside, "y": y + inside}).values
        assert found[i, k] == pytest.approx(fine.mean(), rel=1e-3)


# --- spins


def dense(system):
    """(configurations, ground state) of a table [system] by the tests' own matrices."""
    shape, periodic = tuple(system["lattice"]), system.get("periodic", True)
    sites = math.prod(shape)
    if system["kind"] == "ising":
        matrix = exact_spins.ising(shape, periodic, system["coupling"], system["field"])
    else:
        matrix = exact_spins.exchange(sites, exact_spins.bonds(shape, periodic), 1.0, system.get("anisotropy", 1.0))
        if system["kind"] == "j1j2":
            matrix = matrix + exact_spins.exchange(sites, exact_spins.bonds(shape, periodic, True), system["j2"])
    spins, matrix = exact_spins.configurations(sites), matrix.toarray()
    kept = np.arange(len(spins))
    if system["kind"] != "ising" and system.get("magnetisation") != "any":
        kept = np.flatnonzero(spins.sum(axis=1) == system.get("magnetisation", 0))
    psi = np.zeros(len(spins))
    psi[kept] = np.linalg.eigh(matrix[np.ix_(kept, kept)])[1][:, 0]
    return spins, psi


def ising(coupling, field, lattice=(8,), **more):
    """The table [system] of Ising spins."""
    return {"kind": "ising", "lattice": list(lattice), "coupling": coupling, "field": field} | more


SYSTEMS = {
    "ring": ising(1.0, 0.7),
    "ring, antiferromagnetic": ising(-0.8, 1.3),
    "ring, field below zero": ising(1.0, -2.0),
    "chain, open": ising(1.0, 1.0, (7,), periodic=False),
    "rectangle": ising(1.0, 2.0, (2, 4)),
    "Heisenberg": {"kind": "heisenberg", "lattice": [8]},
    "anisotropic": {"kind": "heisenberg", "lattice": [2, 4], "anisotropy": 0.7},
    "J1-J2": {"kind": "j1j2", "lattice": [8], "j1": 1.0, "j2": 0.3},
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("route", ["diagonalisation", "closed form"])
def test_spins_are_those_of_a_dense_matrix(name, route, monkeypatch):
    """Correlations by displacement, structure factor, moments and entropy against the tests' Hamiltonian; rings of
    Ising spins by free fermions too, the neighbours of Heisenberg's from the energy."""
    system = SYSTEMS[name]
    spins, psi = dense(system)
    lattice, weights = Lattice(tuple(system["lattice"]), system.get("periodic", True)), psi**2
    if route == "closed form":
        monkeypatch.setattr(spin_curves, "MOST_STATES", 0)
        spin_curves.ground.cache_clear()
    else:
        spin_curves.ground.cache_clear()
    chain = len(lattice.shape) == 1
    reach = [side // 2 if lattice.periodic else side - 1 for side in lattice.shape]
    axes = {"d": np.arange(reach[0] + 1)} if chain else {"x": np.arange(2), "y": np.arange(-1, 3)}
    found = known.observable(system, "spin_correlation", axes)
    ring = system["kind"] == "ising" and chain and lattice.periodic
    if route == "closed form" and not ring and name != "Heisenberg":
        assert found is None
        return
    expected = np.full(found.values.shape, np.nan)
    for at, step in zip(np.ndindex(expected.shape), itertools.product(*axes.values()), strict=True):
        apart = lattice.separations
        same = (apart == step).all(axis=-1) | (apart == np.negative(step)).all(axis=-1)
        pairs = np.argwhere(same)
        expected[at] = np.mean([weights @ (spins[:, i] * spins[:, k]) for i, k in pairs])
    if route == "closed form" and name == "Heisenberg":
        assert found.values[:2] == pytest.approx(expected[:2], abs=1e-9)
        assert np.isnan(found.values[2:]).all()
        assert known.observable(system, "structure_factor", {"q": np.zeros(1)}) is None
        return
    assert found.values == pytest.approx(expected, abs=1e-10)
    waves = [2.0 * math.pi * np.arange(2) / side for side in lattice.shape]
    q = dict(zip(["q"] if chain else ["q_x", "q_y"], waves, strict=True))
    factor = known.observable(system, "structure_factor", q).values
    for at, wave in zip(np.ndindex(factor.shape), itertools.product(*q.values()), strict=True):
        amplitude = spins @ np.exp(1j * lattice.coordinates @ np.array(wave))
        assert factor[at] == pytest.approx(weights @ np.abs(amplitude) ** 2 / lattice.sites, abs=1e-9)
    m = spins.mean(axis=1)
    square = known.observable(system, "magnetisation_squared", {}).values
    assert square == pytest.approx(weights @ m**2, abs=1e-10)
    if route == "diagonalisation":
        size = known.observable(system, "magnetisation_absolute", {}).values
        assert size == pytest.approx(weights @ np.abs(m), abs=1e-10)
        if square > 1e-9:
            cumulant = 1.0 - weights @ m**4 / (3.0 * (weights @ m**2) ** 2)
            assert known.observable(system, "magnetisation_binder", {}).values == pytest.approx(cumulant)
    table = psi.reshape(2**3, -1)  # sites 0, 1, 2 are the most significant bits
    purity = np.sum((table @ table.T) ** 2)
    assert known.observable(system, "renyi_swap", {}, 3).values == pytest.approx(purity, rel=1e-9)
    assert known.observable(system, "renyi", {}, [2, 0, 1]).values == pytest.approx(-math.log(purity), rel=1e-9)


def test_a_degenerate_ground_state_has_no_correlations_of_its_own():
    """Nine spins have an odd number of them: two states share the lowest energy."""
    spin_curves.ground.cache_clear()
    system = {"kind": "heisenberg", "lattice": [3, 3], "magnetisation": "any"}
    assert known.observable(system, "magnetisation", {}) is None
