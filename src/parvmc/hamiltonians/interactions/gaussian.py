"""A Gaussian repulsion or attraction."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Gt, Unit, doc

from parvmc.declarations import interaction_pack
from parvmc.dispatch import implements, row_function, settings
from parvmc.operations import interacts, pair_energy
from parvmc.vecmath import exp


@settings
class Settings:
    """v(r) = strength exp(-r^2 / (2 width^2))."""

    kind: Literal["gaussian"] = "gaussian"
    strength: Annotated[float, Unit("energy"), doc("v at r = 0; negative attracts")] = 1.0
    width: Annotated[float, Gt(0), Unit("length"), doc("standard deviation of the Gaussian")] = 1.0


class Gaussian(NamedTuple):
    """Pack of the interaction; strength: energy, decay: 1 / (2 width^2)."""

    strength: float
    decay: float


@implements(interaction_pack, Settings)
def _pack(interaction):
    return Gaussian(interaction.strength, 0.5 / interaction.width**2)


@implements(interacts, Gaussian)
def _interacts(interaction):
    return True


@row_function
def _add(strength, decay, squared_distance, energy):
    for lane in range(energy.size):
        energy[lane] += strength * exp(-decay * squared_distance[lane])


@implements(pair_energy, Gaussian)
def _pair_energy(interaction, squared_distance, energy):
    _add(interaction.strength, interaction.decay, squared_distance, energy)
