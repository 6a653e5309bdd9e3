"""Sums over samples: what one optimisation step knows of the energy and of its slope."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Means over all samples of one iteration.

    energy, variance (of the local energy), energy_error (from the spread of per-walker means); gradient:
    float64[trained], dE/d theta_k = 2 [<E_L O_k> - <E_L><O_k>], O_k = d ln psi / d theta_k; covariance:
    float64[trained, trained] of the O_k, None where it was not asked for; mean: float64[1 + trained], of E_L and O_k.
    """

    energy: float
    energy_error: float
    variance: float
    gradient: np.ndarray
    covariance: np.ndarray | None
    mean: np.ndarray


def moments(world, samples, center, batches, with_covariance):
    """Return the Moments of samples float64[local batches, measurements, 1 + trained, lanes], which are centred in
    place.

    center: float64[1 + trained], a guess of the mean on which all ranks agree, usually the last iteration's: products
    are summed about it, so that large means do not eat digits. batches: on all ranks. A term of the sums is one
    measurement of one batch; with D_k its sum of squares, sum_l a_kl a_ml is bounded by sqrt(D_k D_m) (Cauchy-Schwarz),
    so that only a vector of maxima is agreed on and the products are summed batch by batch.
    """
    _, measurements, rows, lanes = samples.shape
    samples -= center[:, np.newaxis]
    squares = np.einsum("bmkl,bmkl->bmk", samples, samples).max(axis=(0, 1), initial=0.0)
    magnitudes = np.sqrt(world.largest(squares) * (1.0 + 1e-12))  # einsum and matrix product round differently
    partners = rows if with_covariance else 1
    bounds = np.concatenate(
        [magnitudes * np.sqrt(lanes), magnitudes[:1] ** 2, np.outer(magnitudes[:partners], magnitudes).ravel()]
    )

    def terms():
        for batch in samples:
            walker_means = batch[:, 0].mean(axis=0)
            spread = np.square(walker_means).sum() / measurements  # one part for each of the batch's measurements
            for rows_of_lanes in batch:
                products = rows_of_lanes[:partners] @ rows_of_lanes.T
                yield np.concatenate([rows_of_lanes.sum(axis=1), [spread], products.ravel()])

    total = world.sum_bounded(terms(), bounds, batches * measurements)
    count, walkers = batches * measurements * lanes, batches * lanes
    shift = total[:rows] / count
    covariance = total[rows + 1 :].reshape(partners, rows) / count - np.outer(shift[:partners], shift)
    spread = max(total[rows] / walkers - shift[0] ** 2, 0.0) if np.isfinite(total[rows]) else np.nan
    return Moments(
        energy=float(center[0] + shift[0]),
        energy_error=float(np.sqrt(spread / max(walkers - 1, 1))),
        variance=float(covariance[0, 0]),
        gradient=2.0 * covariance[0, 1:],
        covariance=covariance[1:, 1:] if with_covariance else None,
        mean=center + shift,
    )
