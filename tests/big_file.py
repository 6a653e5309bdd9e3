"""A result file of 10 GB with the layout of a real run, for what must stay small in memory.

    python tests/big_file.py big.h5 [--gigabytes 10]

65,536 rows, the most that a run keeps, of as many batches as it takes (2,720 batches of 128 walkers for 10 GB): made-up
numbers, one block of them over and over, with the checksum that parvmc puts at the end.
"""

import argparse

import fake_result
import h5py
import numpy as np

from parvmc import checksum

ROWS = 65_536
ROWS_PER_BLOCK = 1024
LANES = 128
SERIES = ("energy", "local_energy", "local_energy_squared", "energy_squared", *fake_result.PARTS)


def write(path, gigabytes=10.0):
    """Write the file of a finished run and return how many batches it has."""
    batches = round(gigabytes * 1e9 / (8 * ROWS * len(SERIES)))
    attributes, datasets, groups = fake_result.contents()
    groups["provenance"]["ranks"] = ["4", "4"]
    deck = fake_result.DECK.replace("walkers = 256", f"walkers = {LANES * batches}")
    deck = deck.replace("samples = 4096", f"samples = {ROWS * LANES * batches}")
    datasets["input"] = fake_result.Dataset(deck, "", "deck", attributes={"original": deck})
    fake_result.write_result(path, attributes, datasets, groups)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(ROWS_PER_BLOCK, batches))
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        production = file["production"]
        kept = {name: dict(node.attrs) for name, node in production.items()}
        del file["production"]
        production = file.create_group("production")
        production["step"], production["batch"] = np.arange(1, ROWS + 1), np.arange(batches)
        for axis in ("step", "batch"):
            production[axis].make_scale(axis)
        for name in SERIES:
            mean = {"local_energy_squared": 9.31, "energy_squared": 9.11}.get(name, fake_result.PARTS.get(name, 3.0))
            node = production.create_dataset(name, (ROWS, batches), "f8")
            for text in ("units", "description", "measurements_per_row"):
                node.attrs[text] = kept[name][text]
            for number, axis in enumerate(("step", "batch")):
                node.dims[number].attach_scale(production[axis])
            block = mean + 0.05 * noise
            for first in range(0, ROWS, ROWS_PER_BLOCK):
                node[first : first + ROWS_PER_BLOCK] = np.roll(block, first // ROWS_PER_BLOCK, axis=0)
    checksum.append(path)
    return batches


def reopen(path):
    """Make it the file of a run in production, without statistics; the checksum is lost with that."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        file.attrs["status"] = "running"
        for name in ("result", "blocking", "observables"):
            del file[name]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--gigabytes", type=float, default=10.0)
    given = parser.parse_args()
    print(write(given.file, given.gigabytes), "batches")
