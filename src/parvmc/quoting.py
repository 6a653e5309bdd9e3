"""How numbers with errors are written."""

import math


def with_error(value: float, error: float | None) -> str:
    """A value cut at its error: 3.00004(3) is 3.00004 +- 0.00003. Two digits of the error where the first is a 1.

    At most twelve decimals are shown, and then the error is one in the last at least, if it is not zero.
    """
    if error is None or not math.isfinite(error) or not math.isfinite(value):
        return f"{value:.6g}(?)"
    if error == 0:
        return f"{value:.12g}(0)"
    digits, exponent = f"{abs(error):.1e}".split("e")
    decimals = min((1 if digits.startswith("1") else 0) - int(exponent), 12)
    value, error = round(value, decimals), round(abs(error), decimals)
    places = max(decimals, 0)
    if error >= 1:
        return f"{value:.{places}f}({error:.{places}f})"
    return f"{value:.{places}f}({max(1, round(error * 10**places))})"


def reference_label(source: str) -> str:
    """What to call a reference energy: not all that is known is exact."""
    return "best known" if "Monte Carlo" in source else "exact"
