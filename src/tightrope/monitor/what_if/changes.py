"""What branches change, and the cause that each change speaks for if it helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tightrope.monitor.what_if.game import Game, Settings, State


@dataclass(frozen=True)
class Change:
    """One change to a copy.

    Attributes:
        name: As ``tightrope probe --try`` takes it, where it does.
        words: What is changed, as a clause.
        kind: What it speaks for.
        apply: Changes a state and returns it.
    """

    name: str
    words: str
    kind: str
    apply: Callable[[State], State]


AS_IS = Change("as it is", "nothing changed", "", lambda state: state)


def changes(game: Game) -> Iterator[Change]:
    """Large changes of each kind that can be tried on a game."""
    for player in ("generator", "critic"):
        yield Change(f"{player} rate / 16", f"the {player}'s rate divided by 16", f"{player} rate down",
                     _rates(player, 1 / 16))  # fmt: skip
    factor = max(16.0, float(f"{_rate(game, 'generator') / max(_rate(game, 'critic'), 1e-30):.3g}"))
    yield Change(f"critic rate x {factor:g}", f"the critic's rate times {factor:g}", "critic up",
                 _rates("critic", factor))  # fmt: skip
    if momentum(game) > 0:
        yield Change("beta1 = 0", "first momentum set to 0", "momentum", _without_momentum)
    now = game.settings
    if now.penalties:
        yield _weight(game, 0.01, "penalty weaker")
        yield _weight(game, 0.0001, "penalty weaker")
        yield _weight(game, 10, "penalty stronger")
    elif now.clip is None:
        yield _damped(1.0)
    if now.clip is not None:
        yield _clipped(10 * now.clip, "clip x 10", "the clip times 10")


def smaller(game: Game, kind: str) -> Iterator[Change]:
    """Smaller or milder changes of a kind, the mildest first."""
    if kind.endswith("rate down"):
        player = kind.split()[0]
        yield Change(f"{player} rate / 4", f"the {player}'s rate divided by 4", kind, _rates(player, 1 / 4))
    elif kind == "critic up":
        yield Change("critic rate x 4", "the critic's rate times 4", kind, _rates("critic", 4))
        if (steps := game.settings.critic_steps) < 5:
            yield Change(f"n_critic = {5 * steps}", "five times the critic's steps", kind,
                         lambda s: _set(s, replace(s.settings, critic_steps=5 * steps, generator_steps=1)))  # fmt: skip
    elif kind == "damping":
        yield _damped(0.1)
    elif kind == "penalty weaker":
        yield _weight(game, 0.1, kind)


def of_numbers(numbers: Mapping[str, float]) -> Change:
    """The change that sets what a remedy's numbers say.

    Args:
        numbers: By the names of :func:`~tightrope.monitor.what_if.place.numbers`; ``weight_decay of the critic`` too.
    """

    def apply(state: State) -> State:
        now = state.settings
        penalties = dict(now.penalties) | {k.partition("=")[2]: v for k, v in numbers.items() if k.startswith("pen")}
        steps = numbers.get("n_critic")
        both = (now.critic_steps, now.generator_steps) if steps is None else (max(1, round(steps)), 1)
        for name, value in numbers.items():
            for player in (one for one in state.optimizers if one in name and name != "n_critic"):
                for group in (group for optimizer in state.optimizers[player] for group in optimizer.param_groups):
                    _write(group, name, value)
        return _set(state, Settings(*both, tuple(penalties.items()), numbers.get("clip", now.clip)))

    return Change("remedy", "the remedy's numbers", "", apply)


def _write(group: dict[str, Any], name: str, value: float) -> None:
    if name.startswith("lr_"):
        group["lr"] = value
    elif name.startswith("weight_decay"):
        group["weight_decay"] = value
    elif "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = value


def _weight(game: Game, factor: float, kind: str) -> Change:
    penalties = tuple((name, factor * weight) for name, weight in game.settings.penalties)
    return Change(f"penalty x {factor:g}", f"the penalty's weight times {factor:g}", kind,
                  lambda s: _set(s, replace(s.settings, penalties=penalties)))  # fmt: skip


def _damped(gamma: float) -> Change:
    return Change(f"penalty = r1, gamma = {gamma:g}", f"R1 with gamma {gamma:g} added", "damping",
                  lambda s: _set(s, replace(s.settings, penalties=(("r1", gamma),))))  # fmt: skip


def _clipped(clip: float, name: str, words: str) -> Change:
    return Change(name, words, "clip wider", lambda s: _set(s, replace(s.settings, clip=clip)))


def momentum(game: Game) -> float:
    """The largest first momentum of both players."""
    values = [
        group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
        for held in game.optimizers.values() for optimizer in held for group in optimizer.param_groups
    ]  # fmt: skip
    return max((float(v) for v in values), default=0.0)


def _rate(game: Game, player: str) -> float:
    return max(float(group["lr"]) for optimizer in game.optimizers[player] for group in optimizer.param_groups)


def _rates(player: str, factor: float) -> Callable[[State], State]:
    def apply(state: State) -> State:
        for optimizer in state.optimizers[player]:
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * factor
        return state

    return apply


def _without_momentum(state: State) -> State:
    for held in state.optimizers.values():
        for group in (group for optimizer in held for group in optimizer.param_groups):
            if "betas" in group:
                group["betas"] = (0.0, *group["betas"][1:])
            if "momentum" in group:
                group["momentum"] = 0.0
    return state


def _set(state: State, settings: Settings) -> State:
    return replace(state, settings=settings)
