"""The checks of a verdict, one function each, and their thresholds."""

import math
from dataclasses import dataclass

from parvmc import trend
from parvmc.results import reference_label, with_error
from parvmc.trend import FEWEST_ITERATIONS

EXACT = 1e-13  # relative error below which all that varies is rounding
NEARLY_EXACT = 1e-2  # relative spread below which a local energy is little but tails, in which outliers are normal
NO_SPREAD = "any, the local energy hardly varies"
FEWEST_TIMES = 50.0  # autocorrelation times: fewer are too short to judge R-hat and tau itself
LARGEST_R_HAT = 1.01
FAR_OUT = 1.1  # R-hat that even a short series must not have: 122 steps with tau = 3 gave 1.015
LEAST_ACCEPTANCE = 0.01  # below it walkers hardly move
LARGEST_ACCEPTANCE = 0.95  # of displacements, above it they are far shorter than the state is wide
LARGEST_OUTLIER = 8.0  # of 10^6 normal means the largest is 5 spreads out; per-walker means have fatter tails
# Two electrons, 65,536 means of 128 walkers: 0.1 for the estimator, 7,500 for the local energy of infinite variance.
LARGEST_KURTOSIS = 10.0
ERRORS = 4.0  # a normal number is so many standard errors off in 6 of 100,000 cases, on one side in 3
LITTLE = 1e-6  # of the energy: a drift that is too little to matter where there is no noise to hide it
TABULATED = 2e-9  # relative precision of energies from the literature
VIRIAL = 0.02  # two electrons at omega = 1: such a residual is left 7e-5 above the minimum of the energy
SCALES = ("sigma", "alpha")  # parameters that are a state's length scale


@dataclass(frozen=True)
class Check:
    """What one check has found.

    passed: None where it could not be made; value, threshold: numbers, or None; number, rule: the same as text;
    message: what is wrong and what to do about it, or why the check could not be made, nothing if it passed.
    """

    passed: bool | None
    value: float | None = None
    threshold: float | None = None
    number: str = ""
    rule: str = ""
    message: str = ""
    name: str = ""

    @property
    def outcome(self):
        """Return passed, failed or unknown."""
        return {True: "passed", False: "failed", None: "unknown"}[self.passed]


@dataclass(frozen=True)
class Numbers:
    """What the checks look at.

    deck: nested dicts, defaults filled in; values: the final ones by their names in the result file, empty before the
    end; blocking: the energy's table, None before the end; history: {name: one value per iteration} when optimising.
    """

    deck: dict
    values: dict
    blocking: object
    history: dict

    @property
    def is_exact(self):
        """Return whether there is no statistical error, of an eigenstate or where all configurations are listed."""
        return bool(self.values) and self.values["energy_error"] <= EXACT * abs(self.values["energy"])

    @property
    def on_lattice(self):
        """Return whether the system is a lattice of spins."""
        return "lattice" in self.deck["system"]

    @property
    def times(self):
        """Return the length of the series in autocorrelation times."""
        return self.values["samples"] / self.deck["sampler"]["walkers"] / self.values["autocorrelation_time"]

    @property
    def varies(self):
        """Return whether the estimator has a spread of which outliers can be told."""
        return self.values["variance_estimator"] > (NEARLY_EXACT * self.values["energy"]) ** 2


def _judged(passed, value, threshold, number, rule, fault):
    return Check(bool(passed), float(value), float(threshold), number, rule, "" if passed else fault)


# --- the error bar


def _plateau(n):
    if n.blocking is None:
        raise KeyError("blocking table")
    table, size = n.blocking, int(n.blocking.block_size[n.blocking.level])
    fault = "the blocking error has no plateau: the error is a lower bound; take more samples"
    number = f"error {table.error[table.level]:.2g} at blocks of {size}"
    return _judged(table.plateau, size, size, number, "no correlation left between blocks", fault)


def _length(n):
    times = n.times
    fault = f"the series is short, {times:.0f} autocorrelation times where 50 are needed to judge R-hat"
    number = f"{times:.0f} tau, tau = {n.values['autocorrelation_time']:.3g} steps"
    return _judged(times >= FEWEST_TIMES, times, FEWEST_TIMES, number, f"at least {FEWEST_TIMES:g} tau", fault)


def _r_hat(n):
    found, limit = n.values["r_hat"], LARGEST_R_HAT if n.times >= FEWEST_TIMES else FAR_OUT
    fault = f"R-hat {found:.4f} is above {limit:g}: the batches disagree; equilibrate or sample longer"
    return _judged(found <= limit, found, limit, f"{found:.4f}", f"at most {limit:g}", fault)


def _target(n):
    target = n.deck.get("production", {}).get("target_error")
    if target is None:
        return None
    error = n.values["energy_error"]
    fault = f"the target error {target:g} was not reached; raise production.max_samples"
    return _judged(error <= target, error, target, f"error {error:.2g}", f"at most {target:g}", fault)


# --- the walk


def _acceptance(n):
    found, displaces = n.values["acceptance"], n.deck["sampler"]["kind"] == "metropolis" and not n.on_lattice
    way_out = "change sampler.moves" if n.on_lattice else "give sampler.step another value"
    limit, number = LEAST_ACCEPTANCE, f"{found:.3f}"
    fault = f"acceptance {found:.3g}: walkers hardly move; {way_out}"
    if found < limit or not displaces:
        return _judged(found >= limit, found, limit, number, f"at least {limit:g}", fault)
    fault = f"acceptance {found:.3g}: steps are far shorter than the state is wide; raise sampler.step"
    rule, limit = f"{limit:g} to {LARGEST_ACCEPTANCE:g}", LARGEST_ACCEPTANCE
    return _judged(found <= limit, found, limit, number, rule, fault)


def _walkers(n):
    found = n.values["walker_outlier"]
    fault = f"one walker's mean is {found:.1f} spreads from the others': is it stuck?"
    passed = not n.varies or found <= LARGEST_OUTLIER
    rule = f"at most {LARGEST_OUTLIER:g}" if n.varies else NO_SPREAD
    return _judged(passed, found, LARGEST_OUTLIER, f"largest {found:.1f} spreads off", rule, fault)


# --- the estimator


def _tails(n):
    found = n.values["kurtosis"]
    fault = (
        f"the local energy has heavy tails (excess kurtosis {found:.3g} of its batch means): errors are too small more "
        "often than not; give the state its cusp, or leave production.control_variate on"
    )
    number = f"excess kurtosis {found:.2g}"
    rule = f"at most {LARGEST_KURTOSIS:g}" if n.varies else NO_SPREAD
    return _judged(not n.varies or found <= LARGEST_KURTOSIS, found, LARGEST_KURTOSIS, number, rule, fault)


def _control(n):
    if n.on_lattice:
        return None
    before, after = n.values["variance"], n.values["variance_estimator"]
    if before == after or before <= 0.0:
        return None
    part = after / before
    fault = f'the control variate makes the variance {part:.3g} times as large; set production.control_variate = "off"'
    number = f"{after:.2g} of the estimator, {before:.2g} of the local energy"
    return _judged(part <= 1.0, part, 1.0, number, "not above that of the local energy", fault)


def _bound(n):
    energy, error = n.values["energy"], n.values["energy_error"]
    if "reference" not in n.values:
        return Check(None, message="no exact energy is known of this system")
    exact = n.values["reference"]
    if reference_label(n.values["reference_source"]) != "exact":
        return Check(None, message="the best known energy is from a Monte Carlo calculation, which is no bound")
    away = energy - exact
    bound = -(ERRORS * error + TABULATED * abs(exact))
    number = f"{away:+.2g}" + (f", {away / error:+.1f} errors" if error > TABULATED * abs(exact) else "")
    fault = (
        f"the energy is {-away:.2g} below the exact one, by more than {ERRORS:g} errors, where no trial state can be: "
        "the error is too small (heavy tails, a stuck walker, a short series), or this is a bug: please report it"
    )
    return _judged(away >= bound, away, bound, number, f"not below the exact energy by {ERRORS:g} errors", fault)


def _virial(n):
    if n.on_lattice or (n.values and "virial" not in n.values):
        return None  # of hard spheres, and of what is no sum of powers, the identity has another form
    twice, residual, error = 2.0 * n.values["kinetic"], n.values["virial"], n.values["virial_error"]
    other = twice - residual or math.nan
    away, slack = residual / other, ERRORS * error / abs(other)
    number, rule = f"ratio {1.0 + away:.4f}", f"1 within {VIRIAL:g} and {ERRORS:g} errors"
    passed, threshold = abs(away) <= VIRIAL + slack, VIRIAL + slack
    if not passed and not scale_is_trained(n.deck):
        why = "no length scale of the state is optimised (sigma, alpha), so that the identity need not hold"
        return Check(None, away, threshold, number, rule, why)
    fault = f"the virial ratio is {1.0 + away:.4f}: the state's length scale is not at its optimum; optimise longer"
    return _judged(passed, away, threshold, number, rule, fault)


def scale_is_trained(deck):
    """Return whether the optimiser changes a length scale of the trial state."""
    trained = {name for factor in deck["state"] for name in factor.get("train", ())}
    return bool(trained.intersection(SCALES)) and deck["optimizer"].get("iterations", 0) > 0


# --- the optimisation


def _with_trend(check):
    """Return the check of `Numbers` that is check(numbers, Trend) after an optimisation that is long enough."""

    def judged(n):
        iterations = n.deck.get("optimizer", {}).get("iterations", 0)
        if iterations == 0:
            return None
        if len(n.history.get("energy", ())) < iterations:
            return Check(None, message="known at the end of the optimisation")
        found = trend.of_last_third(n.history)
        text = f"its last third has fewer than {FEWEST_ITERATIONS} iterations, too few to tell"
        return check(n, found) if found else Check(None, message=text)

    return judged


@_with_trend
def _drift(n, found):
    matters = max(n.values.get("energy_error", 0.0), LITTLE * abs(found.mean))
    threshold = max(ERRORS * found.change_error, matters)
    told = with_error(found.change, found.change_error)
    size = with_error(abs(found.change), found.change_error)
    does, way_out = (
        ("falls", "raise optimizer.iterations") if found.change < 0 else ("rises", "lower optimizer.learning_rate")
    )
    fault = f"the energy still {does}, by {size} over the last {found.iterations} iterations; {way_out}"
    rule = f"less than {ERRORS:g} errors, or than the energy's error"
    return _judged(abs(found.change) <= threshold, found.change, threshold, f"{told} in the last third", rule, fault)


@_with_trend
def _production(n, found):
    away, spread = n.values["energy"] - found.mean, math.hypot(n.values["energy_error"], found.mean_error)
    threshold = ERRORS * spread + LITTLE * abs(found.mean)
    told = with_error(away, spread)
    fault = (
        f"production is {told} above the end of the optimisation: averaged parameters are no minimum, or walkers had "
        "not settled; lower optimizer.average, or raise optimizer.iterations or production.equilibration"
    )
    rule = f"at most {ERRORS:g} errors above"
    return _judged(away <= threshold, away, threshold, f"{told} above optimisation's end", rule, fault)


CHECKS = {  # name: (check, whether it judges statistics that an exact sum has not)
    "blocking": (_plateau, True),
    "length": (_length, True),
    "R-hat": (_r_hat, True),
    "drift": (_drift, False),
    "production": (_production, False),
    "virial": (_virial, False),
    "acceptance": (_acceptance, True),
    "walkers": (_walkers, True),
    "tails": (_tails, True),
    "variance": (_control, True),
    "bound": (_bound, False),
    "target": (_target, False),
}
