"""The speed of the kernels beside scalar loops and the limit: moves, local energies and derivative vectors per
core-second.

python tests/benchmarks/kernels.py [--json FILE]

All sides do the same sweeps on as many walkers in the same run: the kernels, a scalar loop compiled by Numba, and the
same in C++ where there is a compiler. Times are of this process (CPU), repeats in turn. The limit is that of limits.py.
Two more systems have factors for pairs: ten electrons with a Pade-Jastrow factor, and ten hard spheres; beside them
there is a scalar loop in Numba alone, and the limit has not been counted.
A smaller run of the same under pytest asserts the least ratios.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
import contests
import correlated
import limits
import native_loop

from parvmc import parallel, provenance, randoms

SYSTEMS = ((2, 2, 2), (2, 2, 8), (2, 2, 32), (10, 3, 10), (50, 3, 20))  # particles, dimensions, hidden units
PLAIN = "machine"  # what the state of these is called
LABELS = {"kernels": "kernels", "scalar": "scalar loop", "native": "C++ loop"}


def machine():
    """Return {name: value} of the processor and the versions; vector_bits: width of the vectors in compiled code."""
    randoms.uniform(np.ones((4, contests.LANES), np.uint64), np.empty(contests.LANES))
    found = re.findall("%([xyz])mm", "".join(randoms.uniform.twin.inspect_asm().values()))
    bits = max(({"x": 128, "y": 256, "z": 512}[name] for name in found), default="unknown")
    row = provenance.describe(parallel.World())
    names = ("processors", "python", "numpy", "numba", "parvmc", "git_commit", "start")
    return {name: row[name] for name in names} | {"vector_bits": bits, "svml": numba.config.USING_SVML}


def entries():
    """Yield (trial state, contest) of each system, in turn."""
    for size in SYSTEMS:
        yield PLAIN, contests.electrons(*size)
    for name, make in correlated.CONTESTS.items():
        yield name, make()


def show(row, sides):
    """Print one row."""
    columns = "".join(f"{row[name]:>11.3g} ({row[f'{name}_best']:.2e})" if name in row else 22 * " " for name in sides)
    ratios = "".join(f"{row[f'ratio_{name}']:>8.2f}" if name in row else f"{'-':>8}" for name in sides[1:])
    share = f"{row['kernels'] / row['limit']:>7.0%}" if "limit" in row else f"{'-':>7}"
    print("{state:<14}{N:>3}{D:>3}{H:>4}  {work:<18}".format(**row), f"{columns}{ratios}{share}", flush=True)


def main():
    """Print the table, and write it with the machine as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON")
    file, table, described, costs = parser.parse_args().json, [], machine(), limits.throughput()
    print(*(f"{name}: {value}" for name, value in described.items()), sep="\n")
    print("nanoseconds of a lane:", ", ".join(f"{name} {1e9 * cost:.3f}" for name, cost in costs.items()))
    sides = ("kernels", "scalar", *(["native"] if native_loop.compiler() else []))
    print(
        "\nper core-second: medians, best in brackets; then how many times each loop the kernels do, and of the limit"
    )
    heads = "".join(f"{LABELS[name]:>22}" for name in sides)
    print(f"{'state':<14}{'N':>3}{'D':>3}{'H':>4}  {'work':<18} {heads}{'ratios':>8}")
    for name, contest in entries():
        found = f"{name}, (N, D, H) = {contest.size}: kernels and a scalar loop"
        if not (errors := contest.disagreement(100)) < contests.MOST_ERRORS:
            sys.exit(f"{found} are {errors:.1f} standard errors apart in energy")
        if "derivatives" in contest.works and not (error := contest.derivative_error()) < contests.ROUNDING:
            sys.exit(f"{found} differ in the log-derivatives by {error:.1e} of the largest")
        needed = limits.trap(*contest.size) if name == PLAIN else {}
        for work in contest.works:
            row = {"state": name} | dict(zip("NDH", contest.size, strict=True)) | {"work": work} | contest.race(work)
            if work in needed:
                row["limit"] = contest.items(work) / limits.seconds(needed[work], costs)
            table.append(row)
            show(row, sides)
    if file:
        file.write_text(json.dumps({"machine": described, "rates": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
