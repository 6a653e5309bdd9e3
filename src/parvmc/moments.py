"""Sums over samples: what one optimisation step knows of the energy and of its slope.

Complex parameters theta_k enter psi as a holomorphic function, O_k = d ln psi / d theta_k. With f_k = <O_k* E_L>_c and
S_kl = <O_k* O_l>_c (<a b>_c = <a b> - <a><b>) the slopes are dE/d Re theta_k = 2 Re f_k and dE/d Im theta_k = 2 Im f_k;
the step of imaginary-time evolution is complex, d = -tau S^-1 f. Vectors of complex numbers are real and imaginary
parts by turns: what numpy calls their view as float64.
"""

from dataclasses import dataclass, field

import numpy as np

from parvmc.samples import Samples
from parvmc.sums import per_group


@dataclass(frozen=True)
class Moments:
    """Means over all samples of one iteration.

    energy, variance (<|E_L|^2> - |<E_L>|^2), energy_error (from the spread of per-walker means; zero where the means
    are exact, over weighted configurations); gradient: float64[coordinates], dE/d coordinate, for real parameters
    2 [<E_L O_k> - <E_L><O_k>]; covariance: S, float64 or complex128[parameters, parameters], None where it was not
    asked for; diagonal: float64[parameters] of S; mean: float64[energies + coordinates], of the samples' rows; reach:
    float64[1 + parameters], a bound on the norm of a row of any block of samples about the mean.
    """

    energy: float
    energy_error: float
    variance: float
    gradient: np.ndarray
    covariance: np.ndarray | None
    diagonal: np.ndarray
    mean: np.ndarray
    reach: np.ndarray


@dataclass
class Riders:
    """Numbers of a rank that travel with the sums, in their calls of MPI, and are those of all ranks then.

    counts: integers to be summed; largest: numbers of which the largest is wanted.
    """

    counts: list = field(default_factory=list)
    largest: list = field(default_factory=list)


def moments(world, samples, center, batches, with_covariance, riders=None):
    """Return the Moments of Samples, which are centred in place.

    center: float64[energies + coordinates], a guess of the mean on which all ranks agree, usually the last iteration's:
    products are summed about it, so that large means do not eat digits. batches: on all ranks. A term of the sums is
    one measurement of one batch; with D_k its sum of squares, |sum_l a_kl* a_ml| is bounded by sqrt(D_k D_m)
    (Cauchy-Schwarz), so that only a vector of maxima is agreed on and the products are summed batch by batch. riders:
    `Riders`, changed in place.

    samples may also be an array float64[local batches, measurements, 1 + coordinates, lanes].
    """
    if isinstance(samples, np.ndarray):
        samples = Samples.of(samples)
    riders = riders or Riders()
    parts, measurements, lanes = samples.energies, samples.values.shape[1], samples.values.shape[3]
    rows = center.size // parts
    samples.subtract(center)
    partners = rows if with_covariance else 1
    most = per_group(8 * rows * parts * max(partners * parts, lanes))
    squares = np.empty((samples.blocks, rows))
    for first, group in _groups(samples, most):
        with np.errstate(over="ignore"):
            each = np.vecdot(group, group)
        squares[first : first + len(group)] = each if parts == 1 else each[:, 0::2] + each[:, 1::2]
    largest = squares.max(axis=0, initial=0.0)
    weights = [samples.weights.sum(axis=1).max(initial=0.0)] if samples.is_weighted else []
    largest, weights, riders.largest = np.split(
        world.largest(np.concatenate([largest, weights, riders.largest])), np.cumsum([rows, len(weights)])
    )
    magnitudes = np.sqrt(largest * (1.0 + 1e-12))  # the matrix product rounds differently
    heaviest = weights[0] if samples.is_weighted else float(lanes)
    kept = _kept(rows, parts, with_covariance)
    products = np.outer(magnitudes[:partners], magnitudes)
    products = np.repeat(products, 2) if parts == 2 and not with_covariance else products.ravel()[kept]
    sums = np.repeat(magnitudes * np.sqrt(heaviest), parts)
    bounds = np.concatenate([sums, magnitudes[:1] ** 2, magnitudes**2, products])
    del products  # of the covariance's size

    def products_of(group):  # a name for what this makes would keep one more array of the covariance's size
        found = _products(group, partners) if parts == 1 else _complex_products(group, with_covariance)
        return found.reshape(len(group), -1)[:, kept]

    def terms():
        spreads = _spreads(samples.local_energies()[:, :, 0])
        for first, group in _groups(samples, most):
            owners = np.arange(first, first + len(group)) // measurements  # batches
            totals = group @ np.sqrt(samples.weights[owners[0]]) if samples.is_weighted else group.sum(axis=2)
            means = totals, spreads[owners, np.newaxis], squares[first : first + len(group)]
            yield np.concatenate([*means, products_of(group)], axis=1)

    total, riders.counts = world.sum_bounded(terms(), bounds, batches * measurements, riders.counts)
    count, walkers = batches * measurements * lanes, batches * lanes
    shift = total[: center.size] / count
    about = shift if parts == 1 else shift.view(complex)
    spread, squared, found = total[center.size], total[center.size + 1 :][:rows], total[center.size + 1 + rows :]
    found = _unpacked(found, rows, parts, with_covariance)
    covariance = found / count - np.outer(about[:partners].conj(), about)
    spread = max(spread / walkers - shift[0] ** 2, 0.0) if np.isfinite(spread) else np.nan
    gradient = 2.0 * covariance[0, 1:].conj()
    return Moments(
        energy=float(center[0] + shift[0]),
        energy_error=0.0 if samples.is_weighted else float(np.sqrt(spread / max(walkers - 1, 1))),
        variance=float(covariance[0, 0].real),
        gradient=gradient if parts == 1 else gradient.view(np.float64),
        covariance=covariance[1:, 1:] if with_covariance else None,
        diagonal=np.maximum(squared / count - np.square(np.abs(about)), 0.0)[1:],
        mean=center + shift,
        reach=magnitudes + np.abs(about) * np.sqrt(heaviest),
    )


def _groups(samples, most):
    """Yield (first, blocks) of all of this rank's blocks, at most so many at a time."""
    first = 0
    while first < samples.blocks:
        group = samples.group(first, most)
        yield first, group
        first += len(group)


def _spreads(energies):
    """Return of each batch the sum over its walkers of their mean squared, a part for each of the measurements."""
    total = energies[:, 0].copy()
    for measurement in range(1, energies.shape[1]):
        total += energies[:, measurement]
    with np.errstate(over="ignore"):
        return np.square(total / energies.shape[1]).sum(axis=1) / energies.shape[1]


def _products(group, partners):
    """Return sum_l a_kl a_ml of the rows of each block, k < partners."""
    return group[:, :partners] @ group.transpose(0, 2, 1)


def _complex_products(group, whole):
    """Return sum_l a_kl* a_ml of complex rows, each two of a block's (Re, Im).

    The whole matrix is Hermitian: the real part of its upper and the imaginary part of its lower triangle, [blocks,
    rows, rows]. Else its first row, [blocks, 1, rows, 2].
    """
    found = (group if whole else group[:, :2]) @ group.transpose(0, 2, 1)
    real = found[:, 0::2, 0::2] + found[:, 1::2, 1::2]
    imaginary = found[:, 0::2, 1::2] - found[:, 1::2, 0::2]
    if not whole:
        return np.stack([real, imaginary], axis=-1)
    np.copyto(real, imaginary, where=np.tri(real.shape[1], k=-1, dtype=bool))
    return real


def _kept(rows, parts, whole):
    """Return which of the products are summed: of a real symmetric matrix those of the upper triangle."""
    return np.flatnonzero(np.tri(rows, dtype=bool).T) if whole and parts == 1 else slice(None)


def _unpacked(sums, rows, parts, whole):
    """Return float64 or complex128[rows or 1, rows] from sums of products."""
    if not whole:
        return (sums if parts == 1 else sums.view(complex)).reshape(1, rows)
    if parts == 1:
        found = np.empty((rows, rows))
        upper = np.tri(rows, dtype=bool).T
        found[upper] = sums
        np.copyto(found, found.T, where=~upper)
        return found
    packed = sums.reshape(rows, rows)
    real, imaginary = np.triu(packed), np.tril(packed, -1)
    return real + np.triu(packed, 1).T + 1j * (imaginary - imaginary.T)
