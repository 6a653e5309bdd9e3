"""No interaction."""

from typing import Literal, NamedTuple

from parvmc.declarations import (
    exponent,
    interaction_pack,
)
from parvmc.dispatch import implements, settings
from parvmc.operations import (
    interacts,
    pair_energy,
)


@settings
class Settings:
    """v(r) = 0: an ideal gas."""

    kind: Literal["none"] = "none"


class NoInteraction(NamedTuple):
    """Pack of no interaction."""


@implements(interaction_pack, Settings)
def _pack(interaction):
    return NoInteraction()


@implements(exponent, Settings)
def _exponent(interaction):
    return 0.0


@implements(interacts, NoInteraction)
def _interacts(interaction):
    return False


@implements(pair_energy, NoInteraction)
def _pair_energy(interaction, squared_distance, energy):
    pass
