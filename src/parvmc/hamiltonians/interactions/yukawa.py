"""Screened Coulomb repulsion."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Unit, doc

from parvmc.declarations import interaction_pack, pole, problems
from parvmc.dispatch import implements, row_function, settings
from parvmc.hamiltonians.interactions.coulomb import needs_two_dimensions
from parvmc.operations import interacts, pair_energy
from parvmc.vecmath import exp, inverse_root


@settings
class Settings:
    """v(r) = strength exp(-screening r) / r."""

    kind: Literal["yukawa"] = "yukawa"
    strength: Annotated[float, Ge(0), Unit("energy times length"), doc("strength of the repulsion at r = 0")] = 1.0
    screening: Annotated[float, Gt(0), Unit("1 / length"), doc("inverse of the screening length")]


class Yukawa(NamedTuple):
    """Pack of the screened repulsion; strength in energy times length, screening in 1 / length."""

    strength: float
    screening: float


@implements(interaction_pack, Settings)
def _pack(interaction):
    return Yukawa(interaction.strength, interaction.screening)


@implements(problems, Settings)
def _problems(interaction, space):
    return needs_two_dimensions("screened Coulomb repulsion", space)


@implements(pole, Settings)
def _pole(interaction):
    return interaction.strength


@implements(interacts, Yukawa)
def _interacts(interaction):
    return True


@row_function
def _add(strength, screening, squared_distance, energy):
    for lane in range(energy.size):
        inverse = inverse_root(squared_distance[lane])
        energy[lane] += strength * exp(-screening * squared_distance[lane] * inverse) * inverse


@implements(pair_energy, Yukawa)
def _pair_energy(interaction, squared_distance, energy):
    _add(interaction.strength, interaction.screening, squared_distance, energy)
