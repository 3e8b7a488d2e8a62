"""From gains to a finding: the change that helps names a cause where the training's settings make it credible.

A smaller step or no momentum calms any game that turns, so that such a gain alone is no evidence of a wrong setting:
the setting has to lie outside of what healthy trainings use as well. Where several causes are left that no interval
tells apart, they are candidates and none is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tightrope.monitor.claims import PLAYERS
from tightrope.monitor.finding import Finding
from tightrope.monitor.what_if.changes import momentum
from tightrope.monitor.what_if.gains import Gain, Response
from tightrope.monitor.what_if.game import Game, game_of

if TYPE_CHECKING:
    from tightrope.monitor.monitor import Monitor

LARGE_STEP, HUGE_STEP = 0.01, 0.025
"""Movement per update, relative to the parameters: not too large below the first, unheard of in sound runs above the
second (the largest there: 0.02)."""
HIGH_MOMENTUM, HUGE_MOMENTUM = 0.85, 0.92
SLOW_CRITIC, STILL_CRITIC = 1 / 4, 1 / 15
"""Movement of the critic over that of the generator."""


def findings(monitor: Monitor, responses: Sequence[Response]) -> tuple[list[Finding], str]:
    """What the responses say, and a sentence of what was played."""
    played = [r for r in responses if r.gains]
    said = "; ".join(_told(r) for r in responses)
    for response in played:
        helping = response.helping()
        if helping:
            return [_named(monitor, game_of(monitor), response, helping)], said
    return [], said


def _told(response: Response) -> str:
    where = "from the first weights" if response.from_start else "from where it stands"
    if response.state == "near":
        return f"copies {where}: as it is, samples are near the data ({response.distance:.2g})"
    if response.state == "improving":
        return f"copies {where}: as it is, the distance goes from {response.start:.2g} to {response.distance:.2g}"
    tried = len(response.gains)
    if not tried:
        return f"copies {where}: as it is {response.distance:.2g}; the time was up before a change was played"
    return f"{tried} changes on copies {where}, {response.rounds} rounds each, as it is {response.distance:.2g}"


def _named(monitor: Monitor, game: Game, response: Response, helping: list[Gain]) -> Finding:
    causes: dict[str, Gain] = {}
    for gain in helping:
        cause = cause_of(monitor, game, gain.change.kind)
        if cause and cause not in causes:
            causes[cause] = gain
    best = next(iter(causes.values()), helping[0])
    alike = {c: g for c, g in causes.items() if g.mean + g.half_width > best.mean - best.half_width}
    outside = [c for c, g in alike.items() if extreme(monitor, game, g.change.kind)]
    named = next(iter(alike)) if len(alike) == 1 else outside[0] if len(outside) == 1 else ""
    best = alike.get(named, best)
    if response.milder is not None and response.milder.change.kind == best.change.kind:
        best = response.milder
    others = ", ".join(f"{g.change.name}: {g.said()}" for g in helping[:5])
    where = "from the first weights" if response.from_start else "from where the training stands"
    evidence = {
        "distance": round(response.distance, 4), "start": round(response.start, 4),
        "changed": round(best.distance, 4), "log_gain": [round(best.mean, 3), round(best.half_width, 3)],
        "change": best.change.name, "replicates": len(best.pairs), "rounds": response.rounds, "helping": others,
        "from_start": response.from_start,
    }  # fmt: skip
    words = (
        f"On copies {where}, {best.change.words}: the distance of samples to rows not trained on is {best.said()} what "
        f"it is without ({best.distance:.2g} after {response.rounds} rounds, against {response.distance:.2g}), over "
        f"{len(best.pairs)} pairs."
    )
    since = 0 if response.from_start else monitor.steps
    if named:
        return Finding(named, words, evidence, since, "medium", "why it fails")
    what = "Several changes help alike" if alike else "It helps, but such a change calms any game that turns"
    return Finding(
        "unknown_trouble", f"{words} {what}.", evidence, since, "low", "why it fails", candidates=tuple(alike)
    )


def moves(monitor: Monitor) -> dict[str, float]:
    """Median movement per update over the last windows, by player."""
    last = monitor.history.windows[-8:]
    return {name: sorted(w.player(name).moved for w in last)[len(last) // 2] for name in PLAYERS}


def cause_of(monitor: Monitor, game: Game, kind: str) -> str:
    """The cause that a kind of change speaks for here; empty where the settings do not make it credible."""
    moved = moves(monitor)
    auc = sorted(value for _, value in monitor.history.series("auc")[-8:]) or [0.5]
    middle = auc[len(auc) // 2]
    bounded = bool(game.settings.penalties or game.spectral or game.settings.clip is not None)
    slow = moved["critic"] < SLOW_CRITIC * moved["generator"]
    strong = "critic_too_strong" if middle > 0.99 and not bounded else ""
    return {
        "generator rate down": "generator_step_too_large" if moved["generator"] > LARGE_STEP else "",
        "critic rate down": "critic_step_too_large" if moved["critic"] > LARGE_STEP else strong,
        "critic up": "critic_too_weak" if middle < 0.55 or slow else "",
        "momentum": "momentum_too_high" if momentum(game) >= HIGH_MOMENTUM else "",
        "penalty weaker": "penalty_too_strong",
        "penalty stronger": "",  # every sound game with a penalty has a weight that is better in its first rounds
        "damping": "" if bounded else strong or "rotation_undamped",
        "clip wider": "clip_crippling",
    }[kind]


def extreme(monitor: Monitor, game: Game, kind: str) -> bool:
    """Whether what a kind of change undoes lies far outside of what sound trainings set."""
    moved = moves(monitor)
    if kind == "momentum":
        return momentum(game) > HUGE_MOMENTUM
    if kind.endswith("rate down"):
        return moved[kind.split()[0]] > HUGE_STEP
    return kind == "critic up" and moved["critic"] < STILL_CRITIC * moved["generator"]
