"""Checks that a referee would make of a run, each with its number, its threshold and what to do where it failed.

    with results.open("two_electrons.h5") as result:
        for check in verdict.judge(result):
            print(check.outcome, check.name, check.number, check.rule, check.message)

What a run warns of at its end are the same checks. Needs neither MPI nor kernels.
"""

from dataclasses import replace

import numpy as np

from parvmc.checks import CHECKS, Check, Numbers

OUTCOMES = ("passed", "failed", "unknown")


def numbers_of(result):
    """Return the `Numbers` of an open result file."""
    values = {name: result.scalar(name) for name in result.scalar_names}
    if result.reference:
        values["reference_source"] = result.reference[1]
    if values and "kurtosis" not in values and "energy" in result.series_names:  # a file of an earlier version
        values["kurtosis"] = _excess_kurtosis(result.lazy_series("energy"), values["energy"])
    table = result.blocking("energy") if "energy" in result.blocking_names else None
    return Numbers(result.deck, values, table, result.optimization)


def _excess_kurtosis(series, mean):
    """Return <d^4> / <d^2>^2 - 3 with deviations d from the mean, of a series read by pieces; 0 where all are equal."""
    squares = fourths = 0.0
    for _, rows in series.pieces():
        deviations = np.square(rows - mean)
        squares, fourths = squares + deviations.sum(), fourths + np.square(deviations).sum()
    return float(fourths * series.shape[0] * series.shape[1] / squares**2 - 3.0) if squares**2 > 0.0 else 0.0


def judge(result):
    """Return the checks of an open result file, those that apply to its system, in the order of `CHECKS`."""
    return checks(numbers_of(result))


def checks(numbers):
    """Return the checks of these `Numbers` that apply; one whose numbers are missing is unknown."""
    found = []
    for name, (check, statistical) in CHECKS.items():
        if statistical and numbers.is_exact:
            continue  # what varies is rounding, of which no statistics is worth a word
        try:
            outcome = check(numbers)
        except KeyError as missing:
            text = f"the file has no {missing.args[0]}" if numbers.values else "known at the end of the run"
            outcome = Check(None, message=text)
        if outcome:
            found.append(replace(outcome, name=name))
    return tuple(found)


def conclusion(found):
    """Return one line on all checks: how many passed, which failed, how many could not be made."""
    by_outcome = {outcome: [check.name for check in found if check.outcome == outcome] for outcome in OUTCOMES}
    passed, failed, unknown = (by_outcome[outcome] for outcome in OUTCOMES)
    text = f"{len(passed)} check{'s' * (len(passed) != 1)} passed" if passed else "nothing can be judged yet"
    if failed:
        text = f"{len(failed)} of {len(found)} checks failed ({', '.join(failed)})"
    return text + (f", {len(unknown)} could not be made" if unknown and (passed or failed) else "")
