"""Routes to the step of stochastic reconfiguration that form no matrix in parameter space.

Each solves (Z Z^+ + shift) d = Z e with Z and e of `sample_matrix` (e times -learning_rate) and returns (d, |Z^+ d|^2),
the same bits on every rank.
"""

import math

import numpy as np

from parvmc.sums import fixed_sum

MOST_ITERATIONS = 1000


def _scalar(first, second):
    """Return the scalar product: all ranks must leave the loop together, also on unlike processors."""
    return fixed_sum(first * second)


def conjugate_gradients(matrix, force, shift, tolerance):
    """Iterate until the residual is below tolerance |force|; force: Z e, float64[coordinates].

    Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49, 409 (1952). A Hermitian system is a symmetric one of real and
    imaginary parts, so that all scalar products are those of real vectors. An iteration takes one sum over the ranks.
    """
    found, residual = np.zeros_like(force), force.copy()
    direction, square = residual.copy(), _scalar(residual, residual)
    goal = tolerance**2 * square
    for _ in range(MOST_ITERATIONS):
        if square <= goal:
            break
        product = matrix.product(direction) + shift * direction
        length = square / _scalar(direction, product)
        found += length * direction
        residual -= length * product
        before, square = square, _scalar(residual, residual)
        direction = residual + (square / before) * direction
    return found, max(found @ (force - residual) - shift * (found @ found), 0.0)


def in_sample_space(matrix, learning_rate, shift, previous=None):
    """Return d = Z (Z^+ Z + shift)^-1 (e - Z^+ p) + p; p: what is kept of the last step, None for nothing.

    Without p minSR, Chen and Heyl, Nature Physics 20, 1476 (2024), eq. 5 with a shift in place of the pseudo-inverse;
    with it SPRING, Goldshlager, Abrahamsen and Lin, J. Comput. Phys. 516, 113351 (2024), which is the d of least
    |Z^+ d - e|^2 + shift |d - p|^2. Rank 0 solves. Z^+ d = e - shift y, y the solution.
    """
    energies = -learning_rate * matrix.energies()
    right = energies if previous is None else energies - matrix.adjoint(previous)
    gram, vectors = matrix.gram(), matrix.gathered(energies, *([] if previous is None else [right]))
    solution, square = np.empty(matrix.count, (float, complex)[matrix.parts - 1]), math.nan
    if matrix.world.is_root:
        gram[np.diag_indices_from(gram)] += shift
        solution = np.linalg.solve(gram, vectors[-1])
        square = float(np.square(np.abs(vectors[0] - shift * solution)).sum())
    found, square = matrix.world.broadcast_arrays([solution.view(np.float64), np.array([square])])
    found = matrix.apply(found.view(solution.dtype))
    return (found if previous is None else found + previous), float(square[0])
