"""The half-steps of runs side by side; they say what ``training.half_steps`` and ``training.joint`` say of one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.draws import Streams, restartable
from tightrope.autodiff import frozen, labelled
from tightrope.methods.game import Draw, Objective, critic_objective, generator_objective, losses_on
from tightrope.optimizers.extragradient import Extrapolating, extrapolating
from tightrope.optimizers.strides import match_strides_
from tightrope.training.batches import to_device
from tightrope.training.half_steps import finish_step
from tightrope.training.nonfinite import NonFiniteError
from tightrope.training.seeds.mapped import mapped
from tightrope.training.seeds.stack import Found, Stack, rows_of_found

Left = dict[int, NonFiniteError]
"""Why runs left, by their place before the step."""


def critic_step(stack: Stack, real: Tensor, labels: Tensor | None = None) -> tuple[Found, Left]:
    """Update every critic once.

    Args:
        stack: Advances.
        real: Each run's real samples, ``[runs, batch, *shape]``.
        labels: Classes ``[runs, batch]``.

    Returns:
        What was computed for the runs that are left, and why others left.
    """
    run, method = stack.together, stack.together.method
    real, labels = _ready(stack, real, labels)
    z = run.latents(real.shape[1])
    with torch.no_grad():
        stack.generator.prepare()
        fake = stack.generator.call(z, *_given(run.generator, labels)).to(real.dtype)
    if any(penalty.due(run.critic_steps) for penalty in method.penalties):
        real, fake = real.requires_grad_(), fake.requires_grad_()
    stack.critic.prepare()
    position = {"critic_step": run.critic_steps, "images_seen": run.images_seen}

    def one(real: Tensor, fake: Tensor, labels: Tensor | None) -> Objective:
        critic = labelled(stack.critic.beside, labels)
        return critic_objective(method, critic, real, fake, rng=run.rng, **position)

    def alone(k: int) -> Tensor:
        own, theirs = stack.runs[k], _part(labels, k)
        critic = labelled(own.critic, theirs)
        return critic_objective(own.method, critic, real[k], fake[k], rng=own.rng, **position).total

    found, left = _update(stack, "critic", one, (real, fake, labels), alone, real)
    _finish_critic(stack, real.shape[1])
    return found, left


def generator_step(stack: Stack, real: Tensor | None = None, labels: Tensor | None = None) -> tuple[Found, Left]:
    """Update every generator once and move its average; see :func:`critic_step`."""
    run, method = stack.together, stack.together.method
    if real is not None:
        real, labels = _ready(stack, real, labels)
    factor = method.play.generator_batch_factor
    labels = labels.repeat(1, factor) if labels is not None else None
    n = real.shape[1] if real is not None and method.loss.paired else run.batch_size * factor
    z = run.latents(n if labels is None else labels.shape[1])
    seen = run.images_seen

    def one(z: Tensor, real: Tensor | None, labels: Tensor | None) -> Objective:
        players = labelled(stack.generator.beside, labels), labelled(stack.critic.beside, labels)
        return generator_objective(method, *players, z, real=real, images_seen=seen, rng=run.rng)

    def alone(k: int) -> Tensor:
        own, theirs = stack.runs[k], _part(labels, k)
        players = labelled(own.generator, theirs), labelled(own.critic, theirs)
        paired = None if real is None else real[k]
        return generator_objective(own.method, *players, z[k], real=paired, images_seen=seen, rng=own.rng).total

    with frozen(run.critic):
        stack.generator.prepare()
        stack.critic.prepare()
        found, left = _update(stack, "generator", one, (z, real, labels), alone, real)
    finish_step(run)
    return found, left


def joint_step(stack: Stack, real: Tensor, labels: Tensor | None = None) -> tuple[Found, Found, Left]:
    """Update all players at once; the critics' part, the generators', and why runs left. See :func:`critic_step`."""
    run, images = stack.together, real.shape[1]
    real, labels = _ready(stack, real, labels)
    for_critic, for_generator = (run.latents(n) for n in (images, images * run.method.play.generator_batch_factor))
    given: list[Any] = [real, for_critic, for_generator, labels]
    noise: Any = restartable(run.rng)
    optimizers = {"generator": run.generator_optimizer, "critic": run.critic_optimizer}
    rules = {player: rule for player, o in optimizers.items() if (rule := extrapolating(o)) is not None}
    left: Left = {}
    places = list(range(len(stack)))
    found: dict[str, Found] = {}
    for ahead in (False, True) if rules else (True,):
        found = _joint_gradients_(stack, given, noise)
        sizes = {player: half["total"] + half["gradient_norm"] for player, half in found.items()}
        size = sizes["generator"] + sizes["critic"]
        if ahead and rules:
            _retreat_(rules.values(), ~torch.isfinite(size))

        def error(k: int, sizes: dict[str, Tensor] = sizes, real: Tensor = given[0]) -> NonFiniteError:
            player = "critic" if bool(torch.isfinite(sizes["generator"][k])) else "generator"
            return stack.error(k, player, None, real[k])

        rows, gone = stack.without_the_bad(size, error)
        if rows is not None:
            left |= {places[k]: why for k, why in gone.items()}
            places = [places[k] for k in rows.tolist()]
            given = [None if x is None else x[rows] for x in given]
            found = {player: rows_of_found(half, rows) for player, half in found.items()}
            noise = _of_rows(noise, rows)
        if not len(stack):
            return found["critic"], found["generator"], left
        if not ahead:
            for player, looking in rules.items():
                stack.rates[player].move(looking, looking.extrapolate, run.images_seen)
    for player, optimizer in optimizers.items():
        stack.rates[player].move(optimizer, optimizer.step, run.images_seen)
    stack.last |= found
    _finish_critic(stack, images)
    finish_step(run)
    return found["critic"], found["generator"], left


def _joint_gradients_(stack: Stack, given: Sequence[Any], noise: Callable[[], Any]) -> dict[str, Found]:
    """Write the gradients of both players at the present point; nothing moves in between."""
    run, play = stack.together, stack.together.method.play
    found: dict[str, Found] = {}

    def loss(player: str) -> Callable[[], Tensor]:
        def one(real: Tensor, for_critic: Tensor, for_generator: Tensor, labels: Tensor | None) -> Objective:
            draw = Draw(real, for_critic, for_generator, noise, labels, run.critic_steps, run.images_seen)
            seen: dict[str, Objective] = {}
            players = stack.generator.beside, stack.critic.beside
            losses = losses_on(run.method, *players, draw, detached=not play.corrects, seen=seen)
            losses[0 if player == "generator" else 1]()
            return seen[player]

        def totals() -> Tensor:
            found[player] = mapped(stack, player, one, tuple(given))
            value: Tensor = found[player]["total"]
            return value

        return totals

    taken: dict[str, tuple[list[Tensor], Sequence[Tensor | None], Tensor]] = {}
    losses = play.corrected((loss("generator"), loss("critic")), (run.generator, run.critic))
    for player, totals in zip(("generator", "critic"), losses, strict=True):
        optimizer = getattr(run, f"{player}_optimizer")
        optimizer.zero_grad(set_to_none=True)
        parameters = _parameters(optimizer)
        stack.generator.prepare()
        stack.critic.prepare()
        total = totals()
        taken[player] = parameters, torch.autograd.grad(total.sum(), parameters, allow_unused=True), total.detach()
    for player, (parameters, gradients, total) in taken.items():
        for p, gradient in zip(parameters, gradients, strict=True):
            p.grad = gradient
        match_strides_(parameters)
        found[player] = _detached(found[player]) | {"total": total, "gradient_norm": _norms(parameters, len(stack))}
    return found


def _update(
    stack: Stack,
    player: str,
    one: Callable[..., Objective],
    given: tuple[Tensor | None, ...],
    alone: Callable[[int], Tensor],
    samples: Tensor | None,
) -> tuple[Found, Left]:
    """Descend one objective of every run; those whose numbers are not finite leave before it."""
    optimizer = getattr(stack.together, f"{player}_optimizer")
    parameters = _parameters(optimizer)
    optimizer.zero_grad(set_to_none=True)
    found = mapped(stack, player, one, given)
    found["total"].sum().backward(inputs=parameters)
    match_strides_(parameters)
    found = _detached(found) | {"gradient_norm": _norms(parameters, len(stack))}

    def error(k: int) -> NonFiniteError:
        return stack.error(k, player, lambda: alone(k), _part(samples, k))

    rows, left = stack.without_the_bad(found["total"] + found["gradient_norm"], error)
    if rows is not None:
        found = rows_of_found(found, rows)
    if len(stack):
        stack.rates[player].move(optimizer, optimizer.step, stack.together.images_seen)
    stack.last[player] = found
    return found, left


def _finish_critic(stack: Stack, images: int) -> None:
    stack.together.critic_steps += 1
    stack.project_()
    stack.together.images_seen += images


def _ready(stack: Stack, real: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Batches checked as a single run checks them."""
    runs, n = real.shape[:2]
    flat, found = to_device(stack.together, real.flatten(0, 1), None if labels is None else labels.flatten(0, 1))
    return flat.unflatten(0, (runs, n)), None if found is None else found.unflatten(0, (runs, n))


def _given(network: nn.Module, labels: Tensor | None) -> tuple[Tensor, ...]:
    return (labels,) if labels is not None and bool(getattr(network, "classes", False)) else ()


def _part(x: Tensor | None, k: int) -> Tensor | None:
    return None if x is None else x[k].detach()


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def _norms(parameters: Sequence[Tensor], runs: int) -> Tensor:
    """Norm of each run's gradient over all parameters, ``[runs]``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    parts = [torch.linalg.vector_norm(g, dim=tuple(range(1, g.dim()))) if g.dim() > 1 else g.abs() for g in gradients]
    return torch.linalg.vector_norm(torch.stack(parts), dim=0) if parts else torch.zeros(runs)


def _detached(found: Found) -> Found:
    return {
        name: part.detach() if isinstance(part, Tensor) else tuple(p.detach() for p in part)
        for name, part in found.items()
    }


def _of_rows(noise: Callable[[], Any], rows: Tensor) -> Callable[[], Any]:
    return lambda: Streams([noise().generators[k] for k in rows.tolist()])


@torch.no_grad()
def _retreat_(rules: Any, gone: Tensor) -> None:
    """Put the runs that leave back to where their step began."""
    rule: Extrapolating
    for rule in rules:
        for p, state in rule.state.items():
            if "start" in state:
                p[gone] = state["start"][gone]
