"""Coulomb repulsion."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Unit, doc

from parvmc.declarations import (
    exponent,
    interaction_pack,
    pole,
    problems,
)
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import (
    interacts,
    pair_energy,
)
from parvmc.vecmath import inverse_root


@settings
class Settings:
    """v(r) = strength / r."""

    kind: Literal["coulomb"] = "coulomb"
    strength: Annotated[float, Ge(0), Unit("energy times length"), doc("strength of the repulsion")] = 1.0


class Coulomb(NamedTuple):
    """Pack of the Coulomb repulsion; strength in energy times length."""

    strength: float


@implements(interaction_pack, Settings)
def _pack(interaction):
    return Coulomb(interaction.strength)


def needs_two_dimensions(name, space):
    """Return the reason why a repulsion with a 1/r at the origin cannot work in one dimension, as `problems` does."""
    if space.dimensions == 1 and space.particles > 1:
        reason = f"{name} in one dimension has no finite energy for a state that does not vanish at contact"
        return [("", f"{reason}; use soft_coulomb, or two or three dimensions")]
    return []


@implements(problems, Settings)
def _problems(interaction, space):
    return needs_two_dimensions("bare Coulomb repulsion", space)


@implements(pole, Settings)
def _pole(interaction):
    return interaction.strength


@implements(exponent, Settings)
def _exponent(interaction):
    return -1.0


@implements(interacts, Coulomb)
def _interacts(interaction):
    return True


@row_function
def _add_inverse(strength, squared_distance, energy):
    for lane in range(energy.size):
        energy[lane] += strength * inverse_root(squared_distance[lane])


@implements(pair_energy, Coulomb)
def _pair_energy(interaction, squared_distance, energy):
    _add_inverse(interaction.strength, squared_distance, energy)
