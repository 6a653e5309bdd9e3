"""What every optimiser's table in the deck has."""

from typing import Annotated

from annotated_types import Ge, Gt, Le, Unit, doc

from parvmc.declarations import spaces
from parvmc.dispatch import implements, settings
from parvmc.spaces import Space, Spins


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
    retry: Annotated[
        bool, doc("take a step back, and a quarter of it instead, where the energy or its variance jumps after it")
    ] = True
    memory: Annotated[
        float,
        Gt(0),
        Unit("GB"),
        doc("what the log-derivatives of all samples may take over all ranks, else they are computed when needed"),
    ] = 4.0


@implements(spaces, Schedule)
def _spaces(optimizer):
    return (Space, Spins)
