"""What came out of a run: energies with errors, distance to the reference, blocking table, and whether to trust it.

Reads result files only, of finished runs and of those that are still going on. Needs neither MPI nor a compiler.
"""

import math

import common
import numpy as np

from parvmc import verdict
from parvmc.results import with_error

EPILOG = """\
example:
  python analysis/summary.py two_electrons.h5 free_particles.h5

An energy of 3.00004(3) is 3.00004 with a standard error of 0.00003, by blocking. The virial ratio is
2 <T> / <sum_i r_i . grad_i V>, with Coulomb repulsion in a trap 2T / (2 V_trap - V_C): 1 for an exact state, and for
every trial state whose length scale is optimal; the residual is the difference of the two. In the blocking table *
marks the row that is quoted. The verdict has a line for each check that a referee would make: ok, FAIL with what to do
about it, or ? where it could not be made; then its number and, in brackets, what it must be.
"""
MARKS = {"passed": "ok", "failed": "FAIL", "unknown": "?"}


def line(label, text):
    """Print one labelled line."""
    print(f"  {label + ' ':<14}{text}")


def describe(table, skip=("kind",)):
    """Text of a deck's table, `a 1, b 2`, without its subtables."""
    plain = {name: value for name, value in table.items() if name not in skip and not isinstance(value, dict | list)}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in plain.items()
    )


def system_text(deck):
    """The system in one line."""
    system = deck["system"]
    lists = {name: values for name, values in system.items() if isinstance(values, list)}  # omega, lattice
    axes = "".join(f", {name} {' x '.join(f'{value:g}' for value in values)}" for name, values in lists.items())
    interaction = system.get("interaction", {"kind": "none"} if system["kind"] == "trap" else None)
    pair = f"; interaction {interaction['kind']} {describe(interaction)}".rstrip() if interaction else ""
    return f"{system['kind']}: {describe(system)}{axes}{pair}"


def state_text(deck):
    """The trial state in one line."""
    return " x ".join(
        f"{factor['kind']}, {factor['hidden']} hidden" if "hidden" in factor else factor["kind"]
        for factor in deck["state"]
    )


def show_deck(result):
    """The system, the trial state and the sizes of the run."""
    line("system", system_text(result.deck))
    line("state", state_text(result.deck))
    provenance = result.provenance
    if provenance.get("ranks"):
        starts = len(provenance["ranks"])
        started = f", started {starts} times" if starts > 1 else ""
        line("run", f"seed {result.deck.get('seed', '?')}, {provenance['ranks'][-1]} ranks{started}")


def show_pretraining(result):
    """How likely the data are in the fitted machine, at first and at last."""
    found = result.pretraining
    if len(found.get("log_likelihood", ())):
        first, last = (found["log_likelihood"][row] for row in (0, -1))
        text = f"{len(found['log_likelihood'])} iterations, mean ln P of the data at first {first:.4f}, last {last:.4f}"
        ideal = f", {found['divergence'][-1]:.1e} below the ideal gas's" if "divergence" in found else ""
        line("pretraining", text + ideal)


def show_optimization(result):
    """The first and the last energy of the optimisation."""
    found = result.optimization
    if not len(found.get("energy", ())):
        line("optimisation", "none" if result.scalar_names else "no iteration yet")
        return
    first, last = (with_error(found["energy"][row], found["energy_error"][row]) for row in (0, -1))
    kind = result.deck.get("optimizer", {}).get("kind", "")
    line("optimisation", f"{kind}: {len(found['energy'])} iterations, first energy {first}, last {last}")


def quoted(result, name):
    """A final value with its error."""
    return with_error(result.scalar(name), result.scalar(f"{name}_error"))


def distance_text(result):
    """How far the energy is from the reference, in its unit and in standard errors."""
    exact, _ = result.reference
    energy, error = result.scalar("energy"), result.scalar("energy_error")
    above_rounding = error > 1e-12 * abs(exact)  # no statistics on what is exact and differs by rounding alone
    return f"{energy - exact:+.2g}, " + (
        f"{(energy - exact) / error:+.1f} errors" if above_rounding else "without statistical error"
    )


def show_energy(result):
    """The energy, its components, and how far they are from what is known exactly."""
    line("energy", quoted(result, "energy"))
    if result.reference:
        exact, source = result.reference
        line("reference", f"{exact:.12g} ({source}): energy - reference = {distance_text(result)}")
    known = result.exact_components
    for name in result.components:
        exact = f"   exact {known[name]:.9g}" if name in known else ""
        line(f"  {name}", quoted(result, name) + exact)


def show_observables(result):
    """Means of single numbers with what is known exactly; of arrays their names and sizes."""
    known, label = result.exact_observables, "observables"
    for name in result.observable_names:
        found = result.observable(name)
        shape = " x ".join(map(str, np.shape(found.values)))
        exact = f"   exact {known[name]:.9g}" if name in known else ""
        text = f"{shape} by {', '.join(found.axes)}" if shape else with_error(found.values, found.errors) + exact
        line(label, f"{name}: {text}")
        label = ""


def show_virial(result):
    """The ratio of the two sides of the virial identity, and their difference."""
    if "virial" not in result.scalar_names:
        return
    twice, residual = 2.0 * result.scalar("kinetic"), result.scalar("virial")
    ratio = twice / (twice - residual) if twice != residual else math.nan
    line("virial", f"ratio {ratio:.5f}, residual {quoted(result, 'virial')}")


def show_quality(result):
    """Variances, autocorrelation, agreement of the batches."""
    value = result.scalar
    line(
        "variance",
        f"{value('variance'):.3g} of the local energy, {value('variance_estimator'):.3g} of what was averaged",
    )
    line("correlation", f"tau {value('autocorrelation_time'):.3g}, R-hat {value('r_hat'):.4f}")
    line(
        "samples",
        f"{value('samples'):,}, effective {value('effective_samples'):,.0f}, acceptance {value('acceptance'):.3f}",
    )
    if "effective_samples_per_core_second" in result.scalar_names:
        rate = value("effective_samples_per_core_second")
        line("speed", f"{rate:,.0f} effective samples per core-second ({result.deck['sampler']['kind']})")


def show_blocking(result, name="energy"):
    """The blocking table, with the row that is quoted marked."""
    if name not in result.blocking_names:
        return
    table = result.blocking(name)
    line("blocking", f"{'block size':>12}{'blocks':>10}{'error':>12}{'its error':>12}")
    rows = zip(table.block_size, table.blocks, table.error, table.error_of_error, strict=True)
    for level, (size, blocks, error, uncertainty) in enumerate(rows):
        mark = "*" if level == table.level else ""
        line(f"{mark:>13}", f"{size:>12}{blocks:>10}{error:>12.2e}{uncertainty:>12.1e}")
    if not table.plateau:
        line("", "no plateau: the error is a lower bound")


def so_far(result):
    """Return (rows, batches, mean energy) of a production that goes on."""
    energies = result.lazy_series("energy")
    return *energies.shape, float(sum(rows.sum() for _, rows in energies.pieces()) / np.prod(energies.shape))


def show_verdict(result):
    """A line for each check, and what to do where it failed."""
    found = verdict.judge(result)
    line("verdict", verdict.conclusion(found))
    for check in found:
        rule = f"({check.rule})" if check.rule else ""
        words = f"{check.name:<11}{check.number}  {rule}" if check.number else f"{check.name:<11}{check.message}"
        line(f"  {MARKS[check.outcome]}", words.rstrip())
        if check.number and check.message:
            line("", f"{'':<11}{check.message}")


def show(result):
    """Print the summary of one result file."""
    print(f"{result.path}: {result.title}")
    line("status", result.status)
    show_deck(result)
    show_pretraining(result)
    show_optimization(result)
    if result.scalar_names:
        show_energy(result)
        show_observables(result)
        show_virial(result)
        show_quality(result)
        show_blocking(result)
    elif result.components:
        rows, batches, mean = so_far(result)
        line("production", f"{rows} rows of {batches} batches so far, errors come at the end")
        line("energy", f"{mean:.6g} on average so far")
    else:
        line("production", "not begun")
    show_verdict(result)
    print()


def main(arguments=None):
    """Show every file; return 1 if one of them could not be read."""
    given = common.parser(__doc__, EPILOG).parse_args(arguments)
    _, failures = common.each(given.files, show)
    return common.ended(failures)


if __name__ == "__main__":
    common.run(main)
