"""Energies that are known exactly, for exactly one system each. Units hbar = m = e = 1."""

import math
from typing import Any, NamedTuple


class Exact(NamedTuple):
    """An exact ground state: energy, where it comes from, parts (energy = kinetic + trap + interaction), and lengths.

    squared_radius: <r^2> of a particle; pair_distance: <r12>; radius: <r> of a particle; None where not known.
    """

    energy: float
    source: str
    kinetic: float
    trap: float
    interaction: float
    squared_radius: float | None = None
    pair_distance: float | None = None
    radius: float | None = None


# Two particles in an isotropic trap that repel as 1/r: (dimensions, omega): energy and parts, <r^2>, <r12>. Where the
# series in r12 ends, energy = omega (n + dimensions): M. Taut, Phys. Rev. A 48, 3561 (1993) in three dimensions,
# J. Phys. A 27, 1045 (1994) in two. The others by two independent numerical routes, to the digits shown.
TWO_ELECTRONS = {
    (2, 0.01): Exact(0.073835040776, "exact", 0.009237910, 0.027690983, 0.036906148, 276.90983465, 29.19163528),
    (2, 0.1): Exact(0.440791888014, "exact", 0.090497764, 0.177096551, 0.173197573, 17.70965508, 6.74403467),
    (2, 0.28): Exact(1.021644013601, "exact", 0.249409292, 0.423684435, 0.348550287, 5.40413820, 3.55025513),
    (2, 0.5): Exact(1.659772149994, "exact", 0.442857954, 0.700876701, 0.516037495, 2.80350680, 2.48690372),
    (2, 1.0): Exact(3.0, "Taut 1994", 0.886199497, 1.295399832, 0.818400671, 1.29539983, 1.63680134),
    (2, 5.0): Exact(12.503561051576, "exact", 4.566712402, 5.690091151, 2.246757499, 0.22760365, 0.64483872),
    (3, 0.1): Exact(0.5, "Taut 1993", 0.126028340, 0.208676113, 0.165295547, 20.86761132, 6.94241299),
    (3, 0.5): Exact(2.0, "Taut 1993", 0.664417601, 0.888139200, 0.447443199, 3.55255680, 2.68465920),
    (3, 1.0): Exact(3.730120954341, "exact", 1.361510081, 1.697210345, 0.671400528, 1.69721035, 1.81600624),
}


def exact(particles, dimensions, omega, interaction, strength):
    """The exact ground state of particles in a harmonic trap (bosons, or two electrons in the singlet), or None.

    omega: one frequency per axis; interaction: its kind; strength: of the interaction, whatever for "none".

    Without interaction E = N sum_k omega_k / 2, half of it kinetic. For the Coulomb repulsion lambda / r, lengths in
    units of 1/lambda give E(omega, lambda) = lambda^2 E(omega / lambda^2, 1), and the same for every part of E.
    Lengths of the ideal gas: <r^2> = sum_k 1/(2 omega_k); in an isotropic trap <r> = Gamma((D+1)/2) / Gamma(D/2) /
    sqrt(omega), and r12 is as a radius sqrt(2) times as wide.
    """
    omega = tuple(omega)
    if len(omega) != dimensions:
        raise ValueError(f"{len(omega)} frequencies for {dimensions} dimensions")
    if particles == 1 or interaction == "none" or (interaction == "coulomb" and strength == 0):
        energy = 0.5 * particles * math.fsum(omega)
        radius = pair_distance = None
        if all(w == omega[0] for w in omega):
            radius = math.gamma(0.5 * dimensions + 0.5) / math.gamma(0.5 * dimensions) / math.sqrt(omega[0])
            pair_distance = math.sqrt(2.0) * radius if particles > 1 else None
        squared_radius = math.fsum(0.5 / w for w in omega)
        return Exact(energy, "exact", 0.5 * energy, 0.5 * energy, 0.0, squared_radius, pair_distance, radius)
    if particles != 2 or interaction != "coulomb" or strength < 0 or any(w != omega[0] for w in omega):
        return None
    scale = strength**2
    for (axes, frequency), row in TWO_ELECTRONS.items():
        if axes == dimensions and math.isclose(omega[0], frequency * scale, rel_tol=1e-12):
            parts = (scale * part for part in (row.kinetic, row.trap, row.interaction))
            return Exact(
                scale * row.energy, row.source, *parts, row.squared_radius / scale, row.pair_distance / strength
            )
    return None


# Two particles in one dimension that repel as 1 / sqrt(r^2 + softening^2): (omega, softening): energy.
SOFTENED = {(0.25, 0.25): 0.8248510737, (1.0, 0.25): 2.3830862362}


def exact_energy(particles, dimensions, omega, interaction, strength, softening=None):
    """(energy, source) of the exact ground state, or None where it is not known; the arguments are those of `exact`.

    softening: of the softened Coulomb repulsion (length).
    """
    if (particles, dimensions, interaction, strength) == (2, 1, "soft_coulomb", 1.0):
        energy = SOFTENED.get((omega[0], softening))
        return energy and (energy, "exact")
    found = exact(particles, dimensions, omega, interaction, strength)
    return found and (found.energy, found.source)


def of_deck(deck: dict[str, Any]) -> Exact | None:
    """The exact ground state of the system of a resolved deck (nested dicts), or None."""
    system = deck.get("system", {})
    if system.get("kind") != "trap":
        return None
    dimensions, omega = system["dimensions"], system.get("omega", 1.0)
    interaction = system.get("interaction", {"kind": "none"})
    return exact(
        system["particles"],
        dimensions,
        omega if isinstance(omega, list) else [omega] * dimensions,
        interaction["kind"],
        interaction.get("strength", 1.0),
    )
