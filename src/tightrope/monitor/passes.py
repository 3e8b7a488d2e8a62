"""Whose backward pass is it, where both players step at once: by hand, in one pass, or both passes before both steps.

Elsewhere the next step tells. Here the samples do: a pass that arrives at the generator's samples and at nothing that
the critic alone was shown is the generator's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from tightrope.monitor.capture import Call, Event
from tightrope.monitor.ledger.replay import input_slope
from tightrope.monitor.roles import Judged, StepMark, of_losses

BOTH = "both"
Owner = Callable[[Event], str]


def classes(found: Sequence[Judged], made: Sequence[Call], after: int = -1) -> dict[int, str]:
    """Backward passes since a time as ``"generator"``, ``"critic"`` or ``"both"``.

    Args:
        found: The critic's calls.
        made: The generator's calls.
        after: When.
    """
    through = {e.task for call in made for arrived in call.events for e in arrived if e.at > after}
    own, any_, beside, judging = set[int](), set[int](), set[int](), set[int]()
    for one in found:
        tasks = [{e.task for e in of_losses(one.call, arrived) if e.at > after} for arrived in one.call.events]
        any_ |= set[int]().union(*tasks)
        ends = one.call.ends if len(one.call.ends) == len(tasks) else [True] * len(tasks)
        last = {task for part, end in zip(tasks, ends, strict=True) if end for task in part}
        if one.call.attached:
            judging |= last
        else:
            cut = through if one.role == "fake" else set[int]()  # in a pass to its samples the generator's, cut off
            own |= last - cut
            beside |= {task for part, end in zip(tasks, ends, strict=True) if not end for task in part} - cut
    own |= beside - judging  # features of real samples that the generator's loss matches are no critic's loss
    kinds = {task: "generator" if task in through - own else "critic" for task in any_ | through}
    if "generator" not in kinds.values() and len(own & through) == 1:
        kinds |= dict.fromkeys(own & through, BOTH)
    return kinds


def of_critic(found: Sequence[Judged], made: Sequence[Call], after: int) -> Callable[[Event], bool]:
    """Whether a gradient is of the critic's loss: not if its pass is the generator's, beside others."""
    kinds = classes(found, made, after)
    if set(kinds.values()) <= {"generator"}:  # real and generated samples in one batch, with a graph
        return lambda e: True
    of_fakes = {
        e.task for one in found if one.role in ("fake", "joint") for arrived in one.call.events for e in arrived
    }
    if not any(kinds.get(task) == "critic" for task in of_fakes):
        arrived = [e for call in made for part in call.events for e in part]
        of_generator = [(e.at, e.task) for e in arrived if e.at > after and kinds.get(e.task) == "generator"]
        if of_generator:  # halves backpropagated one by one, generated samples not detached: its fake half
            kinds[min(of_generator)[1]] = "critic"
    return lambda e: kinds.get(e.task) != "generator"


Span = tuple[int, int, frozenset[str]]


def spans(found: Sequence[Judged], made: Sequence[Call], marks: Sequence[StepMark]) -> list[Span]:
    """From when until when whose steps come next: of both where nothing is called and no gradient arrives between."""
    calls = [*(one.call for one in found), *made]
    times = [e.at for call in calls for arrived in call.events for e in arrived] + [c.at for c in calls if c.grad]
    together: list[Span] = []
    for mark in marks:
        if together and not any(together[-1][1] < at < mark.at for at in times):
            since, _, who = together.pop()
            together.append((since, mark.at, who | {mark.player}))
        else:
            together.append((together[-1][1] if together else -1, mark.at, frozenset({mark.player})))
    return together


def steps_next(at: int, together: Sequence[Span]) -> frozenset[str]:
    """Whose steps come next after a time."""
    return next((who for _, until, who in together if at < until), frozenset())


def owners(found: Sequence[Judged], made: Sequence[Call], marks: Sequence[StepMark]) -> Owner:
    """The player that each gradient fed: the one whose step comes next, of two that step at once by its pass."""
    together = spans(found, made, marks)
    kinds = {since: classes(found, made, since) for since, _, who in together if len(who) > 1}

    def owner(event: Event) -> str:
        for since, until, who in together:
            if event.at < until:
                return next(iter(who)) if len(who) == 1 else kinds[since].get(event.task, BOTH)
        return ""

    return owner


def turned(module: nn.Module, found: Sequence[Judged], made: Sequence[Call], after: int) -> tuple[float, float] | None:
    """What one pass of both players brings the generator, over what went through the critic: ``-1`` for a reversal.

    Args:
        module: The critic, as it was in its calls.
        found: Its calls.
        made: The generator's.
        after: Since when.

    Returns:
        The factor and what it leaves over; None where no pass is of both, or generated samples were judged apart.

    Raises:
        CannotReplayError: See :func:`input_slope`.
    """
    tasks = {task for task, kind in classes(found, made, after).items() if kind == BOTH}
    attached = [one for one in found if one.call.attached and one.call.at > after and one.source is not None]
    if not tasks or len(attached) != 1 or any(one.role == "fake" and not one.call.attached for one in found):
        return None
    one = attached[0]
    source = one.source
    assert source is not None
    gradients = [
        torch.stack(parts).sum(0) if (parts := [e.value for e in arrived if e.task in tasks]) else None
        for arrived in one.call.events
    ]
    through = input_slope(module, one.call, gradients).double()
    brought = [e.value.double() for arrived in source.events for e in arrived if e.task in tasks]
    if not brought or brought[0].shape != through.shape or not bool(through.any()):
        return None
    total = torch.stack(brought).sum(0)
    factor = float((total * through).sum() / through.square().sum())
    size = float(total.norm())
    return factor, float((total - factor * through).norm()) / size if size else 0.0
