"""A small result file with the layout of a real run, written without one."""

import numpy as np

from parvmc.archive import Dataset, write_result

DECK = """\
title = "Two electrons, made up"
seed = 7

[system]
kind = "trap"
particles = 2
dimensions = 2
omega = 1.0
interaction = {kind = "coulomb", strength = 1.0}

[[state]]
kind = "gaussian_rbm"
hidden = 3

[sampler]
kind = "metropolis"
walkers = 256
lanes = 128

[optimizer]
kind = "reconfiguration"
iterations = 5

[production]
samples = 4096
"""

PARTS = {"kinetic": 0.886, "trap": 1.296, "interaction": 0.8184}
SCALARS = {
    "energy": 3.0004,
    "energy_error": 0.0002,
    "variance": 0.31,
    "variance_estimator": 0.11,
    "autocorrelation_time": 1.8,
    "effective_samples": 2275.6,
    "effective_samples_per_core_second": 1234567.8,
    "r_hat": 1.0004,
    "walker_outlier": 3.9,
    "kurtosis": 0.12,
    "acceptance": 0.52,
    "samples": 4096,
    "virial": -0.0016,
    "virial_error": 0.0009,
}


def series(name, rows=16, batches=2):
    """The production series of one name: float64[rows, batches]."""
    values = np.random.default_rng(len(name)).normal(size=(rows, batches))
    return PARTS.get(name, 3.0) + 0.01 * values


def contents(status="finished", stage="result"):
    """Return (attributes, datasets, groups) of a run as far as `stage`: optimization, production or result."""
    attributes = {"schema": "parvmc", "schema_version": 1, "title": "Two electrons, made up", "status": status}
    groups = {"provenance": {"parvmc": ["0.1.0", "0.1.0"], "ranks": ["4", "2"], "start": ["2024-04-05", "2024-04-06"]}}
    axis = "optimization/iteration"
    datasets = {
        "input": Dataset(DECK, "", "the deck, every default filled in", attributes={"original": "# mine\n" + DECK}),
        axis: Dataset(np.arange(1, 6), "1", "iteration"),
    }
    for name in ("energy", "energy_error", "variance", "acceptance", "gradient_norm", "step_norm", "seconds"):
        values = {"energy": 3.5 - 0.1 * np.arange(5), "energy_error": np.full(5, 0.02)}.get(name, np.ones(5))
        datasets[f"optimization/{name}"] = Dataset(values, "1", f"{name} by iteration", axes=(axis,))
    for name, shape in {"a": (4,), "b": (3,), "w": (4, 3), "sigma": (4,)}.items():
        datasets[f"parameters/0_gaussian_rbm/{name}"] = Dataset(np.full(shape, 0.5), "1", name)
    if stage != "optimization":
        axes = ("production/step", "production/batch")
        datasets[axes[0]] = Dataset(np.arange(1, 17), "1", "step")
        datasets[axes[1]] = Dataset(np.arange(2), "1", "batch")
        for name in ("energy", "local_energy", "local_energy_squared", "energy_squared", *PARTS):
            datasets[f"production/{name}"] = Dataset(series(name), "1", name, axes, {"measurements_per_row": 1})
    if stage == "result":
        for name in ("energy", "virial", *PARTS):
            columns = {
                "block_size": [1, 2, 4],
                "blocks": [16, 8, 4],
                "error": [1e-4, 2e-4, 2.1e-4],
                "error_of_error": 3 * [1e-5],
            }
            for column, values in columns.items():
                datasets[f"blocking/{name}/{column}"] = Dataset(np.array(values), "1", column)
            groups[f"blocking/{name}"] = {"level": 1, "plateau": True}
        final = SCALARS | {k: v for name, value in PARTS.items() for k, v in ((name, value), (f"{name}_error", 0.0003))}
        for name, value in final.items():
            datasets[f"result/{name}"] = Dataset(value, "1", name)
        datasets["result/reference"] = Dataset(3.0, "1", "exact energy", attributes={"source": "Taut 1994"})
        path, axis = "observables/density", "observables/density/r"
        datasets[axis] = Dataset(np.array([0.5, 1.5]), "bohr", "middle of the shell")
        for column, values in {"values": [0.3, 0.1], "errors": [0.002, 0.001]}.items():
            datasets[f"{path}/{column}"] = Dataset(np.array(values), "bohr^-2", f"density {column}", (axis,))
        groups[path] = {"axes": ["r"]}
        for column, value in {"values": 1.6371, "errors": 0.0004}.items():
            datasets[f"observables/pair_distance/{column}"] = Dataset(value, "bohr", f"distance {column}")
    return attributes, datasets, groups


def write(path, status="finished", stage="result"):
    """Write such a file and return its path."""
    write_result(path, *contents(status, stage))
    return path
