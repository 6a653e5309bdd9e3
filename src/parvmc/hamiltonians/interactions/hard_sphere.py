"""Hard spheres."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Gt, Unit, doc

from parvmc.declarations import core, interaction_pack
from parvmc.dispatch import implements, settings
from parvmc.operations import interacts, pair_energy


@settings
class Settings:
    """v(r) is infinite for r < diameter and zero beyond: psi has to vanish at contact, and the energy is kinetic."""

    kind: Literal["hard_sphere"] = "hard_sphere"
    diameter: Annotated[float, Gt(0), Unit("length"), doc("diameter of a sphere, the s-wave scattering length in 3D")]


class HardSphere(NamedTuple):
    """Pack of hard spheres: no walker is where they overlap, so nothing is left to add."""


@implements(interaction_pack, Settings)
def _pack(interaction):
    return HardSphere()


@implements(core, Settings)
def _core(interaction, space=None):
    return interaction.diameter


@implements(interacts, HardSphere)
def _interacts(interaction):
    return False


@implements(pair_energy, HardSphere)
def _pair_energy(interaction, squared_distance, energy):
    pass
