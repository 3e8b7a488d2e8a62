"""One branch: a copy of a training played on for some rounds, and how far its samples are from held-out rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tightrope.autodiff import undisturbed
from tightrope.monitor.recent import Rows
from tightrope.monitor.what_if.game import Game, State, penalty_of

WORST = 10.0
"""Distance that stands for samples which are not finite."""
JUDGED = 256


@dataclass(frozen=True)
class Table:
    """Rows that branches play with, and those that judge them.

    Attributes:
        real: Real rows to train on.
        latents: Latents to train on.
        held: Real rows that no branch trains on, flat, in float64.
        judge: Latents of the samples that are judged.
        batch: Real rows per step.
        latent_batch: Latents per step.
    """

    real: Rows
    latents: Rows
    held: Tensor
    judge: Rows
    batch: int
    latent_batch: int


def table_of(game: Game, held_out: Tensor | None) -> Table:
    """Part the rows that were seen: two thirds to train on and a third to judge, unless there are held-out rows."""
    real, latents = game.recent.real.rows(), game.recent.latents.rows()
    third = torch.arange(len(real[0])) % 3 == 2
    if held_out is not None and held_out.shape[1:] == real[0].shape[1:] and len(held_out) >= 64:
        held, train = held_out.to(real[0].device), real
    else:
        held, train = real[0][third], tuple(t[~third] for t in real)
    held = held[torch.linspace(0, len(held) - 1, min(len(held), JUDGED)).long()].detach().flatten(1).double()
    sizes = game.recent.real.size, game.recent.latents.size
    return Table(train, latents, held, tuple(t[-JUDGED:] for t in latents), *sizes)


def energy(fake: Tensor, real: Tensor) -> float:
    """Energy distance in units of the mean distance between real rows; unbiased, so it may be a little below 0.

    Args:
        fake: Samples ``[n, *shape]``.
        real: Rows ``[m, *shape]``, or flat.
    """
    x, y = fake.detach().flatten(1).double(), real.detach().flatten(1).double()
    if x.shape[1:] != y.shape[1:] or not bool(torch.isfinite(x).all()):
        return WORST
    unit = float(torch.pdist(y).mean())
    value = (2 * float(torch.cdist(x, y).mean()) - float(torch.pdist(x).mean()) - unit) / max(unit, 1e-12)
    return min(WORST, value) if value == value else WORST


def played(
    game: Game, table: Table, change: Callable[[State], State], seed: int, rounds: int, looks: int = 5
) -> list[float]:
    """Play a branch and look at it, the first time before its first round.

    Args:
        game: The training.
        table: Rows.
        change: Changes the copy before it is played.
        seed: Of the order of rows, of latents and of whatever the networks draw: branches of one seed share them.
        rounds: Rounds to play.
        looks: Distances taken in the second half.

    Returns:
        Distances.
    """
    state = change(game.copied())
    order = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    found = [_look(game, table, state)]
    at = {rounds - (rounds // 2) * k // looks for k in range(looks)}
    for k in range(1, rounds + 1):
        torch.manual_seed(seed * 100_003 + k)
        _round(game, table, state, order)
        if k in at:
            found.append(_look(game, table, state))
            if found[-1] >= WORST:
                return found + [WORST] * (len(at) + 1 - len(found))
    return found


def _look(game: Game, table: Table, state: State) -> float:
    with undisturbed(state.generator), torch.no_grad():
        return energy(game.samples(state.generator, table.judge), table.held)


def _drawn(rows: Rows, n: int, order: torch.Generator) -> Rows:
    pick = torch.randint(len(rows[0]), (n,), generator=order).to(rows[0].device)
    return tuple(t[pick] for t in rows)


def _round(game: Game, table: Table, state: State, order: torch.Generator) -> None:
    """Critic's steps, then the generator's. Rows are drawn for ten critic steps always, so that branches share them."""
    settings = state.settings
    batches = [(_drawn(table.real, table.batch, order), _drawn(table.latents, table.latent_batch, order))
               for _ in range(max(10, settings.critic_steps))]  # fmt: skip
    for real, latents in batches[: settings.critic_steps]:
        with torch.no_grad():
            fake = game.shown(game.samples(state.generator, latents), latents)
        r, f = _judged(game, state, real, fake)
        loss = game.critic_loss(r, f)
        for name, weight in settings.penalties:
            loss = loss + weight * penalty_of(game, state, real, fake, name)
        _step(state, "critic", loss)
        if settings.clip is not None:
            with torch.no_grad():
                for p in state.critic.parameters():
                    p.clamp_(-settings.clip, settings.clip)
    for k in range(settings.generator_steps):
        real, latents = batches[-1 - k % len(batches)]
        fake = game.shown(game.samples(state.generator, latents), latents)
        if game.recent.joint:
            r, f = _judged(game, state, real, fake)
        else:
            f = game.scores(state.critic, fake)
            with torch.no_grad():
                r = game.scores(state.critic, real) if game.paired else f.detach()
        _step(state, "generator", game.generator_loss(r.detach(), f))


def _judged(game: Game, state: State, real: Rows, fake: Rows) -> tuple[Tensor, Tensor]:
    if not game.recent.joint:
        return game.scores(state.critic, real), game.scores(state.critic, fake)
    both = tuple(torch.cat([a, b.to(a.dtype)]) for a, b in zip(real, fake, strict=True))
    r, f = game.scores(state.critic, both).split([len(real[0]), len(fake[0])])
    return r, f


def _step(state: State, player: str, loss: Tensor) -> None:
    for optimizer in state.optimizers[player]:
        optimizer.zero_grad()
    if loss.requires_grad:
        loss.backward()
    for optimizer in state.optimizers[player]:
        optimizer.step()
