"""Numbers as a reader wants to see them."""

from __future__ import annotations

import math
import re

MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3, *, zeros: bool = False) -> str:
    """A measured value with a few significant digits, e.g. ``0.0421``, ``−1.3``, ``12,300``, ``4.2·10⁻⁷``.

    Args:
        value: the value.
        digits: how many significant digits.
        zeros: whether to keep zeros at the end, so that the numbers of a column have one length.
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    magnitude = abs(value)
    if not 1e-3 <= magnitude < 1e6:
        return scientific(value, digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(magnitude)))
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text and not zeros else text
    return text.replace("-", MINUS)


def scientific(value: float, digits: int = 3) -> str:
    """A value as a factor and a power of ten, e.g. ``4.2·10⁻⁷``; the factor 1 is left out."""
    factor, exponent = f"{value:.{digits - 1}e}".split("e")
    factor = factor.rstrip("0").rstrip(".") if "." in factor else factor
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    if factor in ("1", "-1"):
        return factor.replace("1", "").replace("-", MINUS) + power
    return f"{factor.replace('-', MINUS)}·{power}"


def ratio(value: float) -> str:
    """A factor with two significant digits, e.g. ``2.0×`` or ``14×``."""
    text = f"{value:.1f}" if 0.995 <= value < 9.95 else number(value, 2)
    return f"{text}×"


def plain(text: str) -> str:
    """A text in which numbers are written as a program would, e.g. ``-4.2e-7`` for ``−4.2·10⁻⁷``: for any terminal."""
    raised = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
    level = {ord(mark): ordinary for mark, ordinary in zip(raised, "-0123456789", strict=True)}
    text = re.sub(f"·10([{raised}]+)", lambda power: "e" + power.group(1).translate(level), text)
    text = re.sub(f"\\b10([{raised}]+)", lambda power: "1e" + power.group(1).translate(level), text)
    return text.translate({ord(MINUS): "-", ord("×"): "x", ord("–"): "-", ord("é"): "e"})


def count(value: float) -> str:
    """A whole number with separators, e.g. ``128,000``."""
    return f"{round(value):,}".replace("-", MINUS)


def short_count(value: float) -> str:
    """A round count for an axis, e.g. ``200k`` or ``1.5M``."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.6g}{suffix}"
    return f"{value:.6g}"


def duration(seconds: float) -> str:
    """A time in its two largest units, e.g. ``3 min 12 s``."""
    if not math.isfinite(seconds):
        return f"{number(seconds)} s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(many: float, one: str, more: str | None = None) -> str:
    """A count with its noun, e.g. ``1 step`` or ``2,000 steps``."""
    return f"{count(many)} {one if round(many) == 1 else more or one + 's'}"
