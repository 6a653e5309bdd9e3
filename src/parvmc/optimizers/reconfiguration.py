"""Stochastic reconfiguration: the natural gradient of the energy."""

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, doc

from parvmc.dispatch import implements, settings
from parvmc.operations import step
from parvmc.optimizers.common import Schedule


@settings
class Settings(Schedule):
    """Solve (S + shift diag S) d = -learning_rate f, S the covariance of the log-derivatives, f half the gradient.

    Imaginary-time evolution projected on the trial states (Sorella, Phys. Rev. B 64, 024512 (2001), eq. 8); the shift
    is that of Carleo and Troyer, Science 355, 602 (2017), which does not depend on the parameters' scales.
    """

    kind: Literal["reconfiguration"] = "reconfiguration"
    method: Annotated[Literal["auto", "dense"], doc('"dense": the matrix S in parameter space')] = "auto"
    learning_rate: Annotated[float, Gt(0), doc("imaginary time of one step (inverse energy)")] = 0.05
    shift: Annotated[float, Gt(0), doc("relative shift of the diagonal of S")] = 1e-3
    max_step: Annotated[
        float, Gt(0), doc("bound on the step's norm sqrt(d S d), so that a noisy step cannot wreck the run")
    ] = 0.1


@implements(step, Settings)
def _step(optimizer, memory, moments, iteration):
    covariance = moments.covariance
    scale = np.sqrt(np.diag(covariance))
    # a derivative that does not vary has no say: its row and column of the scaled matrix become those of the identity
    scale = np.where(scale > 0.0, scale, np.inf)
    correlation = covariance / np.outer(scale, scale)
    force = 0.5 * moments.gradient / scale
    change = np.linalg.solve(correlation + optimizer.shift * np.eye(force.size) + np.diag(np.isinf(scale)), force)
    change *= -optimizer.learning_rate
    norm = math.sqrt(max(change @ correlation @ change, 0.0))
    if norm > optimizer.max_step:
        change *= optimizer.max_step / norm
    return change / scale, memory
