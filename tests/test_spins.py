"""Spin Hamiltonians against matrices of all configurations, and their known ground states against diagonalisation."""

import exact_spins
import numpy as np
import pytest
import spin_tables

from parvmc import declarations
from parvmc.hamiltonians import heisenberg, ising, j1j2
from parvmc.lattice import Lattice
from parvmc.spin_references import heisenberg_energy, heisenberg_ring, ising_ring

SHAPES = [(2,), (3,), (4,), (5,), (6,), (7,), (8,), (9,), (10,), (2, 2), (2, 3), (2, 4), (3, 3)]


def models(shape, periodic):
    """Yield (settings, matrix H by Kronecker products) of all models on a lattice, Marshall rotation on and off."""
    sites = int(np.prod(shape))
    near, far = (exact_spins.bonds(shape, periodic, further) for further in (False, True))
    yield (
        ising.Settings(lattice=shape, periodic=periodic, coupling=0.7, field=1.3),
        exact_spins.ising(shape, periodic, 0.7, 1.3),
    )
    two = periodic and any(side % 2 for side in shape)
    for marshall in ("auto", False) if two else ("auto", True, False):
        for coupling, anisotropy in ((1.2, 1.0), (0.9, -0.4), (-0.8, 2.5)):
            matrix = exact_spins.exchange(sites, near, coupling, anisotropy)
            if marshall is True or (marshall == "auto" and coupling > 0.0 and not two):
                matrix = exact_spins.turned(shape, matrix)
            more = {"coupling": coupling, "anisotropy": anisotropy, "marshall": marshall}
            yield heisenberg.Settings(lattice=shape, periodic=periodic, magnetisation="any", **more), matrix
        system = j1j2.Settings(lattice=shape, periodic=periodic, magnetisation="any", j1=1.1, j2=0.6, marshall=marshall)
        if periodic and len(shape) == 1 and sites < 5:
            continue  # the next neighbours on either side are the same site, or nearest ones
        matrix = exact_spins.exchange(sites, near, 1.1) + exact_spins.exchange(sites, far, 0.6)
        on = marshall is True or (marshall == "auto" and not two)
        yield system, exact_spins.turned(shape, matrix) if on else matrix


CASES = [(shape, periodic) for shape in SHAPES for periodic in (True, False) if not periodic or min(shape) > 2]


@pytest.mark.parametrize(("shape", "periodic"), CASES)
@pytest.mark.parametrize("complex_valued", [False, True])
def test_local_energies_are_those_of_the_matrix(shape, periodic, complex_valued):
    """(H psi)(s) / psi(s) of all 2^n configurations to 1e-10, for a psi that is random numbers; so all of H is seen."""
    for system, matrix in models(shape, periodic):
        pack = spin_tables.table(declarations.space(system), complex_valued=complex_valued)
        psi = spin_tables.amplitudes(pack)
        expected = matrix @ psi / psi
        found = spin_tables.local_energy(system, pack, complex_valued)
        assert found[1] == pytest.approx(expected.real, rel=1e-10, abs=1e-10)
        assert np.array_equal(found[0], found[1])
        assert found[2] == pytest.approx(matrix.diagonal(), rel=1e-12, abs=1e-12)
        assert found[2] + found[3] == pytest.approx(found[1], rel=1e-12, abs=1e-12)
        if complex_valued:
            assert found[4] == pytest.approx(expected.imag, rel=1e-10, abs=1e-10)
            assert np.abs(found[4]).max() > 0.1


def test_a_wrong_marshall_sign_would_be_seen():
    """The control: against the matrix that is not turned, local energies are off by more than one."""
    system = heisenberg.Settings(lattice=(6,), marshall=True)
    pack = spin_tables.table(declarations.space(system))
    psi = spin_tables.amplitudes(pack)
    straight = exact_spins.exchange(6, exact_spins.bonds((6,), True), 1.0) @ psi / psi
    assert np.abs(spin_tables.local_energy(system, pack, False)[1] - straight.real).max() > 1.0


def matrix_of(system):
    """Return H as the kernel has it, column by column: what the local energies gain where one amplitude of psi = 1
    becomes 2 are the elements beside the diagonal."""
    space = declarations.space(system)
    pack = spin_tables.table(space, spread=0.0)
    size = 2**space.units
    base = spin_tables.local_energy(system, pack, False)
    found = np.diag(base[2])
    for column in range(size):
        pack.logarithms[0, column] = np.log(2.0)
        rows = spin_tables.local_energy(system, pack, False)[1] - base[1]
        pack.logarithms[0, column] = 0.0
        rows[column] = 0.0
        found[:, column] += rows
    return found


@pytest.mark.parametrize(("kind", "shape"), [("heisenberg", (6,)), ("j1j2", (6,)), ("j1j2", (2, 3))])
def test_the_marshall_rotation_leaves_the_spectrum(kind, shape):
    """It is a change of basis: all eigenvalues with and without it agree, and the turned ground state is positive."""
    settings = {"heisenberg": heisenberg.Settings, "j1j2": j1j2.Settings}[kind]
    spectra = []
    for marshall in (True, False):
        system = settings(lattice=shape, periodic=len(shape) == 1, magnetisation="any", marshall=marshall)
        matrix = matrix_of(system)
        assert np.array_equal(matrix, matrix.T)
        spectra.append(np.linalg.eigvalsh(matrix))
        if kind == "heisenberg":
            assert (matrix[~np.eye(len(matrix), dtype=bool)] <= 0.0).all() == marshall
    assert spectra[0] == pytest.approx(spectra[1], abs=1e-11)


# --- references ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sites", [4, 6, 8, 10, 12])
@pytest.mark.parametrize(
    ("coupling", "field"), [(1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (0.7, 2.0), (-1.0, 0.8), (1.0, -1.0)]
)
def test_ising_rings_are_free_fermions(sites, coupling, field):
    """The closed form is the lowest eigenvalue of the matrix, for either sign of J and h."""
    energy, source = declarations.reference_energy(ising.Settings(lattice=(sites,), coupling=coupling, field=field))
    assert energy == pytest.approx(exact_spins.lowest(exact_spins.ising((sites,), True, coupling, field)), rel=1e-11)
    assert source == "Pfeuty 1970"


@pytest.mark.parametrize("sites", [4, 6, 8, 10, 12])
def test_heisenberg_rings_follow_from_the_bethe_equations(sites):
    """The lowest eigenvalue at zero magnetisation, and scaled with the coupling."""
    matrix = exact_spins.exchange(sites, exact_spins.bonds((sites,), True), 1.0)
    assert heisenberg_ring(sites) == pytest.approx(exact_spins.lowest(matrix, 0), rel=1e-11)
    energy, source = declarations.reference_energy(heisenberg.Settings(lattice=(sites,), coupling=1.7))
    assert energy == pytest.approx(1.7 * heisenberg_ring(sites), rel=1e-15)
    assert source == "Bethe 1931"


def test_long_rings_have_their_known_energies():
    """Per site, to all digits of independent calculations; and 4 (1/4 - ln 2) + O(1/N^2) as the ring grows."""
    for sites, field, energy in (
        (80, 0.5, -1.063544409973),
        (80, 1.0, -1.273321360724),
        (80, 2.0, -2.127088819947),
        (20, 1.0, -1.274549484318),
        (10, 0.5, -1.063560440935),
        (10, 1.0, -1.278490644300),
        (10, 2.0, -2.127120881870),
    ):
        assert ising_ring(sites, 1.0, field) / sites == pytest.approx(energy, abs=6e-13)
    for sites, energy in ((80, -1.773103807486), (20, -1.780877305976), (10, -1.806178541796)):
        assert heisenberg_ring(sites) / sites == pytest.approx(energy, abs=1.1e-12)
    for sites in (100, 200, 1000):
        limit = 1.0 - 4.0 * np.log(2.0) - np.pi**2 / (3.0 * sites**2)
        assert heisenberg_ring(sites) / sites == pytest.approx(limit, abs=2.0 / sites**2)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(5,), (6,), (9,), (10,), (3, 3), (2, 4)])
def test_known_energies_are_lowest_eigenvalues_wherever_they_are_given(shape, periodic):
    """Whatever the couplings' signs: a reference is None, or the lowest eigenvalue."""
    if periodic and min(shape) == 2:
        return
    sites, given = int(np.prod(shape)), 0
    near, far = (exact_spins.bonds(shape, periodic, further) for further in (False, True))
    for first in (1.0, -1.0, 2.0):
        for second in (0.0, 0.5, 1.0, -0.3):
            known = heisenberg_energy(Lattice(shape, periodic), first, second, None)
            if known is not None:
                matrix = exact_spins.exchange(sites, near, first) + exact_spins.exchange(sites, far, second)
                assert known[0] == pytest.approx(exact_spins.lowest(matrix), rel=1e-10)
                given += 1
    assert given >= 2


def test_the_square_of_nine_has_its_tabulated_energy():
    """Ising at h / J = 2, scaled with the coupling."""
    energy, _ = declarations.reference_energy(ising.Settings(lattice=(3, 3), coupling=0.5, field=1.0))
    assert energy == pytest.approx(exact_spins.lowest(exact_spins.ising((3, 3), True, 0.5, 1.0)), rel=1e-11)


@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_the_square_of_sixteen_has_its_tabulated_energies(ratio):
    """12870 configurations of zero magnetisation."""
    near, far = (exact_spins.bonds((4, 4), True, further) for further in (False, True))
    matrix = exact_spins.sector_exchange(16, [(near, 1.0), (far, ratio)], 0)
    energy, _ = declarations.reference_energy(j1j2.Settings(lattice=(4, 4), j1=1.0, j2=ratio))
    assert energy == pytest.approx(exact_spins.lowest(matrix), abs=1e-7)


def test_references_are_for_exactly_one_system():
    """Another sector, an anisotropy, an open side, an odd ring: nothing is quoted."""
    chain = {"lattice": (10,)}
    assert declarations.reference_energy(heisenberg.Settings(**chain)) is not None
    assert declarations.reference_energy(heisenberg.Settings(**chain, magnetisation="any")) is not None
    for more in ({"magnetisation": 2}, {"anisotropy": 0.5}, {"periodic": False}):
        assert declarations.reference_energy(heisenberg.Settings(**chain | more)) is None
    assert declarations.reference_energy(heisenberg.Settings(lattice=(9,), magnetisation=1)) is None
    assert declarations.reference_energy(ising.Settings(lattice=(9,))) is None
    assert declarations.reference_energy(ising.Settings(**chain, periodic=False)) is None
    assert declarations.reference_energy(ising.Settings(lattice=(3, 3), field=1.0)) is None
    assert declarations.reference_energy(heisenberg.Settings(lattice=(10, 10)))[1].startswith("quantum Monte Carlo")


# --- what a deck may ask for -----------------------------------------------------------------------------------------


def refusals(system):
    """Return {key: message} of what is wrong with a system."""
    return dict(declarations.problems(system, declarations.space(system)))


def test_spaces_keep_what_the_hamiltonian_keeps():
    """Ising flips spins; exchanges keep the magnetisation, unless it may be any."""
    assert declarations.space(ising.Settings(lattice=(4,))).magnetisation is None
    assert declarations.space(ising.Settings(lattice=(4,))).exchanges == ()
    assert declarations.space(heisenberg.Settings(lattice=(4,), magnetisation="any")).magnetisation is None
    space = declarations.space(j1j2.Settings(lattice=(6,), magnetisation=2))
    assert space.magnetisation == 2
    assert len(space.exchanges) == 12
    assert space.moves.tolist()[:6] == [[site, -1] for site in range(6)]
    assert space.moves.tolist()[6:] == [list(pair) for pair in space.exchanges]


@pytest.mark.parametrize(
    ("system", "key", "words"),
    [
        (ising.Settings(lattice=(2, 3)), "lattice", ["periodic side of 2", "at least 3", "periodic = false"]),
        (ising.Settings(lattice=(2,)), "lattice", ["neighbours twice"]),
        (ising.Settings(lattice=(3, 3, 3)), "lattice", ["3 axes", "one for a chain or two"]),
        (ising.Settings(lattice=()), "lattice", ["0 axes"]),
        (j1j2.Settings(lattice=(3, 3, 3)), "lattice", ["3 axes"]),
        (heisenberg.Settings(lattice=(1000, 1000)), "lattice", ["1000000 sites", "10000"]),
        (heisenberg.Settings(lattice=(10**9, 10**9)), "lattice", ["sites"]),
        (j1j2.Settings(lattice=(4,)), "lattice", ["at least 5", "periodic = false"]),
        (heisenberg.Settings(lattice=(4,), magnetisation=6), "magnetisation", ["is 6", "4 at the most"]),
        (heisenberg.Settings(lattice=(4,), magnetisation=1), "magnetisation", ["an even number", '"any"']),
        (heisenberg.Settings(lattice=(5,)), "magnetisation", ["an odd number"]),
        (heisenberg.Settings(lattice=(4, 3), marshall=True), "marshall", ["odd length", '"auto" or false']),
        (j1j2.Settings(lattice=(5,), marshall=True, magnetisation=1), "marshall", ["odd length"]),
    ],
)
def test_impossible_systems_are_refused_with_a_way_out(system, key, words):
    """One key is named, with the reason and what to give instead."""
    found = refusals(system)
    assert list(found) == [key]
    assert all(word in found[key] for word in words)


@pytest.mark.parametrize(
    "system",
    [
        ising.Settings(lattice=(2, 2), periodic=False),
        ising.Settings(lattice=(3, 3)),
        j1j2.Settings(lattice=(5,), magnetisation=-1),
        j1j2.Settings(lattice=(3, 4)),
        j1j2.Settings(lattice=(4,), periodic=False),
        heisenberg.Settings(lattice=(5,), magnetisation=5),
        heisenberg.Settings(lattice=(5,), magnetisation=1, periodic=False, marshall=True),
        heisenberg.Settings(lattice=(100, 100)),
    ],
)
def test_possible_systems_are_not_refused(system):
    """Small sides where they count no bond twice, any magnetisation that spins add up to, the largest lattice."""
    assert refusals(system) == {}
