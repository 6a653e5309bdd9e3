"""What is known exactly of the system that a deck describes, from the deck's text alone: no kernels, pure numpy.

system: the deck's table [system], every default filled in.
"""

import math
from typing import NamedTuple

import numpy as np

from parvmc import references, spin_curves, spin_references, trap_curves
from parvmc.lattice import Lattice

RADII = 4001  # between which the density at more places is interpolated, to 1e-6 of it
BINS = ("r", "x", "y", "z", "x_prime", "y_prime", "z_prime")  # axes along which values are means over bins
NODES = 3  # of a bin's mean, along each axis


class Known(NamedTuple):
    """Exact values, of an observable's shape, nan where they are not known, and where they come from."""

    values: np.ndarray
    source: str


def energy(system):
    """Return (energy, source), the exact or best-known ground-state energy, or None."""
    kind = system.get("kind")
    if kind == "trap":
        pair = system.get("interaction", {"kind": "none"})
        sizes = system["particles"], system["dimensions"], _omega(system)
        return references.exact_energy(*sizes, pair["kind"], pair.get("strength", 1.0), pair.get("softening"))
    if kind == "ising":
        return spin_references.ising_energy(_lattice(system), system.get("coupling", 1.0), system.get("field", 1.0))
    if kind == "heisenberg" and system.get("anisotropy", 1.0) != 1.0:
        return None
    if kind in ("heisenberg", "j1j2"):
        nearest, next_nearest = _couplings(system)
        return spin_references.heisenberg_energy(_lattice(system), nearest, next_nearest, _magnetisation(system))
    return None


def observable(system, name, axes, sites=None):
    """Return what is `Known` of an observable at the places of its axes, {name: float64[n]}, or None.

    Any places will do for particles in a trap, those of the result file for spins. sites: of a Renyi entropy's block.
    """
    kind, axes = system.get("kind"), dict(axes)
    if kind == "trap":
        return _of_trap(system, name, axes)
    return _of_spins(system, name, axes, sites) if kind in ("ising", "heisenberg", "j1j2") else None


def means(system, name, axes, sites=None):
    """Return the same where values are means over bins around the axes' places, shells of r or cells of x, y, z.

    By Gauss's rule of NODES places along each axis.
    """
    if system.get("kind") != "trap" or not axes or any(axis not in BINS for axis in axes):
        return observable(system, name, axes, sites)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    fine, shares = {}, []
    for axis, middles in axes.items():
        width = middles[1] - middles[0] if len(middles) > 1 else 2.0 * abs(middles[0]) or 1.0
        places = middles[:, np.newaxis] + 0.5 * width * nodes
        share = np.broadcast_to(0.5 * weights, places.shape)
        if axis == "r":
            share = share * np.abs(places) ** (system["dimensions"] - 1)
            share = share / share.sum(axis=1, keepdims=True)
        fine[axis], shares = places.ravel(), [*shares, share]
    found = observable(system, name, fine, sites)
    if found is None:
        return None
    values = found.values
    for number, share in enumerate(shares):
        parts = values.reshape(*values.shape[:number], *share.shape, *values.shape[number + 1 :])
        columns = share.reshape(*share.shape, *[1] * (parts.ndim - number - 2))
        values = (parts * columns).sum(axis=number + 1)
    return Known(values, found.source)


# --- particles in a trap


def _omega(system):
    omega = system.get("omega", 1.0)
    return omega if isinstance(omega, list) else [omega] * system["dimensions"]


def _of_trap(system, name, axes):
    omega, particles, dimensions = _omega(system), system["particles"], system["dimensions"]
    pair = system.get("interaction", {"kind": "none"})
    strength = pair.get("strength", 1.0)
    isotropic = all(frequency == omega[0] for frequency in omega)
    grid = np.meshgrid(*axes.values(), indexing="ij") if axes else []
    found, source = None, "ideal gas"
    if particles == 1 or pair["kind"] == "none" or strength == 0.0:
        if name == "density" and isotropic:
            found = trap_curves.ideal_density(particles, omega, [grid[0], *[0.0] * (dimensions - 1)])
        elif name == "cartesian_density":
            found = trap_curves.ideal_density(particles, omega, grid)
        elif name == "density_matrix":
            found = trap_curves.ideal_density_matrix(particles, omega, grid)
        elif name == "density_matrix_occupations":
            found = np.where(grid[0] == 1, float(particles), 0.0)
        elif name == "pair_correlation" and isotropic:
            found = trap_curves.ideal_pair_correlation(particles, omega[0], dimensions, grid[0])
    elif particles == 2 and pair["kind"] == "coulomb" and isotropic:
        source, arguments = "exact", (omega[0], dimensions, strength)
        if name == "pair_correlation":
            found = trap_curves.two_electron_pair_correlation(*arguments, grid[0])
        elif name in ("density", "cartesian_density"):
            radii = np.sqrt(sum(np.square(part) for part in grid))
            few = radii.ravel() if radii.size < RADII else np.linspace(0.0, radii.max(), RADII)
            curve = trap_curves.two_electron_density(*arguments, few)
            if curve is not None:
                found = curve.reshape(radii.shape) if few.size == radii.size else np.interp(radii, few, curve)
    return None if found is None else Known(np.asarray(found), source)


# --- spins on a lattice


def _lattice(system):
    return Lattice(tuple(system["lattice"]), system.get("periodic", True))


def _couplings(system):
    if system["kind"] == "heisenberg":
        return system.get("coupling", 1.0), 0.0
    return system.get("j1", 1.0), system.get("j2", 0.5)


def _magnetisation(system):
    kept = system.get("magnetisation", 0)
    return kept if isinstance(kept, int) else None


def _ground(system):
    """Return the ground state by diagonalisation, or None where the lattice is too large."""
    lattice = _lattice(system)
    if system["kind"] == "ising":
        bonds = tuple((*map(int, bond), 0.0, -system.get("coupling", 1.0)) for bond in lattice.nearest)
        return spin_curves.ground(lattice, bonds, system.get("field", 1.0), None)
    nearest, next_nearest = _couplings(system)
    along = nearest * system.get("anisotropy", 1.0)
    bonds = [(*map(int, bond), nearest, along) for bond in lattice.nearest]
    bonds += [(*map(int, bond), next_nearest, next_nearest) for bond in lattice.next_nearest] if next_nearest else []
    return spin_curves.ground(lattice, tuple(bonds), 0.0, _magnetisation(system))


def _ring(system):
    """Return (sites, J, h) of a ring of Ising spins, or None."""
    lattice = _lattice(system)
    if system["kind"] != "ising" or len(lattice.shape) > 1 or not lattice.periodic:
        return None
    return lattice.sites, system.get("coupling", 1.0), system.get("field", 1.0)


def _pairs(system):
    """Return (float64[sites, sites] of <s_i s_k>, nan where not known, source), or None."""
    if ground := _ground(system):
        return spin_curves.pairs_of(ground), "diagonalisation"
    if ring := _ring(system):
        pairs = spin_curves.ising_ring_pairs(*ring)
        return None if pairs is None else (pairs, "Pfeuty 1970")
    return _neighbours(system)


def _neighbours(system):
    """Return the same of the isotropic Heisenberg model, where all bonds are alike: <s_i s_k> = E / (3 J bonds)."""
    lattice, (nearest, next_nearest) = _lattice(system), _couplings(system) if system["kind"] != "ising" else (0, 1)
    found = energy(system)
    if found is None or nearest <= 0.0 or next_nearest or len(set(lattice.shape)) > 1:
        return None
    pairs = np.full((lattice.sites, lattice.sites), math.nan)
    np.fill_diagonal(pairs, 1.0)
    first, second = lattice.nearest.T
    pairs[first, second] = pairs[second, first] = found[0] / (3.0 * nearest * len(first))
    return pairs, found[1]


def _of_spins(system, name, axes, sites):
    if name in ("spin_correlation", "structure_factor"):
        found = _pairs(system)
        if found is None:
            return None
        place = spin_curves.by_displacement if name == "spin_correlation" else spin_curves.at_waves
        values = place(_lattice(system), found[0], axes)
        return None if np.isnan(values).all() else Known(values, found[1])
    if name in ("renyi", "renyi_swap"):
        return _entropy(system, name, sites)
    if name.startswith("magnetisation"):
        if ground := _ground(system):
            values = spin_curves.moments_of(ground)
            return Known(np.asarray(values[name]), "diagonalisation") if name in values else None
        pairs = _pairs(system) if name == "magnetisation_squared" else None
        return None if pairs is None or np.isnan(pairs[0]).any() else Known(np.asarray(pairs[0].mean()), pairs[1])
    return None


def _entropy(system, name, sites):
    lattice = _lattice(system)
    block = range(lattice.sites // 2) if sites is None else range(sites) if isinstance(sites, int) else sites
    block, purity, source = sorted(block), None, "diagonalisation"
    if ground := _ground(system):
        purity = spin_curves.purity_of(ground, block)
    elif (ring := _ring(system)) and block == list(range(block[0], block[0] + len(block))):
        purity, source = spin_curves.ising_ring_purity(*ring, len(block)), "free fermions"
    if purity is None:
        return None
    return Known(np.asarray(purity if name == "renyi_swap" else -math.log(purity)), source)
