"""All that was seen: windows, counters, and what is known of the networks from the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tightrope.monitor.claims import Claims
from tightrope.monitor.counting import Counters
from tightrope.monitor.finding import Finding
from tightrope.monitor.ledger.hypotheses import Claim
from tightrope.monitor.window import Window

KEPT = 400
Place = Literal["here", "fresh", "start"]
"""From where a training goes on: where it stands, there with new optimisers, or from the first weights."""


@dataclass
class Ends:
    """The ends of a network's output when the last layer's is shifted by -1000 and by 1000.

    Attributes:
        low: Smallest output there.
        high: Largest output there.
    """

    low: float
    high: float

    @property
    def kind(self) -> str:
        """``"free"``, ``"probability"`` (0..1), ``"rectified"`` (0..), ``"bounded"`` or ``"above"`` bounded only."""
        below, above = self.low <= -1000, self.high >= 1000
        if below and above:
            return "free"
        if above:
            return "rectified"
        if below:
            return "above"
        return "probability" if abs(self.low) < 1e-3 and abs(self.high - 1) < 1e-3 else "bounded"


@dataclass
class History:
    """What the rules read.

    Attributes:
        claim: The claimed loss.
        claims: The claimed penalties and constraints.
        told: Whether the user said whose each optimiser is.
        windows: The windows, oldest first.
        counters: By player.
        ends: Reach of both networks, by player.
        reach: Reach of each of the critic's outputs that a loss went through.
        statics: What is known from the networks themselves, by name.
        latched: Findings of exact evidence that stay, by cause.
        responses: Findings of the response tests made last, and what these tests say of themselves.
        places: From where to go on once a cause is mended, by cause: what copies of the mended training said.
        cycles: Calls of ``monitor.step``.
        points: Calls of the critic at leaves that require a gradient, as penalties make them.
        transformed: Calls of the critic inside function transforms in which nothing could be captured.
        problems: Parts of the reading that failed, with why.
    """

    claim: Claim | None
    claims: Claims
    told: bool = False
    windows: list[Window] = field(default_factory=list)
    counters: dict[str, Counters] = field(default_factory=dict)
    ends: dict[str, Ends] = field(default_factory=dict)
    reach: dict[int, Ends] = field(default_factory=dict)
    statics: dict[str, Any] = field(default_factory=dict)
    latched: dict[str, Finding] = field(default_factory=dict)
    responses: tuple[list[Finding], str] = field(default_factory=lambda: ([], ""))
    places: dict[str, Place] = field(default_factory=dict)
    cycles: int = 0
    points: int = 0
    transformed: int = 0
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, window: Window) -> None:
        """Keep a window; of very many the first and the last ones."""
        self.windows.append(window)
        if len(self.windows) > KEPT:
            del self.windows[KEPT // 4]

    @property
    def step(self) -> int:
        """Of the last window."""
        return self.windows[-1].step if self.windows else 0

    def where(self, holds: Callable[[Window], bool], since: int = 0) -> Seen:
        """Windows in which something holds, among those from a step on."""
        among = [w for w in self.windows if w.step >= since]
        return Seen([w for w in among if holds(w)], among)

    def series(self, name: str) -> list[tuple[int, float]]:
        """A number over windows, with steps."""
        return [(w.step, w.numbers[name]) for w in self.windows if name in w.numbers]

    def each(self) -> Iterator[tuple[str, Counters]]:
        """Players with their counters."""
        yield from self.counters.items()


@dataclass(frozen=True)
class Seen:
    """Windows that show something, among all."""

    hits: list[Window]
    among: list[Window]

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def since(self) -> int:
        """Step of the first."""
        return self.hits[0].step if self.hits else 0

    @property
    def now(self) -> bool:
        """Whether most of the last eight windows show it, or both of two."""
        last = self.among[-8:]
        return bool(last) and sum(w in self.hits for w in last) >= 0.6 * len(last)

    @property
    def last(self) -> Window:
        """The latest."""
        return self.hits[-1]
