"""What a result file says of a simulation: datasets with units and descriptions, and the statistics of the end."""

import math
from dataclasses import asdict, replace

import numpy as np

from parvmc import pretraining, statistics, verdict
from parvmc.archive import Dataset
from parvmc.declarations import energy_unit, parameter_notes, reference_energy, virial_weights
from parvmc.results import SCHEMA, SCHEMA_VERSION

ENERGY = "hartree (hbar = m = e = 1)"
SQUARE = f"{ENERGY} squared"
SERIES = {
    "energy": (ENERGY, "the quoted estimator: the local energy less its control variate"),
    "local_energy": (ENERGY, "local energy H psi / psi"),
    "local_energy_squared": (SQUARE, "squared modulus of the local energy"),
    "energy_squared": (SQUARE, "square of the estimator"),
    "imaginary": (ENERGY, "imaginary part of the local energy, whose mean is zero"),
}
HISTORY = {
    "energy": (ENERGY, "mean local energy"),
    "energy_error": (ENERGY, "standard error of the energy, from the spread of per-walker means"),
    "variance": (SQUARE, "variance of the local energy"),
    "acceptance": ("1", "accepted moves / proposed moves"),
    "gradient_norm": (ENERGY, "Euclidean norm of the energy's gradient"),
    "step_norm": ("1", "norm of the step, sqrt(d S d) for reconfiguration, else Euclidean"),
    "shrunk": ("1", "times that the step before this iteration has been taken back; 4: given up, 0: it was right"),
    "seconds": ("s", "wall time of the iteration on rank 0"),
    "sampling_seconds": ("s", "of it, in sampling: moves, local energies, log-derivatives"),
    "slowest_sampling_seconds": ("s", "time in sampling of the rank that took longest"),
    "exchange_seconds": ("s", "of it, in sums over ranks and other calls of MPI, waiting included"),
    "solve_seconds": ("s", "of it, in finding the step, calls of MPI not included"),
}
SCALARS = {
    "energy": (ENERGY, "mean of the estimator"),
    "energy_error": (ENERGY, "its standard error by blocking"),
    "variance": (SQUARE, "variance of the local energy"),
    "variance_estimator": (SQUARE, "variance of the estimator that was averaged"),
    "autocorrelation_time": ("steps", "integrated autocorrelation time of the estimator; 1 for independent samples"),
    "effective_samples": ("1", "samples / autocorrelation time"),
    "effective_samples_per_core_second": ("1/s", "of CPU time spent in production"),
    "r_hat": ("1", "rank-normalised split R-hat over the batches"),
    "walker_outlier": ("1", "largest robust z-score of a walker's own mean"),
    "kurtosis": ("1", "excess kurtosis of the estimator's rows, 0 for normal ones: large where tails are heavy"),
    "acceptance": ("1", "accepted moves / proposed moves"),
    "samples": ("1", "samples averaged: measurements of one walker each"),
    "virial": (ENERGY, "2 <T> - <sum r . grad V>, zero where the trial state's length scale is optimal"),
    "reference": (ENERGY, "exact energy of this system, or the best known"),
}


def _in_unit_of(system, datasets):
    """Return the datasets with the unit of this system's energies in place of the trap's."""
    unit = energy_unit(system)
    return {path: replace(found, units=found.units.replace(ENERGY, unit)) for path, found in datasets.items()}


def running(simulation, series, job, status):
    """Return (attributes, datasets, groups) of a result file as far as the run has come.

    series: float64[rows, batches, columns], the production so far; status: running, stopped or failed.
    """
    attributes = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "title": simulation.deck.title,
        "status": status,
    }
    rows = simulation.provenance
    groups = {"provenance": {name: [row[name] for row in rows] for name in rows[-1]}}
    attached = {"original": job.original}
    datasets = {"input": Dataset(job.deck_text, "", "the deck, every default filled in (TOML)", (), attached)}
    datasets |= pretraining.datasets(simulation) | _optimization(simulation) | _parameters(simulation)
    if len(series):
        datasets |= _production(simulation, series)
    return attributes, _in_unit_of(simulation.deck.system, datasets), groups


def finished(simulation, series, job, values, blocked, observed):
    """Return (attributes, datasets, groups) of the final result file.

    values, blocked: what `results` returned; observed: {name: Quantity} of the observables.
    """
    attributes, datasets, groups = running(simulation, series, job, "finished")
    for more, tables in (_results(values, blocked), _observables(observed)):
        datasets |= _in_unit_of(simulation.deck.system, more)
        groups |= tables
    return attributes, datasets, groups


def _optimization(simulation):
    done = simulation.iteration
    if not done:
        return {}
    axis = "optimization/iteration"
    found = {axis: Dataset(np.arange(1, done + 1), "1", "optimisation iteration")}
    for name, values in simulation.history.items():
        found[f"optimization/{name}"] = Dataset(np.array(values), *HISTORY[name], axes=(axis,))
    return found


def _parameters(simulation):
    state, found = simulation.state, {}
    for label, factor, own in zip(state.labels, state.factors, simulation.current_parameters, strict=True):
        for name, values in own.items():
            found[f"parameters/{label}/{name}"] = Dataset(values, *parameter_notes(factor)[name])
    return found


def _production(simulation, series):
    rows, batches, _ = series.shape
    per_row = simulation.series.per_row
    axes = ("production/step", "production/batch")
    found = {
        axes[0]: Dataset((np.arange(rows) + 1) * per_row, "1", "production step at the end of the row"),
        axes[1]: Dataset(np.arange(batches), "1", "batch of walkers, numbered over all ranks"),
    }
    for column, name in enumerate(simulation.columns):
        unit, text = SERIES.get(name, (ENERGY, f"the {name} part of the estimator"))
        text = f"{text}; mean over the walkers of a batch"
        attributes = {"measurements_per_row": per_row}
        found[f"production/{name}"] = Dataset(series[:, :, column], unit, text, axes, attributes)
    return found


def quantities(simulation, series):
    """Return {name: float64[rows, batches]} of all that is quoted with a blocking error."""
    columns = {name: series[:, :, column] for column, name in enumerate(simulation.columns)}
    found = {"energy": columns["energy"], **{name: columns[name] for name in simulation.components}}
    weights = virial_weights(simulation.deck.system)
    if weights:
        found["virial"] = sum(w * columns[name] for w, name in zip(weights, simulation.components, strict=True))
    return found


def results(simulation, series, walker_means):
    """Return ({name: value} of /result, {name: BlockingTable}) from the production series float64[rows, batches,
    columns]."""
    mean = {name: float(series[:, :, column].mean()) for column, name in enumerate(simulation.columns)}
    blocked = {name: statistics.block(values) for name, values in quantities(simulation, series).items()}
    samples = series.shape[0] * simulation.series.per_row * simulation.deck.sampler.walkers
    variance = max(mean["energy_squared"] - mean["energy"] ** 2, 0.0)
    found = {}
    for name, values in quantities(simulation, series).items():
        found[name] = float(values.mean())
        found[f"{name}_error"] = float(blocked[name].error[blocked[name].level])
    square = mean["local_energy"] ** 2 + mean.get("imaginary", 0.0) ** 2
    found["variance"] = max(mean["local_energy_squared"] - square, 0.0)
    is_same = math.isclose(variance, found["variance"], rel_tol=1e-6)  # the local energy itself, summed differently
    found["variance_estimator"] = found["variance"] if is_same else variance
    found["autocorrelation_time"] = tau = _autocorrelation_time(simulation, series[:, :, 0], variance)
    found["effective_samples"] = samples / tau
    found["r_hat"] = float(statistics.split_r_hat(series[:, :, 0]))
    found["walker_outlier"] = float(statistics.walker_outliers(walker_means)[0])
    found["kurtosis"] = _excess_kurtosis(series[:, :, 0])
    found["acceptance"] = simulation.accepted / simulation.moves
    found["samples"] = samples
    reference = reference_energy(simulation.deck.system)
    if reference:
        found["reference"], found["reference_source"] = reference
    return found, blocked


def _excess_kurtosis(energies):
    """Return <d^4> / <d^2>^2 - 3 with deviations d from the mean; 0 where all are equal."""
    squares = np.square(energies - energies.mean())
    variance = float(squares.mean())
    return float(np.square(squares).mean()) / variance**2 - 3.0 if variance**2 > 0.0 else 0.0


def _autocorrelation_time(simulation, energies, variance):
    """Return tau in steps; where rows average steps, the part of tau inside a row shows in the variance of the rows."""
    tau = statistics.autocorrelation_time(energies)
    per_row = simulation.series.per_row
    if per_row > 1 and variance > 0.0:
        tau *= float(energies.var()) * simulation.lanes * per_row / variance
    return float(tau)


def _results(values, blocked):
    found, groups = {}, {}
    for name, value in values.items():
        if name == "reference_source":
            continue
        unit, text = SCALARS.get(name) or (ENERGY, _describe(name))
        attributes = {"source": values["reference_source"]} if name == "reference" else {}
        found[f"result/{name}"] = Dataset(value, unit, text, attributes=attributes)
    for name, table in blocked.items():
        path = f"blocking/{name}"
        groups[path] = {"level": table.level, "plateau": table.plateau}
        found[f"{path}/block_size"] = Dataset(table.block_size, "rows", "rows averaged to a block")
        found[f"{path}/blocks"] = Dataset(table.blocks, "1", "blocks per batch")
        found[f"{path}/error"] = Dataset(table.error, ENERGY, "standard error of the mean at this block size")
        found[f"{path}/error_of_error"] = Dataset(table.error_of_error, ENERGY, "standard error of that error")
    return found, groups


def _observables(observed):
    """Return the group of each quantity: values, errors, and its axes, whose order is an attribute of the group."""
    found, groups = {}, {}
    for name, quantity in observed.items():
        path = f"observables/{name}"
        for axis, (values, unit, text) in quantity.axes.items():
            found[f"{path}/{axis}"] = Dataset(values, unit, text)
        axes = tuple(f"{path}/{axis}" for axis in quantity.axes)
        found[f"{path}/values"] = Dataset(quantity.values, quantity.unit, quantity.description, axes)
        if quantity.errors is not None:
            text = f"standard errors of {name}, each by blocking"
            found[f"{path}/errors"] = Dataset(quantity.errors, quantity.unit, text, axes)
        if axes:
            groups[path] = {"axes": list(quantity.axes)}
    return found, groups


def _describe(name):
    base = name.removesuffix("_error")
    return f"standard error of {base} by blocking" if base != name else f"mean of the {name} part of the estimator"


def warnings(simulation, values, blocked):
    """Return the lines that a user must see beside the energy: the message of every check of `verdict` that failed."""
    numbers = verdict.Numbers(asdict(simulation.deck), values, blocked["energy"], simulation.history)
    return [check.message for check in verdict.checks(numbers) if check.outcome == "failed"]
