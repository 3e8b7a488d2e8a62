"""What branches said: gains over replicates with their interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tightrope.monitor.what_if.changes import Change

FLOOR = 0.02
"""Distances below it count as it: that near, differences are those of the rows that judge."""

STUDENT = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass
class Gain:
    """What a change does to the distance, over replicates.

    Attributes:
        change: It.
        pairs: Distance as it is and with the change, of branches with common randomness.
    """

    change: Change
    pairs: list[tuple[float, float]] = field(default_factory=list)

    @property
    def logs(self) -> list[float]:
        """Logarithm of the ratio of both distances: positive where the change helps."""
        return [math.log(max(own, FLOOR) / max(other, FLOOR)) for own, other in self.pairs]

    @property
    def mean(self) -> float:
        """Mean over replicates."""
        return sum(self.logs) / len(self.logs)

    @property
    def half_width(self) -> float:
        """Half the width of its 95 % interval (Student); infinite from one replicate."""
        values = self.logs
        n = len(values)
        if n < 2:
            return math.inf
        spread = math.sqrt(sum((v - self.mean) ** 2 for v in values) / (n - 1))
        return STUDENT.get(n - 1, 2.2) * spread / math.sqrt(n)

    @property
    def low(self) -> float:
        """Lower end of that interval."""
        return self.mean - self.half_width

    @property
    def distance(self) -> float:
        """Mean distance with the change."""
        return sum(other for _, other in self.pairs) / len(self.pairs)

    def said(self) -> str:
        """The ratio in words: ``"0.31 [0.22, 0.44] times"``."""
        low, high = (math.exp(-self.mean + sign * self.half_width) for sign in (-1, 1))
        return f"{math.exp(-self.mean):.2g} [{low:.2g}, {high:.2g}] times"


@dataclass
class Response:
    """What the branches of one beginning said.

    Attributes:
        from_start: Branches began with the first weights, else where the training stands.
        start: Distance before the first round.
        distance: Mean distance as it is, over the second half.
        gains: Of all changes tried, the largest first.
        state: ``"near"``, ``"improving"`` or ``"stuck"``.
        rounds: Rounds per branch.
        replicates: Branches as it is.
        milder: A milder change of the best one's kind that does nearly as much.
    """

    from_start: bool
    start: float
    distance: float
    state: str
    rounds: int
    replicates: int
    gains: list[Gain] = field(default_factory=list)
    milder: Gain | None = None

    def helping(self) -> list[Gain]:
        """Changes whose gain is beyond chance and large, and that come closer to the data: the largest first."""
        return sorted(
            (g for g in self.gains if len(g.pairs) >= 3 and g.low > 0 and g.mean > WORTH and self._progress(g)),
            key=lambda g: -g.mean,
        )

    def _progress(self, gain: Gain) -> bool:
        """Whether it does more than hold still what would get worse."""
        return gain.distance < PROGRESS * self.start


WORTH = math.log(1.6)
"""A change must bring the distance down to 1 / 1.6 to be named."""
PROGRESS = 0.85
"""And below this share of the distance at the beginning."""
