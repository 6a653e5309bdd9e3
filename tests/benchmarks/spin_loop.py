"""What the kernels of spins are compared with: the careful code of a good student, one walker at a time, compiled by
Numba.

Theta and its log cosh are kept up to date; a flip or an exchange takes one log cosh for each hidden unit, and what
exchanges two equal spins is skipped at once.
"""

from typing import NamedTuple

import numba
import numpy as np

compiled = numba.njit(fastmath=True, cache=False)


class Machine(NamedTuple):
    """psi(s) = prod_j cosh(theta_j), theta_j = b_j + sum_i W_ij s_i, real or complex, on a lattice.

    exchanges: whether a move exchanges neighbours, H = sum (s_i s_k - 2 exchange), or flips one spin, H = -sum s_i s_k
    - sum flip, the field being 1; bias: b[hidden]; weight: W[sites, hidden]; bonds: int64[bonds, 2], of neighbours;
    places: int64[sites, translations], hidden unit f T + t being filter f moved by translation t, or without sites.
    """

    exchanges: bool
    bias: np.ndarray
    weight: np.ndarray
    bonds: np.ndarray
    places: np.ndarray


@compiled
def _log_cosh(x):
    """Return ln(2 cosh x), for x of any sign without overflow."""
    y = -x if x.real < 0.0 else x
    return y + np.log(1.0 + np.exp(-2.0 * y))


@compiled
def _start(machine, spins, theta, logarithm):
    for j in range(theta.size):
        theta[j] = machine.bias[j]
        for i in range(spins.size):
            theta[j] += machine.weight[i, j] * spins[i]
        logarithm[j] = _log_cosh(theta[j])


@compiled
def _propose(machine, spins, i, k, theta, logarithm, new_theta, new_logarithm):
    """Return ln psi(s') - ln psi(s) of a flip at i, and at k where k is not i; new_theta: filled with theta'."""
    first, second = 2.0 * spins[i], 2.0 * spins[k]
    change = logarithm[0] - logarithm[0]
    for j in range(theta.size):
        new = theta[j] - first * machine.weight[i, j]
        if k != i:
            new -= second * machine.weight[k, j]
        new_theta[j] = new
        new_logarithm[j] = _log_cosh(new)
        change += new_logarithm[j] - logarithm[j]
    return change


@compiled
def _sweep(machine, spins, theta, logarithm, new_theta, new_logarithm):
    accepted = 0
    for _ in range(spins.size):
        if machine.exchanges:
            bond = np.random.randint(machine.bonds.shape[0])  # noqa: NPY002, numba's own generator
            i, k = machine.bonds[bond, 0], machine.bonds[bond, 1]
            if spins[i] == spins[k]:
                continue
        else:
            i = k = np.random.randint(spins.size)  # noqa: NPY002
        change = _propose(machine, spins, i, k, theta, logarithm, new_theta, new_logarithm)
        if change.real >= 0.0 or np.random.random() < np.exp(2.0 * change.real):  # noqa: NPY002
            accepted += 1
            spins[i] = -spins[i]
            if k != i:
                spins[k] = -spins[k]
            for j in range(theta.size):
                theta[j] = new_theta[j]
                logarithm[j] = new_logarithm[j]
    return accepted


@compiled
def _energy(machine, spins, theta, logarithm, new_theta, new_logarithm):
    """Return the real part of the local energy."""
    sign = 1.0 if machine.exchanges else -1.0
    energy = 0.0
    for bond in range(machine.bonds.shape[0]):
        i, k = machine.bonds[bond, 0], machine.bonds[bond, 1]
        energy += sign * spins[i] * spins[k]
        if machine.exchanges and spins[i] != spins[k]:
            change = _propose(machine, spins, i, k, theta, logarithm, new_theta, new_logarithm)
            energy -= 2.0 * np.exp(change).real
    if not machine.exchanges:
        for i in range(spins.size):
            energy -= np.exp(_propose(machine, spins, i, i, theta, logarithm, new_theta, new_logarithm)).real
    return energy


@compiled
def seed(number):
    """Seed the random numbers of the loop."""
    np.random.seed(number)  # noqa: NPY002, numba's own generator


@compiled
def walk(machine, walkers, sweeps, measures, sums):
    """Walk walkers float64[walkers, sites] and return the accepted moves; sums: of local energies, float64[walkers]."""
    theta, accepted = np.empty_like(machine.bias), 0
    logarithm, new_theta, new_logarithm = np.empty_like(theta), np.empty_like(theta), np.empty_like(theta)
    for walker in range(walkers.shape[0]):
        spins = walkers[walker]
        _start(machine, spins, theta, logarithm)
        for _ in range(sweeps):
            accepted += _sweep(machine, spins, theta, logarithm, new_theta, new_logarithm)
            if measures:
                sums[walker] += _energy(machine, spins, theta, logarithm, new_theta, new_logarithm)
    return accepted


@compiled
def energies(machine, walkers, times, sums):
    """Add the local energies, that many times, to sums float64[walkers]."""
    thetas = np.empty((walkers.shape[0], machine.bias.size), machine.bias.dtype)
    logarithms = np.empty_like(thetas)
    new_theta, new_logarithm = np.empty_like(machine.bias), np.empty_like(machine.bias)
    for walker in range(walkers.shape[0]):
        _start(machine, walkers[walker], thetas[walker], logarithms[walker])
    for _ in range(times):  # walkers inside, or the compiler might see that nothing changes
        for walker in range(walkers.shape[0]):
            theta, logarithm = thetas[walker], logarithms[walker]
            sums[walker] += _energy(machine, walkers[walker], theta, logarithm, new_theta, new_logarithm)


@compiled
def _derivatives(machine, spins, theta, tanh, row):
    """Fill a row with d ln psi by b and by W[sites, hidden], or by those of the filters."""
    for j in range(theta.size):
        tanh[j] = np.tanh(theta[j])
    copies = max(machine.places.shape[1], 1)
    filters = theta.size // copies
    for f in range(filters):
        row[f] = tanh[f * copies]
        for t in range(1, copies):
            row[f] += tanh[f * copies + t]
    for i in range(spins.size):
        for f in range(filters):
            if machine.places.size == 0:
                row[filters + i * filters + f] = spins[i] * tanh[f]
            else:
                total = tanh[0] - tanh[0]
                for t in range(copies):
                    total += spins[machine.places[i, t]] * tanh[f * copies + t]
                row[filters + i * filters + f] = total


@compiled
def derivatives(machine, walkers, times, rows):
    """Fill rows [walkers, parameters], real or complex, that many times, with d ln psi / d parameter."""
    thetas = np.empty((walkers.shape[0], machine.bias.size), machine.bias.dtype)
    scratch = np.empty_like(machine.bias)
    for walker in range(walkers.shape[0]):
        _start(machine, walkers[walker], thetas[walker], scratch)
    for _ in range(times):
        for walker in range(walkers.shape[0]):
            _derivatives(machine, walkers[walker], thetas[walker], scratch, rows[walker])
