"""Stochastic reconfiguration: the natural gradient of the energy."""

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, doc

from parvmc.declarations import (
    needs_covariance,
    step,
)
from parvmc.dispatch import implements, settings
from parvmc.optimizers.common import Schedule


@settings
class Settings(Schedule):
    """Solve (S + shift diag S + floor) d = -learning_rate f, S the covariance of the log-derivatives, f half the
    gradient.

    Imaginary-time evolution projected on the trial states (Sorella, Phys. Rev. B 64, 024512 (2001), eq. 8). The shift
    is that of Carleo and Troyer, Science 355, 602 (2017), which does not depend on the parameters' scales. The floor
    holds back parameters of hidden units that have died out: their derivatives hardly vary, and noise / noise is not a
    step.
    """

    kind: Literal["reconfiguration"] = "reconfiguration"
    method: Annotated[Literal["auto", "dense"], doc('"dense": the matrix S in parameter space')] = "auto"
    learning_rate: Annotated[float, Gt(0), doc("imaginary time of one step (inverse energy)")] = 0.05
    shift: Annotated[float, Gt(0), doc("relative shift of the diagonal of S")] = 1e-3
    floor: Annotated[float, Ge(0), doc("absolute shift of the diagonal of S")] = 1e-4
    max_step: Annotated[
        float, Gt(0), doc("bound on sqrt(d A d), A the shifted S, so that a noisy step cannot wreck the run")
    ] = 0.1


@implements(needs_covariance, Settings)
def _needs_covariance(optimizer):
    return True


@implements(step, Settings)
def _step(optimizer, memory, moments, iteration):
    diagonal = np.diag(moments.covariance)
    shifted = moments.covariance + np.diag(optimizer.shift * diagonal + optimizer.floor)
    scale = np.sqrt(np.diag(shifted))
    moves = scale > 0.0  # a parameter without any effect has no say in the step
    scale = np.where(moves, scale, 1.0)
    force = -0.5 * optimizer.learning_rate * moments.gradient / scale
    change = np.linalg.solve(shifted / np.outer(scale, scale) + np.diag(~moves), np.where(moves, force, 0.0))
    norm = math.sqrt(max(change @ force, 0.0))
    if norm > optimizer.max_step:
        change *= optimizer.max_step / norm
    return change / scale, memory
