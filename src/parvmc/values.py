"""Plain values that the operations of declarations.py take and return."""

from dataclasses import dataclass, field

import numpy as np

DENSE_ARRAYS = 5  # of S's size that a rank holds at a time, products and sums among them
SAMPLE_ARRAYS = 2  # of Z^+ Z's size on rank 0, itself and what the solver makes of it


@dataclass(frozen=True)
class Control:
    """The zero-mean control variate C = sum_i (lap_i f + 2 grad_i f . grad_i ln psi), f = sum_{i<j} u(r_ij).

    u'(r) = 1 / (1 + beta r)^2 (beta: inverse length). The kinetic part and the interaction are measured less
    kappa C / (2 (D - 1)), their own kappa each, which takes off their poles and leaves their means.

    kinetic: one kappa for all pairs, or float64[particles, particles] where f is sum_{i<j} kappa_ij u(r_ij).
    """

    beta: float = 1.0
    kinetic: float | np.ndarray = 0.0
    interaction: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """What a method may be chosen by: all but the number of ranks and time.

    parameters: trained ones, a complex one counts once; samples: of an iteration, over all ranks; is_complex: whether
    parameters are.
    """

    parameters: int
    samples: int
    is_complex: bool = False

    def route(self, memory):
        """Return the way to a step of stochastic reconfiguration, "dense", "minsr" or "cg"; memory: in GB."""
        bytes_of, dense = 16 if self.is_complex else 8, self.parameters <= self.samples
        arrays, side = (DENSE_ARRAYS, self.parameters) if dense else (SAMPLE_ARRAYS, self.samples)
        fits = arrays * bytes_of * side**2 <= 1e9 * memory
        return ("dense" if dense else "minsr") if fits else "cg"


@dataclass(frozen=True)
class Quantity:
    """One dataset of an observable, with its standard errors (None where there are none) and its axes.

    axes: {name: (values, unit, description)}, one for each dimension of `values`, in order.
    """

    values: np.ndarray
    errors: np.ndarray | None
    unit: str
    description: str
    axes: dict = field(default_factory=dict)
