"""A number and the conditions under which it was measured: the two travel together."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import msgspec

from tightrope._plumbing import rich
from tightrope._plumbing.checks import short
from tightrope._plumbing.errors import UserError, UserTypeError


@dataclass(frozen=True)
class Estimate:
    """A value estimated from samples, with its standard error.

    Attributes:
        value: The estimate.
        standard_error: Estimated standard deviation of the estimate over new samples.
    """

    value: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the normal approximation."""
        half = 1.959963984540054 * self.standard_error
        return self.value - half, self.value + half

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        return rich.table(rich.number(self.value), [("uncertainty", rich.interval(*self.interval))])


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything besides the generator that decides the value of a metric.

    Two values may be compared only when all of these agree: the sample sizes alone move a Frechet distance by several
    points, and another feature network gives another quantity under the same name.

    Attributes:
        metric: What was computed, e.g. ``"frechet"``.
        features: Feature network and the digest of its weights, e.g. ``"classifier digits (1f0c…)"``.
        preprocessing: What happened to a sample before the network saw it.
        n_real: Number of reference samples.
        n_fake: Number of generated samples.
        split: Split that the reference samples came from, e.g. ``"test"``.
        seed: Seed of the generated samples and of the chosen subsets.
        data: Name of the reference data and the start of its fingerprint.

    Raises:
        UserTypeError: A field is of another kind.
    """

    metric: str
    features: str
    preprocessing: str
    n_real: int
    n_fake: int
    split: str
    seed: int
    data: str = ""

    def __post_init__(self) -> None:
        for field in ("metric", "features", "preprocessing", "split", "data"):
            _require(field, getattr(self, field), str)
        for field in ("n_real", "n_fake", "seed"):
            _require(field, getattr(self, field), Integral)

    def differences(self, other: Protocol) -> tuple[str, ...]:
        """Return one ``"field: mine and theirs"`` phrase for each field in which two protocols differ."""
        mine, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return tuple(f"{key}: {mine[key]!r} and {theirs[key]!r}" for key in mine if mine[key] != theirs[key])

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of plain values, ready for ``json.dumps``."""
        return msgspec.structs.asdict(self)


class Measurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of a metric with its protocol, its uncertainty and the value that a perfect generator would get.

    What ``tightrope evaluate`` prints, what ``evaluations.jsonl`` holds, and what every reader of a run gets from it.

    Attributes:
        name: Name of the metric, e.g. ``"frechet"``.
        value: The value.
        protocol: The conditions it was measured under.
        interval: Lower and upper end of a 95 % interval over the samples, or None where none was computed.
        floor: The same metric with real training samples in place of the generated ones, at the same sizes: the value
            that a generator which has learnt the distribution would reach. None where it has no meaning.
        notes: Sentences a reader must see beside the number.

    Raises:
        UserError: The value, the interval or the floor is not finite, or the interval is none from low to high.
        UserTypeError: A field is of another kind.
    """

    name: str
    value: float
    protocol: Protocol
    interval: tuple[float, float] | None = None
    floor: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require("name", self.name, str)
        _require("protocol", self.protocol, Protocol)
        _require("value", self.value, Real)
        if self.floor is not None:
            _require("floor", self.floor, Real)
        if not isinstance(self.notes, (tuple, list)) or not all(isinstance(note, str) for note in self.notes):
            raise UserTypeError(f"Expected notes as a tuple of sentences, got {short(self.notes)}; pass (sentence,).")
        ends: Any = () if self.interval is None else self.interval
        if self.interval is not None and not (isinstance(ends, (tuple, list)) and len(ends) == 2):
            raise UserTypeError(f"Expected interval as (lower, upper), got {short(ends)}; pass two numbers or None.")
        for end in ends:
            _require("both ends of the interval", end, Real)
        numbers = (self.value, *ends, *(() if self.floor is None else (self.floor,)))
        if not all(-sys.float_info.max <= number <= sys.float_info.max for number in numbers):
            raise UserError(
                f"A measurement holds finite numbers, but {self.name} has value {short(self.value)}, interval "
                f"{short(self.interval)} and floor {short(self.floor)}; check the samples for NaN before measuring."
            )
        if ends and ends[0] > ends[1]:
            raise UserError(f"Expected interval as (lower, upper), got {short(ends)}; pass its ends in that order.")

    def _repr_html_(self) -> str:
        """As a notebook shows it: the value with all that it depends on."""
        one = self.protocol
        rows = [
            ("uncertainty", "" if self.interval is None else rich.interval(*self.interval)),
            ("floor", "" if self.floor is None else f"{rich.number(self.floor)} (real samples in place of generated)"),
            ("features", one.features),
            ("samples", f"{one.n_fake:,} against {one.n_real:,} of {one.split}"),
            ("data", one.data),
            ("seed", one.seed),
        ]
        return rich.table(f"{self.name} {rich.number(self.value)}", rows, self.notes)

    def compare(self, other: Measurement) -> float:
        """Return ``self.value - other.value``, provided that both were measured in the same way.

        Raises:
            UserError: The protocols or the names differ; the sentence names the fields that differ.
        """
        differences = self.protocol.differences(other.protocol)
        if self.name != other.name:
            differences = (f"name: {self.name!r} and {other.name!r}", *differences)
        if differences:
            raise UserError(
                f"Two values of {self.name} can be compared only under one protocol, but these differ in "
                f"{'; '.join(differences)}; measure both again with the same settings."
            )
        return self.value - other.value

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of plain values, ready for ``json.dumps``."""
        return {
            **msgspec.structs.asdict(self),
            "protocol": self.protocol.to_json(),
            "interval": None if self.interval is None else list(self.interval),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measurement:
        """Rebuild a measurement from `to_json`'s dictionary; a protocol without ``data`` equals none that has it.

        Raises:
            UserError: A field is missing, unknown or of another type; the sentence says which and where.
        """
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise UserError(
                f"Expected a stored measurement, got another thing ({error}); it was written by another version, so "
                "measure again."
            ) from error


def _require(field: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted, remedy = _KINDS[kind]
        got = f"the class {value.__name__}" if isinstance(value, type) else short(value)
        raise UserTypeError(f"Expected {field} as {wanted}, got {got}; {remedy}.")


_KINDS: dict[type, tuple[str, str]] = {
    str: ("text", "pass a string"),
    Real: ("a number", "of a tensor or array pass float(...)"),
    Integral: ("a whole number", "pass an int"),
    Protocol: ("a Protocol", "metrics.Protocol(...) says how it was measured"),
}
