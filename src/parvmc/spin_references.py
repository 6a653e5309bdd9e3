"""Ground-state energies of spin lattices that are known exactly, or much better than a trial state. Pauli matrices.

A spin operator S is half a Pauli matrix, so that sum sigma . sigma is four times sum S . S.
"""

import functools
import math

import numpy as np

LARGEST_RING = 1000  # sites for which the Bethe equations are solved: a dense system of half as many unknowns

# Energies of periodic rectangles in units of the nearest-neighbour coupling, by what else their Hamiltonian has.
ISING = {  # (shape, field)
    ((3, 3), 2.0): (-22.6837811768, "exact diagonalisation"),
}
HEISENBERG = {  # (shape, next-nearest coupling)
    ((4, 4), 0.0): (-44.9139328, "exact diagonalisation"),
    ((6, 6), 0.0): (-97.7575896, "exact diagonalisation"),
    ((10, 10), 0.0): (-268.6196, "quantum Monte Carlo, Sandvik 1997"),
    ((4, 4), 0.5): (-33.8316934, "exact diagonalisation"),
}


def ising_ring(sites, coupling, field):
    """Return E0 of H = -J sum_i sz_i sz_i+1 - h sum_i sx_i on a ring of an even number of sites.

    E0 = -sum_k sqrt(J^2 + h^2 + 2 J h cos k), k = (2m + 1) pi / N: free fermions in the sector of even parity, where
    the ground state is for either sign of J and h (P. Pfeuty, Ann. Phys. 57, 79 (1970), section 2).
    """
    momenta = (2.0 * np.arange(sites) + 1.0) * math.pi / sites
    return -math.fsum(np.sqrt(coupling**2 + field**2 + 2.0 * coupling * field * np.cos(momenta)))


@functools.cache
def heisenberg_ring(sites):
    """Return E0 of H = sum_i sigma_i . sigma_i+1 on a ring of an even number of sites N.

    E0 = N - sum_j 8 / (4 x_j^2 + 1) with the N / 2 roots of

        arctan(2 x_j) = pi I_j / N + 1/N sum_k arctan(x_j - x_k), I_j = -(N/2 - 1)/2, ..., (N/2 - 1)/2

    (H. Bethe, Z. Phys. 71, 205 (1931)), by Newton's method from their density in an infinite ring, 1 / (2 cosh pi x).
    """
    numbers = np.arange(sites // 2) - 0.5 * (sites // 2 - 1)
    roots = np.arcsinh(np.tan(2.0 * math.pi * numbers / sites)) / math.pi
    for _ in range(50):
        differences = roots[:, np.newaxis] - roots
        residual = np.arctan(2.0 * roots) - math.pi * numbers / sites - np.arctan(differences).sum(axis=1) / sites
        slopes = 1.0 / (sites * (1.0 + np.square(differences)))
        jacobian = slopes + np.diag(2.0 / (1.0 + 4.0 * np.square(roots)) - slopes.sum(axis=1))
        change = np.linalg.solve(jacobian, residual)
        roots = roots - change
        if np.abs(change).max() < 1e-13:
            break
    return sites - math.fsum(8.0 / (4.0 * np.square(roots) + 1.0))


def _tabulated(table, lattice, ratio, coupling):
    for (shape, known), (energy, source) in table.items():
        if lattice.periodic and sorted(shape) == sorted(lattice.shape) and math.isclose(ratio, known, rel_tol=1e-12):
            return coupling * energy, source
    return None


def ising_energy(lattice, coupling, field):
    """Return (energy, source) of H = -J sum_<ij> sz sz - h sum sx, or None where it is not known."""
    if lattice.periodic and len(lattice.shape) == 1 and lattice.sites % 2 == 0:
        return ising_ring(lattice.sites, coupling, field), "Pfeuty 1970"
    return _tabulated(ISING, lattice, abs(field) / coupling, coupling) if coupling > 0.0 else None


def heisenberg_energy(lattice, nearest, next_nearest, magnetisation):
    """Return (energy, source) of H = J1 sum_<ij> sigma . sigma + J2 sum_<<ij>> sigma . sigma, or None where it is not
    known.

    magnetisation: the one that is kept, or None. Where neither coupling is above zero all spins are parallel, in every
    magnetisation; at J2 = J1 / 2 a ring decays into singlets of neighbours, E0 = -3/2 J1 N (C. K. Majumdar and D. K.
    Ghosh, J. Math. Phys. 10, 1388 (1969)).
    """
    if nearest <= 0.0 and next_nearest <= 0.0:
        energy = nearest * len(lattice.nearest)
        return energy + (next_nearest * len(lattice.next_nearest) if next_nearest else 0.0), "all spins parallel"
    if nearest <= 0.0 or magnetisation not in (0, None):
        return None
    if lattice.periodic and len(lattice.shape) == 1 and lattice.sites % 2 == 0:
        if next_nearest == 0.0 and lattice.sites <= LARGEST_RING:
            return nearest * heisenberg_ring(lattice.sites), "Bethe 1931"
        if next_nearest == 0.5 * nearest:
            return -1.5 * nearest * lattice.sites, "Majumdar and Ghosh 1969"
    return _tabulated(HEISENBERG, lattice, next_nearest / nearest, nearest)
