"""Stochastic reconfiguration: the natural gradient of the energy."""

import math
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt, Unit, doc

from parvmc.declarations import chosen, needs_covariance, needs_samples, problems, shrunk, solve, start, step
from parvmc.dispatch import implements, settings
from parvmc.optimizers.common import Schedule
from parvmc.optimizers.solvers import conjugate_gradients, in_sample_space

DENSE_ARRAYS = 9  # of S's size that a rank holds at a time, products and sums among them
SAMPLE_ARRAYS = 2  # of Z^+ Z's size on rank 0, itself and what the solver makes of it
MOMENTUM = 0.9  # its authors use 0.99 with learning rates that fall off; 0.9 forgives more


@settings
class Settings(Schedule):
    """Solve (S + shift diag S + floor) d = -learning_rate f, S the covariance of the log-derivatives, f half the
    gradient.

    Imaginary-time evolution projected on the trial states (Sorella, Phys. Rev. B 64, 024512 (2001), eq. 8). The shift
    is that of Carleo and Troyer, Science 355, 602 (2017), which does not depend on the parameters' scales; so is its
    schedule, theirs being [100, 0.9] with a shift of 1e-4. The floor holds back parameters of hidden units that have
    died out: their derivatives hardly vary, and noise / noise is not a step. All methods solve the same equation;
    "spring" adds a part of its last step where the samples have nothing to say against it.
    """

    kind: Literal["reconfiguration"] = "reconfiguration"
    method: Annotated[
        Literal["auto", "dense", "cg", "minsr", "spring"],
        doc(
            '"dense": the matrix S in parameter space; "cg": no matrix, conjugate gradients; "minsr": a matrix of '
            'samples by samples; "spring": minsr with a memory; "auto": dense up to as many parameters as samples, '
            "then minsr, but cg where their matrices do not fit into `memory`"
        ),
    ] = "auto"
    learning_rate: Annotated[float, Gt(0), Unit("1 / energy"), doc("imaginary time of one step")] = 0.05
    shift: Annotated[float, Gt(0), doc("relative shift of the diagonal of S")] = 1e-3
    shift_schedule: Annotated[
        tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0), Lt(1)]] | None,
        doc("[start, decay]: the shift of iteration p is start decay^p, or `shift` where that is larger"),
    ] = None
    floor: Annotated[float, Ge(0), doc("absolute shift of the diagonal of S")] = 1e-4
    max_step: Annotated[
        float, Gt(0), doc("bound on sqrt(d A d), A the shifted S, so that a noisy step cannot wreck the run")
    ] = 0.1
    momentum: Annotated[
        Annotated[float, Ge(0), Lt(1)] | None,
        doc(f'part of the last step that "spring" begins from; default: {MOMENTUM}'),
    ] = None
    tolerance: Annotated[float, Gt(0), Lt(1), doc('relative residual at which "cg" stops')] = 1e-6


@implements(problems, Settings)
def _problems(optimizer, space):
    if optimizer.momentum is None or optimizer.method == "spring":
        return []
    reason = f'is nothing to method = "{optimizer.method}"; it goes with kind = "momentum" or with method = "spring"'
    return [("momentum", reason)]


@implements(chosen, Settings)
def _chosen(optimizer, sizes):
    if optimizer.method != "auto":
        return optimizer
    bytes_of = 16 if sizes.is_complex else 8
    dense = sizes.parameters <= sizes.samples
    arrays, side = (DENSE_ARRAYS, sizes.parameters) if dense else (SAMPLE_ARRAYS, sizes.samples)
    fits = arrays * bytes_of * side**2 <= 1e9 * optimizer.memory
    return replace(optimizer, method=("dense" if dense else "minsr") if fits else "cg")


@implements(needs_covariance, Settings)
def _needs_covariance(optimizer):
    return not needs_samples(optimizer)


@implements(needs_samples, Settings)
def _needs_samples(optimizer):
    return optimizer.method in ("cg", "minsr", "spring")


@implements(start, Settings)
def _start(optimizer, count):
    return {"previous": np.zeros(count)} if optimizer.method == "spring" else {}


@implements(shrunk, Settings)
def _shrunk(optimizer, memory, factor):
    # not by the product alone: zero times what is not a number would stay for good
    return {name: factor * values if factor else np.zeros_like(values) for name, values in memory.items()}


def _shift(optimizer, iteration):
    if optimizer.shift_schedule is None:
        return optimizer.shift
    first, decay = optimizer.shift_schedule
    return max(first * decay**iteration, optimizer.shift)


def _within(optimizer, norm):
    """Return the factor that bounds a step with sqrt(d A d) = norm."""
    return optimizer.max_step / norm if norm > optimizer.max_step else 1.0


@implements(step, Settings)
def _step(optimizer, memory, moments, iteration):
    covariance, gradient = moments.covariance, moments.gradient
    if np.iscomplexobj(covariance):
        gradient = gradient.view(complex)
    shifted = covariance + np.diag(_shift(optimizer, iteration) * np.diag(covariance) + optimizer.floor)
    scale = np.sqrt(np.diag(shifted).real)
    moves = scale > 0.0  # a parameter without any effect has no say in the step
    scale = np.where(moves, scale, 1.0)
    force = -0.5 * optimizer.learning_rate * gradient / scale
    change = np.linalg.solve(shifted / np.outer(scale, scale) + np.diag(~moves), np.where(moves, force, 0.0))
    change *= _within(optimizer, math.sqrt(max(np.vdot(change, force).real, 0.0)))
    return (change / scale).view(np.float64), memory


@implements(solve, Settings)
def _solve(optimizer, memory, moments, matrix_of, iteration):
    """With v_k = sqrt(S_kk + floor / shift) the equation is (Z Z^+ + shift) (v d) = Z e."""
    shift = _shift(optimizer, iteration)
    scale = np.sqrt(moments.diagonal + optimizer.floor / shift)
    scale = np.where(scale > 0.0, scale, 1.0)
    matrix = matrix_of(scale)
    scale = np.repeat(scale, matrix.parts)
    if optimizer.method == "cg":
        force = -0.5 * optimizer.learning_rate * moments.gradient / scale
        change, square = conjugate_gradients(matrix, force, shift, optimizer.tolerance)
    else:
        previous = None
        if optimizer.method == "spring":
            part = MOMENTUM if optimizer.momentum is None else optimizer.momentum
            previous = part * memory["previous"] * scale
        change, square = in_sample_space(matrix, optimizer.learning_rate, shift, previous)
    factor = _within(optimizer, math.sqrt(square + shift * (change @ change)))
    # SPRING goes on from the step as it was before it was bounded, as its authors do
    memory = {"previous": change / scale} if optimizer.method == "spring" else memory
    return factor * change / scale, memory, factor * math.sqrt(square)
