"""What a sound file of parvmc must hold: shapes as its own deck has them, finite parameters, energies and series.

`result`, `checkpoint` and `log` read one file a piece at a time and return what can be said of it; they raise Fault, or
whatever archive.py, checkpoint_file.py and results.py raise.
"""

import json
import math
import tomllib
from dataclasses import dataclass

import numpy as np

from parvmc import archive, checkpoint_file, results
from parvmc.stored import pieces

STATUSES = ("running", "stopped", "finished", "failed")
LONGEST_LINE = 1 << 20
# Parameters of the factors that have some, in the sizes of `Expected`; a factor that is not here is only read.
SHAPES = {
    "gaussian": {"alpha": ()},
    "gaussian_rbm": {"a": ("units",), "b": ("hidden",), "w": ("units", "hidden"), "sigma": ("units",)},
    "pade_jastrow": {"beta": ()},
    "pair_rbm": {"b": ("hidden",), "w": ("hidden",)},
    "spin_rbm": {"a": ("biases",), "b": ("filters",), "w": ("units", "filters")},
}


class Fault(Exception):
    """What is wrong with a file, in a few words; it begins with the verdict."""


def damaged(reason):
    """The `Fault` of a file that has been written by parvmc and is not as it was."""
    return Fault(f"damaged: {' '.join(str(reason).split())}")


def require(condition, reason):
    """Raise that `Fault` unless a condition holds."""
    if not condition:
        raise damaged(reason)


# ------------------------------------------------------------------------------------------- what the deck lets expect


@dataclass(frozen=True)
class Expected:
    """What a resolved deck says of the shapes in the files of its run.

    parameters: {label of a factor: {name: shape}}, the shapes None where they are not known.
    """

    batches: int
    lanes: int
    units: int
    iterations: int
    parameters: dict


def expected(text):
    """Return what a deck lets expect."""
    try:
        deck = tomllib.loads(text)
        system, sampler = deck["system"], deck["sampler"]
        is_trap = system["kind"] == "trap"
        units = system["particles"] * system["dimensions"] if is_trap else math.prod(system["lattice"])
        parameters = {f"{number}_{own['kind']}": shapes(own, units) for number, own in enumerate(deck["state"])}
        batches = sampler["walkers"] // sampler["lanes"]
        return Expected(batches, sampler["lanes"], units, deck["optimizer"]["iterations"], parameters)
    except (tomllib.TOMLDecodeError, RecursionError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        raise damaged("its deck cannot be read") from None


def shapes(factor, units):
    """Return {name: shape} of a factor's parameters, None where the kind is not known here."""
    if factor["kind"] not in SHAPES:
        return None
    hidden, shared = factor.get("hidden", 0), factor.get("symmetry", "none") == "translation"
    sizes = {"units": units, "hidden": hidden, "filters": hidden // units if shared else hidden}
    sizes["biases"] = 1 if shared else units
    return {name: tuple(sizes[size] for size in own) for name, own in SHAPES[factor["kind"]].items()}


def require_parameters(wanted, found, label):
    """Compare a factor's parameters {name: array} with what is expected of them."""
    known = wanted.parameters[label]
    require(known is None or known.keys() == found.keys(), f"parameters of {label} are missing or unknown")
    for name, values in found.items():
        shape = np.shape(values)
        require(known is None or shape == known[name], f"{name} of {label} has the shape {list(shape)}")
        require_finite(values, f"{name} of {label}")


def require_finite(values, name):
    """Compare values with what numbers can be."""
    values = np.asarray(values)
    require(values.dtype.kind in "iufc" and np.isfinite(values).all(), f"{name} is not finite everywhere")


def require_history(history, count, name):
    """Compare a history {name: values} of an optimisation or a pretraining with the number of its iterations."""
    for column, values in history.items():
        fits = np.shape(values) == (count,) or column == "largest_log_likelihood"
        require(fits, f"{column} of {name} has not one value for each iteration")
    kept = np.asarray(history.get("shrunk", np.zeros(count))) == 0  # where a step did harm the energy may be anything
    if "energy" in history:
        require_finite(np.asarray(history["energy"])[kept], f"the energy of {name}")


# -------------------------------------------------------------------------------------------------------------- results


def result(path):
    """Check a result file and return what can be said of it."""
    with results.open(path):  # its own words for a schema or a version that is not right
        pass
    reader = archive.Reader(path)
    try:
        return _result(reader)
    finally:
        reader.close()


def _result(reader):
    root = reader.attributes()
    status = root.get("status")
    require(status in STATUSES, f"its status is {status!r:.40}")
    wanted = expected(reader.value("input"))
    factors = reader.names("parameters")
    missing = wanted.parameters.keys() - set(factors)
    missing = [label for label in missing if wanted.parameters[label]]  # a factor without parameters has no group
    require(set(factors) <= wanted.parameters.keys() and not missing, "its factors are not those of its deck")
    for label in factors:
        require_parameters(wanted, _values(reader, f"parameters/{label}"), label)
    done = {}
    for name in ("pretraining", "optimization"):
        history = _values(reader, name)
        done[name] = len(np.atleast_1d(history.get("iteration", ())))
        require_history(history, done[name], name)
    require(done["optimization"] <= wanted.iterations, "it has more iterations than its deck")
    rows = _production(reader, wanted)
    for name in reader.names("blocking"):
        levels = {len(np.atleast_1d(reader.value(f"blocking/{name}/{column}"))) for column in results.COLUMNS}
        level = reader.attributes(f"blocking/{name}").get("level")
        require(len(levels) == 1 and level in range(*levels), f"the blocking table of {name} is not whole")
    for name in reader.names("observables"):
        _observable(reader, f"observables/{name}")
    said = f"sound result of parvmc, schema {root['schema_version']}, {status}"
    if status != "finished":
        at = f"production row {rows}" if rows else f"iteration {done['optimization']} of {wanted.iterations}"
        return f"{said}, at {at}"
    require(rows and done["optimization"] == wanted.iterations, "it is finished, but not all of the run is there")
    energy, error = (reader.value(f"result/{name}") for name in ("energy", "energy_error"))
    require_finite([energy, error], "its energy")
    return f"{said}, E = {results.with_error(energy, error)}"


def _values(reader, group):
    return {name: reader.value(f"{group}/{name}") for name in reader.names(group)}


def _production(reader, wanted):
    """Check the production series and return how many rows they have."""
    names = set(reader.names("production"))
    if not names:
        return 0
    require({"step", "batch", "energy"} <= names, "production has no step, batch or energy")
    step, batch = reader.value("production/step"), reader.value("production/batch")
    require(np.shape(batch) == (wanted.batches,), f"production has not the {wanted.batches} batches of the deck")
    require(np.ndim(step) == 1 and (np.diff(step) > 0).all(), "production steps are not in order")
    for name in sorted(names - {"step", "batch"}):
        path, shape = f"production/{name}", (len(step), wanted.batches)
        found = reader.layout(path)[0]
        require(found == shape, f"the series {name} has the shape {list(found)} in place of {list(shape)}")
        for rows in pieces(len(step), 8 * wanted.batches):
            require_finite(reader.value(path, rows), f"the series {name}")
    return len(step)


def _observable(reader, path):
    axes = reader.attributes(path).get("axes", ())
    shape = tuple(len(reader.value(f"{path}/{axis}")) for axis in axes)
    for name in {"values", "errors"} & {"values", *reader.names(path)}:
        require(reader.layout(f"{path}/{name}")[0] == shape, f"{path} does not have the shape of its axes")


# ---------------------------------------------------------------------------------------------------------- checkpoints


def checkpoint(path):
    """Check a checkpoint and return what can be said of it."""
    try:
        found = checkpoint_file.verified(path)
    except OSError:
        raise
    except Exception as error:  # h5py has an exception of another type for every way in which a file can be damaged
        raise damaged(error) from None
    try:
        counters, wanted = found.attributes["counters"], expected(found.attributes["deck"])
        done, steps, pretrained = (counters[name] for name in ("iteration", "steps", "pretrained"))
    except (KeyError, TypeError):
        raise damaged("its deck or its counters are not those of this version") from None
    groups = {}
    for name, values in found.small.items():
        group, _, below = name.partition("/")
        groups.setdefault(group, {})[below] = values
    require_finite(found.small.get("vector", math.nan), "the vector of parameters")
    require_history(groups.get("history", {}), done, "optimization")
    require_history(groups.get("pretraining_history", {}), pretrained, "pretraining")
    for number, label in enumerate(wanted.parameters):
        start = f"{number}/"
        own = {
            name.removeprefix(start): values
            for name, values in groups.get("parameters", {}).items()
            if name.startswith(start)
        }
        if own or wanted.parameters[label]:
            require_parameters(wanted, own, label)
    inner = {"positions": (wanted.units, wanted.lanes), "randoms": (4, wanted.lanes)}
    inner |= {f"optimized_{name}": shape for name, shape in inner.items()} | {"walker_sums": (wanted.lanes,)}
    require(inner.keys() <= found.batched.keys(), "walkers are missing")
    for name, (shape, dtype) in found.batched.items():
        fits = shape[:1] == (wanted.batches,) and shape[1:] == inner.get(name, shape[1:])
        require(fits, f"{name} has the shape {list(shape)}, which is not that of its deck")
        if dtype.kind == "f" and not name.startswith("observed"):
            for rows in pieces(shape[0], dtype.itemsize * math.prod(shape[1:])):
                require_finite(found.blocks(name, rows.start, rows.stop), name)
    return f"sound checkpoint of parvmc, iteration {done} of {wanted.iterations}, production step {steps}"


# ----------------------------------------------------------------------------------------------------------------- logs


def log(path):
    """Check a log, a line of JSON for each iteration, and return what can be said of it."""
    lines, cut = 0, ""
    with open(path, "rb") as file:
        while line := file.readline(LONGEST_LINE):
            if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                cut = "; its last line is not whole: the run goes on, or was killed"
                break
            lines += 1
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                raise damaged(f"line {lines} is not JSON") from None
            if not isinstance(record, dict) or not isinstance(record.get("phase"), str):
                raise Fault(f"not a log of parvmc: line {lines} has no phase")
    return f"sound log of parvmc, {lines} lines{cut}"
