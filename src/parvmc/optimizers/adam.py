"""Adam."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt, doc

from parvmc.declarations import (
    start,
    step,
)
from parvmc.dispatch import implements, settings
from parvmc.optimizers.common import Schedule


@settings
class Settings(Schedule):
    """Steps scaled by running moments of the gradient (Kingma and Ba, ICLR 2015, algorithm 1)."""

    kind: Literal["adam"] = "adam"
    learning_rate: Annotated[float, Gt(0), doc("size of a step of each parameter")] = 0.02
    beta1: Annotated[float, Ge(0), Lt(1), doc("memory of the gradient's running mean")] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1), doc("memory of the squared gradient's running mean")] = 0.999
    epsilon: Annotated[float, Gt(0), doc("added to the root of the running mean square")] = 1e-8


@implements(start, Settings)
def _start(optimizer, count):
    return {"first": np.zeros(count), "second": np.zeros(count)}


@implements(step, Settings)
def _step(optimizer, memory, moments, iteration):
    first = optimizer.beta1 * memory["first"] + (1.0 - optimizer.beta1) * moments.gradient
    second = optimizer.beta2 * memory["second"] + (1.0 - optimizer.beta2) * np.square(moments.gradient)
    unbiased_first = first / (1.0 - optimizer.beta1 ** (iteration + 1))
    unbiased_second = second / (1.0 - optimizer.beta2 ** (iteration + 1))
    change = -optimizer.learning_rate * unbiased_first / (np.sqrt(unbiased_second) + optimizer.epsilon)
    return change, {"first": first, "second": second}
