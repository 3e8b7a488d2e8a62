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

from tightrope.monitor.causes import CAUSES
from tightrope.monitor.finding import Diagnosis, Finding
from tightrope.monitor.history import Place
from tightrope.monitor.remedies import exact_change
from tightrope.monitor.responses import WORDS, explained, worth_asking
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.what_if.branch import Table, played, table_of
from tightrope.monitor.what_if.changes import AS_IS, Change, changes, of_numbers, smaller
from tightrope.monitor.what_if.gains import WORTH, Gain, Response
from tightrope.monitor.what_if.game import CannotPlayError, Game, aside, game_of
from tightrope.monitor.what_if.place import best_place, games, in_numbers
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
UNTRAINED = 1.0
"""About the distance of untrained samples: those that come back from farther away have not come closer yet."""


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
        elif distance < IMPROVING * min(start, UNTRAINED) and not self.game.from_start:
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

    Only where nothing stronger explains it; copies that come closer to the data as they are end it. The training itself
    is left as it is, bit for bit.

    Args:
        monitor: Of the training.
        seconds: About how long it may take; what was not tried by then is left out.
        gate: Whether the first weights are asked only if the windows show samples that are far from the data and come
            no closer: nearly every young training answers to changes.
    """
    history = monitor.history
    found = diagnosis(history, monitor.steps, monitor.failures)
    history.responses = ([], "")
    until = time.monotonic() + 1.5 * seconds
    try:
        if explained(found):
            history.places |= after_repair(monitor, found, until)
            return monitor.diagnose()
        responses = asked(monitor, seconds, young=not gate or worth_asking(history, found))
        named, said = findings(monitor, responses)
        history.responses = [placed(monitor, one, responses, until) for one in named], said
    except CannotPlayError as reason:
        history.responses = ([], f"no what-ifs were played: {reason}")
    except Exception as problem:  # whatever it is, the training goes on
        text = str(problem).partition(chr(10))[0][:160]
        history.responses = ([], f"no what-ifs were played: {type(problem).__name__}: {text}")
    return monitor.diagnose()


def asked(monitor: Monitor, seconds: float, *, young: bool = True) -> list[Response]:
    """The responses from the beginning and from where the training stands, the second only if the first says nothing.

    A training that is near the data now is not asked how it began.

    Args:
        monitor: Of the training.
        seconds: About how long it may take.
        young: Whether a young training is asked from its first weights too.

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
    if young and game.start and monitor.steps <= YOUNG:
        rounds = min(max(monitor.steps // 2, ROUNDS), MOST_ROUNDS)
        early = replace(game, from_start=True)
        found.append(_Play(monitor, early, table, rounds, began + 0.7 * seconds).response(list(changes(early))))
        if found[-1].helping():
            return found
    return [*found, now.response(list(changes(game)))]


def placed(monitor: Monitor, finding: Finding, responses: Sequence[Response], until: float) -> Finding:
    """A finding with its change in numbers, and from where to go on with it.

    Args:
        monitor: Of the training.
        finding: It names a change.
        responses: In which the change was played.
        until: When the time is up; what was not played by then leaves the training where it stands.
    """
    tried = [gain for r in responses for gain in (*r.gains, *((r.milder,) if r.milder else ()))]
    change = next(gain.change for gain in tried if gain.change.name == finding.evidence["change"])
    place, ends = _place(monitor, change, until)
    game = game_of(monitor)
    with aside(game, 0):
        said, numbers, fix = in_numbers(game, change.apply)
    evidence = {**finding.evidence, "numbers": numbers, "fix": fix, "place": place, "ends": ends}
    return replace(finding, evidence=evidence, exact=f"{said} {WORDS[place]}")


def after_repair(monitor: Monitor, found: Diagnosis, until: float) -> dict[str, Place]:
    """From where to go on once what was found is mended, as copies of the mended training say.

    What the ledger found is mended in any copy, which plays what is claimed; of other findings the remedy's numbers
    are set, if it has any.

    Args:
        monitor: Of the training.
        found: Its findings.
        until: When the time is up.
    """
    first = next((f for f in found if f.cause != "healthy" and f.confidence != "low"), None)
    if first is None or first.damage == "harmless":
        return {}
    exact = exact_change(first, monitor.history)
    numbers = {} if exact is None else exact.numbers
    if not numbers and CAUSES[first.cause].kind != "ledger":
        return {}
    try:
        return {first.cause: _place(monitor, of_numbers(numbers) if numbers else AS_IS, until)[0]}
    except CannotPlayError:
        return {}


def _place(monitor: Monitor, change: Change, until: float) -> tuple[Place, dict[str, float]]:
    """The best place to go on from with a change, and the mean distances of all."""
    game = game_of(monitor)
    table = table_of(game, monitor.held_out)
    plays = {place: _Play(monitor, one, table, ROUNDS, until) for place, one in games(game).items()}
    ends: dict[Place, list[float]] = {place: [] for place in plays}
    for seed in range(REPLICATES):
        if time.monotonic() < until:
            for place, play in plays.items():
                ends[place].append(play.tail(change, seed)[1])
    return best_place(ends, change), {place: round(sum(v) / len(v), 4) for place, v in ends.items() if v}
