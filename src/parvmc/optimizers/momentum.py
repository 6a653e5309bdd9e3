"""Gradient descent with momentum."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt, doc

from parvmc.declarations import shrunk, start, step
from parvmc.dispatch import implements, settings
from parvmc.optimizers.common import Schedule


@settings
class Settings(Schedule):
    """v <- momentum v - learning_rate dE/d theta, theta <- theta + v (Polyak, 1964)."""

    kind: Literal["momentum"] = "momentum"
    learning_rate: Annotated[float, Gt(0), doc("factor of the gradient")] = 0.05
    momentum: Annotated[float, Ge(0), Lt(1), doc("part of the last step that is kept")] = 0.9


@implements(start, Settings)
def _start(optimizer, count):
    return {"velocity": np.zeros(count)}


@implements(shrunk, Settings)
def _shrunk(optimizer, memory, factor):
    return {"velocity": factor * memory["velocity"]}


@implements(step, Settings)
def _step(optimizer, memory, moments, iteration):
    velocity = optimizer.momentum * memory["velocity"] - optimizer.learning_rate * moments.gradient
    return velocity, {"velocity": velocity}
