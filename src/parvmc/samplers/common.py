"""What all samplers are told: how many walkers there are, and when they are measured."""

from typing import Annotated

from annotated_types import Ge, doc

from parvmc.dispatch import settings


@settings
class Walkers:
    """The fields that the settings of every sampler begin with."""

    walkers: Annotated[int, Ge(1), doc("walkers over all ranks, a multiple of lanes")] = 8192
    lanes: Annotated[int, Ge(1), doc("walkers of one batch, which move together through the vector units")] = 128
    equilibration: Annotated[int, Ge(0), doc("sweeps before the first measurement")] = 500
    thinning: Annotated[int, Ge(1), doc("sweeps between measurements; a sweep proposes one move per particle")] = 2
