"""Correlations and entropies of spin lattices that are known exactly; spins 1 or -1 along z. Pure numpy.

Small lattices by diagonalisation of the whole Hamiltonian, rings of Ising spins as free fermions, and of the isotropic
Heisenberg model the correlation of nearest neighbours, which its energy fixes.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

MOST_STATES = 1024  # of a Hamiltonian that is diagonalised as a dense matrix
MOST_RING = 400  # sites of a ring whose correlations are determinants of up to half as many rows
DEGENERATE = 1e-8  # two states this close, relative to the energy, have no correlations of their own


class Ground(NamedTuple):
    """A ground state: spins float64[states, sites], 1 or -1; amplitudes float64[states], real and normalised."""

    spins: np.ndarray
    amplitudes: np.ndarray

    @property
    def weights(self):
        """float64[states], the probability of each configuration."""
        return np.square(self.amplitudes)


@functools.lru_cache(4)
def ground(lattice, bonds, flip, magnetisation):
    """Return the `Ground` of H = sum over (i, k, J, D) in bonds of D sz sz + J (sx sx + sy sy) - flip sum_i sx_i.

    bonds: a tuple of tuples; magnetisation: sum of the spins that is kept, or None. None is returned for more than
    MOST_STATES states, and where the lowest two are degenerate.
    """
    states = 2**lattice.sites
    if magnetisation is not None:
        states = math.comb(lattice.sites, (lattice.sites + magnetisation) // 2)
    if states > MOST_STATES or lattice.sites > 16:
        return None
    spins = np.array(list(itertools.product((1.0, -1.0), repeat=lattice.sites)))
    if magnetisation is not None:
        spins = spins[spins.sum(axis=1) == magnetisation]
    powers = 2 ** np.arange(lattice.sites - 1, -1, -1)
    place = {code: row for row, code in enumerate(((spins < 0.0) @ powers).tolist())}
    matrix = np.zeros((len(spins), len(spins)))
    for row, present in enumerate(spins):
        code = int((present < 0.0) @ powers)
        for i, k, exchange, along in bonds:
            matrix[row, row] += along * present[i] * present[k]
            if exchange and present[i] != present[k]:
                matrix[row, place[code ^ int(powers[i] + powers[k])]] += 2.0 * exchange
        if flip:
            for power in powers.tolist():
                matrix[row, place[code ^ power]] -= flip
    energies, vectors = np.linalg.eigh(matrix)
    if len(energies) > 1 and energies[1] - energies[0] < DEGENERATE * max(abs(energies[0]), 1.0):
        return None
    return Ground(spins, vectors[:, 0])


def pairs_of(found):
    """Return float64[sites, sites], <s_i s_k> of a `Ground`."""
    return found.spins.T @ (found.weights[:, np.newaxis] * found.spins)


def moments_of(found):
    """Return {name: value} of m = sum_i s_i / N of a `Ground`, as the observable `magnetisation` names them."""
    m, p = found.spins.mean(axis=1), found.weights
    second, fourth = p @ m**2, p @ m**4
    return {
        "magnetisation": p @ m,
        "magnetisation_absolute": p @ np.abs(m),
        "magnetisation_squared": second,
        "magnetisation_binder": 1.0 - fourth / (3.0 * second**2) if second else math.nan,
    }


def purity_of(found, block):
    """Return Tr rho^2 of a block of sites of a `Ground`: the sum of the fourth powers of its Schmidt coefficients."""
    others = [site for site in range(found.spins.shape[1]) if site not in block]
    codes = [(found.spins[:, part] < 0.0) @ (2 ** np.arange(len(part))) for part in (list(block), others)]
    table = np.zeros((2 ** len(block), 2 ** len(others)))
    table[codes[0], codes[1]] = found.amplitudes
    return float(np.sum(np.linalg.svd(table, compute_uv=False) ** 4))


def _ising_contractions(sites, coupling, field):
    """Return a function G(R) = (1/N) sum_k [J cos k(R - 1) + h cos kR] / sqrt(J^2 + h^2 + 2 J h cos k), with the k of
    `spin_references.ising_ring`; G(0) = <sx>, G(1) = <sz_i sz_i+1>."""
    k = (2.0 * np.arange(sites) + 1.0) * math.pi / sites
    energy = np.sqrt(coupling**2 + field**2 + 2.0 * coupling * field * np.cos(k))

    def contraction(distances):
        r = np.asarray(distances)[..., np.newaxis]
        return np.mean((coupling * np.cos(k * (r - 1)) + field * np.cos(k * r)) / energy, axis=-1)

    return contraction


def ising_ring_pairs(sites, coupling, field):
    """Return float64[sites, sites], <s_i s_k> in a ring of an even number of Ising spins; None if there are too many.

    C(d) is the determinant of the d x d matrix G(1 + i - j) (P. Pfeuty, Ann. Phys. 57, 79 (1970), section 3); below
    zero J turns every other spin over, and the sign of h does not matter.
    """
    if sites % 2 or sites > MOST_RING or field == 0.0:
        return None
    half = sites // 2
    table = _ising_contractions(sites, abs(coupling), abs(field))(np.arange(1 - half, half + 1))
    index = np.subtract.outer(np.arange(half), np.arange(half)) + half  # of G(1 + i - j) in the table
    correlation = np.array([1.0] + [np.linalg.det(table[index[:d, :d]]) for d in range(1, half + 1)])
    if coupling < 0.0:
        correlation *= (-1.0) ** np.arange(half + 1)
    apart = np.abs(np.subtract.outer(np.arange(sites), np.arange(sites)))
    return correlation[np.minimum(apart, sites - apart)]


def ising_ring_purity(sites, coupling, field, length):
    """Return Tr rho^2 of `length` neighbours in a ring of an even number of Ising spins, or None.

    The fermions of the block are Gaussian: with the singular values v of the matrix G(i - j) of the block, Tr rho^2 =
    prod (1 + v^2) / 2 (G. Vidal, J. I. Latorre, E. Rico and A. Kitaev, Phys. Rev. Lett. 90, 227902 (2003)).
    """
    if sites % 2 or sites > MOST_RING or field == 0.0:
        return None
    index = np.subtract.outer(np.arange(length), np.arange(length))
    values = np.linalg.svd(_ising_contractions(sites, abs(coupling), abs(field))(index), compute_uv=False)
    return float(np.prod(0.5 * (1.0 + np.square(values))))


def by_displacement(lattice, pairs, axes):
    """Return the means of float64[sites, sites] over the pairs of sites a displacement apart, one for each place of the
    axes, as the observable `spin_correlation` has them; nan where one of the pairs is."""
    separations = lattice.separations
    grid = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1)
    found = np.empty(grid.shape[:-1])
    for index in np.ndindex(found.shape):
        same = (separations == grid[index]).all(axis=-1) | (separations == -grid[index]).all(axis=-1)
        found[index] = pairs[same].mean() if same.any() else math.nan
    return found


def at_waves(lattice, pairs, axes):
    """Return S(q) = (1/N) sum_ik <s_i s_k> cos q . (r_i - r_k), one for each place of the axes."""
    separations = lattice.separations
    grid = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1)
    flat = [np.sum(pairs * np.cos(separations @ q)) / lattice.sites for q in grid.reshape(-1, len(axes))]
    return np.reshape(flat, grid.shape[:-1])
