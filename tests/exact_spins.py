"""Spin Hamiltonians as matrices, made from Pauli matrices and bonds found by loops; nothing of the program is used.

Row 0 is all spins up; site 0 is the first factor of the Kronecker products, the most significant bit.
"""

import functools
import itertools

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import eigsh

X = np.array([[0.0, 1.0], [1.0, 0.0]])
Y = np.array([[0.0, -1.0j], [1.0j, 0.0]])
Z = np.array([[1.0, 0.0], [0.0, -1.0]])


def configurations(sites):
    """Return float64[2^sites, sites], the spins that each row of a matrix stands for."""
    return np.array(list(itertools.product([1.0, -1.0], repeat=sites)))


def _distance(first, second, side, periodic):
    straight = abs(first - second)
    return min(straight, side - straight) if periodic else straight


def bonds(shape, periodic, next_nearest=False):
    """Return the pairs of sites at the smallest distance, or the one after it; each once, by measuring all pairs.

    In a chain the next distance is 2, in a rectangle the diagonal of a square.
    """
    wanted = 1 if not next_nearest else (4 if len(shape) == 1 else 2)
    places = list(itertools.product(*map(range, shape)))
    found = []
    for i, first in enumerate(places):
        for k in range(i + 1, len(places)):
            steps = [_distance(a, b, side, periodic) for a, b, side in zip(first, places[k], shape, strict=True)]
            if sum(step**2 for step in steps) == wanted:
                found.append((i, k))
    return found


def operator(sites, matrices):
    """Return the sparse product of one-site matrices {site: matrix}, the identity elsewhere."""
    found = sparse.identity(1)
    for site in range(sites):
        found = sparse.kron(found, matrices.get(site, np.eye(2)), format="csr")
    return found


def ising(shape, periodic, coupling, field):
    """Return H = -J sum sz sz - h sum sx, sparse."""
    sites = int(np.prod(shape))
    total = sum(-coupling * operator(sites, {i: Z, k: Z}) for i, k in bonds(shape, periodic))
    return total - field * sum(operator(sites, {i: X}) for i in range(sites))


def exchange(sites, pairs, coupling, anisotropy=1.0):
    """Return J sum (sx sx + sy sy + D sz sz) over pairs, sparse."""
    total = sparse.csr_matrix((2**sites, 2**sites))
    for i, k in pairs:
        plane = operator(sites, {i: X, k: X}) + operator(sites, {i: Y, k: Y}).real
        total = total + coupling * (plane + anisotropy * operator(sites, {i: Z, k: Z}))
    return total


def turned(shape, matrix):
    """Return U H U, U = product of sz over the sublattice of odd coordinate sums."""
    places = itertools.product(*map(range, shape))
    odd = [site for site, place in enumerate(places) if sum(place) % 2]
    signs = configurations(int(np.prod(shape)))[:, odd].prod(axis=1)
    return sparse.diags(signs) @ matrix @ sparse.diags(signs)


@functools.cache
def _sector(sites, magnetisation):
    return np.flatnonzero(configurations(sites).sum(axis=1) == magnetisation)


def lowest(matrix, magnetisation=None):
    """Return the smallest eigenvalue, among the states of one magnetisation where it is given."""
    if magnetisation is not None:
        rows = _sector(int(np.log2(matrix.shape[0])), magnetisation)
        matrix = matrix.tocsr()[rows][:, rows]
    if matrix.shape[0] <= 300:
        return np.linalg.eigvalsh(matrix.toarray())[0]
    start = np.random.default_rng(1).standard_normal(matrix.shape[0])
    return eigsh(matrix, k=1, which="SA", v0=start, tol=1e-13)[0][0]


def sector_exchange(sites, groups, magnetisation):
    """Return sum of J sum sigma . sigma over (pairs, J) among the states of one magnetisation, sparse, by exchanging
    spins.

    For lattices whose whole matrix would take long to make; sigma_i . sigma_k = 2 (exchange of i and k) - 1.
    """
    rows = _sector(sites, magnetisation)
    spins, order = configurations(sites)[rows], np.arange(len(rows))
    weights = 2 ** np.arange(sites - 1, -1, -1)
    total = sparse.csr_matrix((len(rows), len(rows)))
    for pairs, coupling in groups:
        for i, k in pairs:
            swapped = spins.copy()
            swapped[:, [i, k]] = spins[:, [k, i]]
            there = np.searchsorted(rows, (swapped < 0.0) @ weights)
            swap = sparse.csr_matrix((np.ones(len(rows)), (order, there)), shape=total.shape)
            total = total + coupling * (2.0 * swap - sparse.identity(len(rows)))
    return total
