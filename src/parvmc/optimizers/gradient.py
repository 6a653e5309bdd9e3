"""Gradient descent."""

from typing import Annotated, Literal

from annotated_types import Gt, doc

from parvmc.declarations import (
    step,
)
from parvmc.dispatch import implements, settings
from parvmc.optimizers.common import Schedule


@settings
class Settings(Schedule):
    """theta <- theta - learning_rate dE/d theta."""

    kind: Literal["gradient"] = "gradient"
    learning_rate: Annotated[float, Gt(0), doc("factor of the gradient")] = 0.1


@implements(step, Settings)
def _step(optimizer, memory, moments, iteration):
    return -optimizer.learning_rate * moments.gradient, memory
