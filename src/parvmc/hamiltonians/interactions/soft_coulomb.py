"""Coulomb repulsion softened at the origin, which is needed in one dimension."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Unit, doc

from parvmc.declarations import interaction_pack
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import interacts, pair_energy
from parvmc.vecmath import inverse_root


@settings
class Settings:
    """v(r) = strength / sqrt(r^2 + softening^2)."""

    kind: Literal["soft_coulomb"] = "soft_coulomb"
    strength: Annotated[float, Ge(0), Unit("energy times length"), doc("strength of the repulsion")] = 1.0
    softening: Annotated[float, Gt(0), Unit("length"), doc("distance at which the repulsion levels off")]


class SoftCoulomb(NamedTuple):
    """Pack of the softened repulsion; strength in energy times length, softening squared in length squared."""

    strength: float
    squared_softening: float


@implements(interaction_pack, Settings)
def _pack(interaction):
    return SoftCoulomb(interaction.strength, interaction.softening**2)


@implements(interacts, SoftCoulomb)
def _interacts(interaction):
    return True


@row_function
def _add(strength, squared_softening, squared_distance, energy):
    for lane in range(energy.size):
        energy[lane] += strength * inverse_root(squared_distance[lane] + squared_softening)


@implements(pair_energy, SoftCoulomb)
def _pair_energy(interaction, squared_distance, energy):
    _add(interaction.strength, interaction.squared_softening, squared_distance, energy)
