"""The second Renyi entropy by swaps, against reduced density matrices of 6 spins."""

import itertools
import math

import exact_spins
import numpy as np
import pytest
import spin_tables
from spin_samples import drawn, observed, within

from parvmc import spaces
from parvmc.lattice import Lattice


def table_of(psi, space):
    """Return the pack whose psi is complex128[2^sites]."""
    with np.errstate(divide="ignore"):
        logarithms = np.stack([np.log(np.abs(psi)), np.angle(psi)])
    return spin_tables.ComplexTable(0, logarithms, space.moves)


def purity(psi, block, sites):
    """Tr rho_A^2 from the reduced density matrix of the normalised psi complex128[2^sites]."""
    rest = [site for site in range(sites) if site not in block]
    matrix = (psi / np.linalg.norm(psi)).reshape((2,) * sites).transpose(*block, *rest).reshape(2 ** len(block), -1)
    rho = matrix @ matrix.conj().T
    return np.trace(rho @ rho).real


@pytest.mark.parametrize("block", [None, 2, (1, 4), (5, 0, 3)])
@pytest.mark.parametrize("complex_valued", [False, True])
def test_renyi_entropy_is_that_of_the_reduced_density_matrix(complex_valued, block):
    """A random psi of 6 spins, with and without phases: Tr rho_A^2 within 4.5 errors; control: another block is off."""
    space = spaces.Spins(Lattice((6,)))
    pack = spin_tables.table(space, spread=0.6, complex_valued=complex_valued)
    psi = spin_tables.amplitudes(pack)
    found = observed("renyi", space, pack, drawn(np.abs(psi) ** 2), sites=block)
    sites = {None: (0, 1, 2), 2: (0, 1)}.get(block, block)
    exact = purity(psi, sites, 6)
    assert within(found["renyi_swap"], exact)
    assert within(found["renyi"], -math.log(exact))
    assert found["renyi"].errors == pytest.approx(found["renyi_swap"].errors / found["renyi_swap"].values, rel=1e-12)
    assert found["renyi_swap"].errors < 0.1 * exact
    others = [purity(psi, other, 6) for other in itertools.combinations(range(6), 1)]
    assert not any(within(found["renyi_swap"], value) for value in others)


def test_renyi_entropy_has_its_limits():
    """A product of complex spinors: 0 in every sample; up + down (GHZ): ln 2; pairs across the cut: ln 2 each."""
    space, generator = spaces.Spins(Lattice((6,))), np.random.default_rng(2)
    product = np.ones(1, complex)
    for _ in range(6):
        product = np.kron(product, generator.standard_normal(2) + 1j * generator.standard_normal(2))
    found = observed("renyi", space, table_of(product, space), drawn(np.abs(product) ** 2))
    assert abs(found["renyi"].values) < 1e-12
    assert found["renyi"].errors < 1e-12
    ghz = np.zeros(64, complex)
    ghz[0], ghz[-1] = 1.0, 1j
    found = observed("renyi", space, table_of(ghz, space), drawn(np.abs(ghz) ** 2))
    assert within(found["renyi"], math.log(2.0))
    assert 0.0 < found["renyi"].errors < 0.02
    every = exact_spins.configurations(6)
    singlets = np.prod([(every[:, i] - every[:, i + 3]) / 2.0 for i in range(3)], axis=0).astype(complex)
    kept = spaces.Spins(Lattice((6,)), magnetisation=0)
    found = observed("renyi", kept, table_of(singlets, kept), drawn(np.abs(singlets) ** 2))
    assert within(found["renyi"], 3.0 * math.log(2.0))
    found = observed("renyi", kept, table_of(singlets, kept), drawn(np.abs(singlets) ** 2), sites=(0, 3))
    assert abs(found["renyi"].values) < 1e-12


def test_renyi_entropy_of_a_kept_magnetisation():
    """psi is zero outside the sector whatever the formula says there; control: with its values there S_2 is another."""
    every, lattice = exact_spins.configurations(6), Lattice((6,))
    kept, free = spaces.Spins(lattice, magnetisation=0), spaces.Spins(lattice)
    pack = spin_tables.table(kept, complex_valued=True)
    psi = np.where(every.sum(axis=1) == 0.0, spin_tables.amplitudes(pack), 0.0)
    positions, exact = drawn(np.abs(psi) ** 2), purity(psi, (0, 1, 2), 6)
    assert within(observed("renyi", kept, pack, positions)["renyi_swap"], exact)
    assert not within(observed("renyi", free, pack, positions)["renyi_swap"], exact)
