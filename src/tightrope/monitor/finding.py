"""What a diagnosis says: findings, ranked, each with its evidence, remedy and experiment."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tightrope._plumbing import rich
from tightrope.monitor.causes import CAUSES

Confidence = Literal["high", "medium", "low"]
Damage = Literal["not what you claimed", "why it fails", "harmless", "unknown"]

CONFIDENCES: tuple[Confidence, ...] = ("high", "medium", "low")


@dataclass(frozen=True)
class Finding:
    """One statement about a training.

    Attributes:
        cause: Slug of a row of ``CAUSES``.
        sentence: What was found, with its numbers.
        evidence: Numbers seen, and those expected, by name.
        since: Step of the first window that showed it.
        confidence: How sure.
        damage: Whether it says that the code is not what was claimed, or why training fails; about 40 % of all faults
            do no visible harm.
        candidates: Causes that cannot be told apart here, when it abstains from naming one.
        rank: Kind of its evidence, the strongest first.
        exact: The change that cures it here, with its numbers; empty where only the cause's own remedy is known.
    """

    cause: str
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    since: int = 0
    confidence: Confidence = "high"
    damage: Damage = "not what you claimed"
    candidates: tuple[str, ...] = ()
    rank: int = 0
    exact: str = ""

    @property
    def remedy(self) -> str:
        """The change that cures it: the exact one where it is known, else that of the cause."""
        return self.exact or CAUSES[self.cause].remedy

    @property
    def confirm(self) -> str:
        """The experiment that confirms it."""
        return CAUSES[self.cause].confirm

    @property
    def title(self) -> str:
        """The cause in a few words."""
        return CAUSES[self.cause].title

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "cause": self.cause,
            "title": self.title,
            "sentence": self.sentence,
            "evidence": dict(self.evidence),
            "since": self.since,
            "confidence": self.confidence,
            "damage": self.damage,
            "remedy": self.remedy,
            "confirm": self.confirm,
            "candidates": list(self.candidates),
            "exact": self.exact,
        }

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        rows = [("seen", self.sentence), ("do", self.remedy), ("confirm", self.confirm),
                ("since step", self.since), ("candidates", ", ".join(self.candidates))]  # fmt: skip
        return rich.table(f"{self.title} [{self.confidence}; {self.damage}]", rows)

    def __str__(self) -> str:
        head = f"[{self.confidence}] {self.title} ({self.cause}), since step {self.since}; {self.damage}"
        lines = [head, *_wrapped(self.sentence), *_wrapped("do: " + self.remedy), *_wrapped("confirm: " + self.confirm)]
        if self.candidates:
            lines += _wrapped("candidates: " + ", ".join(self.candidates))
        return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="    ", subsequent_indent="    ")


@dataclass(frozen=True)
class Diagnosis(Sequence[Finding]):
    """Findings, the strongest first; ``print`` shows one screen.

    Attributes:
        findings: All of them; of a healthy training one that says so, after any remarks of low confidence.
        step: Generator updates seen.
        checked: What was checked, in words.
        not_checked: What could not be, and why.
        next_step: What finds out more, as a command or call with its cost; empty where nothing is open.
    """

    findings: tuple[Finding, ...]
    step: int
    checked: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    next_step: str = ""

    @property
    def healthy(self) -> bool:
        """Whether no finding of medium or higher confidence stands."""
        return all(f.cause == "healthy" or f.confidence == "low" for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for machines."""
        return {
            "healthy": self.healthy,
            "step": self.step,
            "findings": [finding.to_json() for finding in self.findings],
            "checked": list(self.checked),
            "not_checked": list(self.not_checked),
            "next_step": self.next_step,
        }

    def json(self) -> str:
        """:meth:`to_json` as text."""
        return json.dumps(self.to_json(), indent=2, default=str)

    def __getitem__(self, index: Any) -> Any:
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def _verdict(self) -> str:
        """In a few words; not healthy where the finding that says so is of low confidence."""
        if not self.healthy:
            return "something is wrong"
        if any(f.cause in ("unknown_trouble", "no_progress") for f in self.findings):
            return "no cause was found, but samples do not come closer to the data"
        unsure = any(f.cause == "healthy" and f.confidence == "low" for f in self.findings)
        return "nothing wrong was seen, but not all could be looked at" if unsure else "healthy so far"

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        verdict = self._verdict()
        shown = "".join(finding._repr_html_() for finding in self.findings)
        more = [("checked", "; ".join(self.checked)), ("not checked", "; ".join(self.not_checked))]
        return rich.table(f"After {self.step} generator steps: {verdict}", []) + shown + rich.table("", more)

    def __str__(self) -> str:
        verdict = self._verdict()
        lines = [f"After {self.step} generator steps: {verdict}.", *map(str, self.findings[:6])]
        if len(self.findings) > 6:
            lines.append(f"... and {len(self.findings) - 6} more")
        if self.checked:
            lines += textwrap.wrap("Checked: " + "; ".join(self.checked) + ".", 114)
        if self.not_checked:
            lines += textwrap.wrap("Not checked: " + "; ".join(self.not_checked) + ".", 114)
        if self.next_step:
            lines += textwrap.wrap("Next: " + self.next_step, 114, break_long_words=False, break_on_hyphens=False)
        return "\n".join(lines)


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """One finding per cause: low ones last, exact evidence before averages, then by rank, confidence, as they came."""
    best: dict[str, Finding] = {}
    for finding in findings:
        held = best.get(finding.cause)
        if held is None or CONFIDENCES.index(finding.confidence) < CONFIDENCES.index(held.confidence):
            best[finding.cause] = finding
    return tuple(sorted(best.values(), key=_order))


def _order(finding: Finding) -> tuple[bool, bool, int, int]:
    low, exact = finding.confidence == "low", bool(finding.evidence.get("exact"))
    return low, not exact, finding.rank, CONFIDENCES.index(finding.confidence)
