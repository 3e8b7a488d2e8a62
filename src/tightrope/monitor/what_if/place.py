"""From where a changed training goes on best, and the change in numbers.

A change made in the middle leaves behind what the fault did to the networks and to the optimisers' moments. So the
change that helps is played from three places: where the training stands, there with optimisers that have forgotten
everything, and the first weights. Another place than the first is named if it is nearer to the data after as many
rounds, beyond chance: then going back costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from tightrope.monitor.history import Place
from tightrope.monitor.remedies import joined
from tightrope.monitor.what_if.changes import Change
from tightrope.monitor.what_if.gains import Gain
from tightrope.monitor.what_if.game import Game, State

WORTH_LEAVING = math.log(1.25)
"""Another place must bring the distance down to 1 / 1.25 of what going on here brings."""


def games(game: Game) -> dict[Place, Game]:
    """A game at every place from which it can be played."""
    here = replace(game, from_start=False, fresh=False)
    found: dict[Place, Game] = {"here": here, "fresh": replace(here, fresh=True)}
    if game.start:
        found["start"] = replace(here, from_start=True)
    return found


def best_place(ends: dict[Place, list[float]], change: Change) -> Place:
    """The place with the smallest distances, the present one unless another is better beyond chance.

    Args:
        ends: Distances after a branch, by place; entries of one index share their randomness.
        change: Which was played.
    """
    better: dict[Place, Gain] = {}
    for place in ("fresh", "start"):
        gain = Gain(change, list(zip(ends["here"], ends.get(place, []), strict=False)))
        if len(gain.pairs) > 1 and gain.low > 0 and gain.mean > WORTH_LEAVING:
            better[place] = gain
    return max(better, key=lambda place: better[place].mean, default="here")


def numbers(state: State) -> dict[str, float]:
    """What a change can change, by the names that ``tightrope probe --try`` takes."""
    found: dict[str, float] = {}
    for player, held in state.optimizers.items():
        groups = [group for optimizer in held for group in optimizer.param_groups]
        found[f"lr_{player}"] = max(float(group["lr"]) for group in groups)
        found[f"beta1 of the {player}"] = max(
            float(group["betas"][0] if "betas" in group else group.get("momentum", 0.0)) for group in groups
        )
    found["n_critic"] = state.settings.critic_steps / state.settings.generator_steps
    found |= {f"penalty={name}": weight for name, weight in state.settings.penalties}
    if state.settings.clip is not None:
        found["clip"] = state.settings.clip
    return found


def in_numbers(game: Game, apply: Callable[[State], State]) -> tuple[str, dict[str, float], str]:
    """A change as a sentence with old and new numbers, the new ones, and as ``tightrope probe --try`` takes it.

    The last is empty where that command cannot make the change.

    Args:
        game: As it is.
        apply: The change.
    """
    before, after = numbers(game.copied()), numbers(apply(game.copied()))
    changed = [key for key in after if before.get(key) != after[key]]
    said = ", ".join(
        f"{key} from {before[key]:.3g} to {after[key]:.3g}" if key in before else f"{key} with weight {after[key]:.3g}"
        for key in changed
    )
    new = {key: after[key] for key in changed}
    return f"Set {said}.", new, joined(new)
