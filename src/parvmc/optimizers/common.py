"""What every optimiser's table in the deck has."""

from typing import Annotated

from annotated_types import Ge, Le, doc

from parvmc.dispatch import settings


@settings
class Schedule:
    """How long to optimise, on how many samples, and which parameters production uses."""

    iterations: Annotated[int, Ge(0), doc("optimisation steps; 0 measures the initial state")] = 300
    samples: Annotated[
        Annotated[int, Ge(2)] | None,
        doc("samples per iteration over all ranks, a multiple of walkers; default: walkers"),
    ] = None
    average: Annotated[
        float, Ge(0), Le(1), doc("production uses the parameters averaged over this last part of the iterations")
    ] = 0.33
