"""The response test: paired branches with and without a change, an interval of the gain, and what the gain speaks for.

Branches of one seed share the order of rows, the latents and what the networks draw, so that the gain of a change is a
paired ratio. They begin with the first weights where these are known and the training is young, and where it stands
now; a training that comes closer to the data by itself, or is there, is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tightrope.monitor.finding import Diagnosis
from tightrope.monitor.responses import explained, worth_asking
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.what_if.branch import Table, played, table_of
from tightrope.monitor.what_if.changes import AS_IS, Change, changes, smaller
from tightrope.monitor.what_if.gains import WORTH, Gain, Response
from tightrope.monitor.what_if.game import CannotPlayError, Game, aside, game_of
from tightrope.monitor.what_if.verdict import findings

if TYPE_CHECKING:
    from tightrope.monitor.monitor import Monitor

REPLICATES, MOST = 4, 3
"""Replicates of the changes that promise something, and how many of these."""
ROUNDS, MOST_ROUNDS = 40, 60
"""Rounds of a branch from where the training stands, and most rounds of one from its beginning."""
YOUNG = 600
"""Steps up to which a training is played from its beginning too."""
NEAR, IMPROVING, ENOUGH = 0.1, 0.75, 0.7
"""A distance that needs no cure; a branch as it is that ends below this share of where it began cures itself;
the share of the best change's gain with which a milder one is named in its place."""


@dataclass
class _Play:
    """Plays branches and remembers those as they are."""

    monitor: Monitor
    game: Game
    table: Table
    rounds: int
    until: float
    as_is: dict[int, tuple[float, float]] = field(default_factory=dict)

    def tail(self, change: Change, seed: int) -> tuple[float, float]:
        """Distance at the start, and mean distance over the second half."""
        if change is AS_IS and seed in self.as_is:
            return self.as_is[seed]
        with aside(self.game, seed):
            found = played(self.game, self.table, change.apply, seed, self.rounds)
        result = found[0], sum(found[1:]) / len(found[1:])
        if change is AS_IS:
            self.as_is[seed] = result
        return result

    def more(self, gain: Gain, replicates: int) -> Gain:
        """Play a change up to so many replicates, fewer if the time is up."""
        while len(gain.pairs) < replicates and not (gain.pairs and time.monotonic() > self.until):
            seed = len(gain.pairs)
            gain.pairs.append((self.tail(AS_IS, seed)[1], self.tail(gain.change, seed)[1]))
        return gain

    def response(self, everything: Sequence[Change]) -> Response:
        """Play all."""
        first = [self.tail(AS_IS, seed) for seed in range(2)]
        start, distance = (sum(one[k] for one in first) / len(first) for k in (0, 1))
        state = "stuck"
        if distance < NEAR:
            state = "near"
        elif distance < IMPROVING * start and not self.game.from_start:
            state = "improving"
        found = Response(self.game.from_start, start, distance, state, self.rounds, len(first))
        if state != "stuck":
            return found
        tried = [self.more(Gain(change), 1) for change in everything if time.monotonic() < self.until]
        for gain in sorted((g for g in tried if g.mean > WORTH / 2), key=lambda g: -g.mean)[:MOST]:
            self.more(gain, REPLICATES)
        found.gains = tried
        if best := found.helping():
            milder = [self.more(Gain(change), REPLICATES) for change in smaller(self.game, best[0].change.kind)]
            enough = [g for g in milder if g.mean > ENOUGH * best[0].mean and g.low > 0]
            found.milder = enough[0] if enough else None
        found.gains = sorted(tried, key=lambda g: -g.mean)
        found.distance = sum(one[1] for one in self.as_is.values()) / len(self.as_is)
        found.replicates = len(self.as_is)
        return found


def respond(monitor: Monitor, seconds: float = 60.0, *, gate: bool = True) -> Diagnosis:
    """Play copies of a monitored training on, with one change each, to find out what would help; then diagnose.

    Only where samples do not come closer to the data and nothing stronger explains it. The training itself is left as
    it is, bit for bit.

    Args:
        monitor: Of the training.
        seconds: About how long it may take; what was not tried by then is left out.
        gate: Whether the windows must show samples that are far from the data and come no closer.
    """
    history = monitor.history
    found = diagnosis(history, monitor.steps, monitor.failures)
    history.responses = ([], "")
    if explained(found) or (gate and not worth_asking(history, found)):
        return monitor.diagnose()
    try:
        responses = asked(monitor, seconds)
        history.responses = findings(monitor, responses)
    except CannotPlayError as reason:
        history.responses = ([], f"no what-ifs were played: {reason}")
    except Exception as problem:  # whatever it is, the training goes on
        text = str(problem).partition(chr(10))[0][:160]
        history.responses = ([], f"no what-ifs were played: {type(problem).__name__}: {text}")
    return monitor.diagnose()


def asked(monitor: Monitor, seconds: float) -> list[Response]:
    """The responses from the beginning and from where the training stands, the second only if the first says nothing.

    A training that is near the data now is not asked how it began.

    Raises:
        CannotPlayError: Copies of this training cannot be played.
    """
    began = time.monotonic()
    game = game_of(monitor)
    table = table_of(game, monitor.held_out)
    now = _Play(monitor, game, table, ROUNDS, began + seconds)
    first = now.response([])
    if first.state == "near":
        return [first]
    found: list[Response] = []
    if game.start and monitor.steps <= YOUNG:
        rounds = min(max(monitor.steps // 2, ROUNDS), MOST_ROUNDS)
        young = replace(game, from_start=True)
        found.append(_Play(monitor, young, table, rounds, began + 0.7 * seconds).response(list(changes(young))))
        if found[-1].helping():
            return found
    return [*found, now.response(list(changes(game)))]
