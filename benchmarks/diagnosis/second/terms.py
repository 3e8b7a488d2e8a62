"""Losses and penalties as people write them, with the faults that can be made in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Scores = Tensor | Sequence[Tensor]


def halves(h: Any, kind: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    if h.has("plain_bce"):
        return F.binary_cross_entropy(real, torch.ones_like(real)), F.binary_cross_entropy(fake, torch.zeros_like(fake))
    if h.has("naive_log"):
        return -torch.log(torch.sigmoid(real)).mean(), -torch.log(1 - torch.sigmoid(fake)).mean()
    if kind in ("non_saturating", "minimax"):
        top = torch.full_like(real, h.has("smoothed") or 1.0)
        return (
            F.binary_cross_entropy_with_logits(real, top),
            F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake)),
        )
    if kind == "hinge":
        return F.relu(1 - real).mean(), F.relu(1 + fake).mean()
    if kind == "least_squares":
        return (real - 1).square().mean(), fake.square().mean()
    return -real.mean(), fake.mean()


def critic_loss(h: Any, real: Scores, fake: Scores) -> Tensor:
    """The critic's loss of one critic, or the sum over several."""
    if not isinstance(real, Tensor):
        return torch.stack([critic_loss(h, r, f) for r, f in zip(real, fake, strict=True)]).sum()
    assert isinstance(fake, Tensor)
    kind = h.has("other_d") or h.case.base.loss
    if h.has("both_signs"):
        real, fake = fake, real
    a, b = halves(h, kind, real, fake)
    if h.has("half_negated"):
        b = halves(h, kind, fake, fake)[0]
    if h.has("real_half"):
        a = a.detach()
    if h.has("fake_half"):
        b = b.detach()
    loss = a * (h.has("unequal") or 1.0) + b
    if h.has("flip_d"):
        loss = -loss
    if h.has("summed"):
        loss = loss * len(real)
    return loss * (h.has("scaled_loss") or h.option("half_loss", 1.0))


def generator_loss(h: Any, fake: Scores) -> Tensor:
    if not isinstance(fake, Tensor):
        return torch.stack([generator_loss(h, f) for f in fake]).sum()
    kind = h.has("other_g") or h.case.base.loss
    if h.has("both_signs"):  # here the critic scores fakes high, and the generator asks for low scores
        loss = halves(h, "non_saturating" if kind == "minimax" else kind, fake, fake)[1]
    elif h.has("plain_bce"):
        loss = F.binary_cross_entropy(fake, torch.ones_like(fake))
    elif h.has("naive_log"):
        loss = -torch.log(torch.sigmoid(fake)).mean()
    elif kind == "non_saturating":
        loss = F.softplus(-fake).mean()
    elif kind == "minimax":
        loss = -F.softplus(fake).mean()
    elif kind == "least_squares":
        loss = (fake - (0.0 if h.has("target_of_fakes") else 1.0)).square().mean()
    else:
        loss = -fake.mean()
    if h.has("flip_g"):
        loss = -loss
    if h.has("summed"):
        loss = loss * len(fake)
    return loss * (h.has("scaled_loss") or 1.0)


def gradient_penalty(h: Any, D: Any, real: Tensor, fake: Tensor) -> Tensor:
    """Of 1704.00028, weight included."""
    weight = float(h.has("penalty_weight") or h.option("gp", 10.0))
    if h.has("penalty_absent"):
        return torch.zeros(())
    shape = (len(real), *[1] * (real.dim() - 1))
    mix = torch.rand(real.shape if h.has("mixed_by_element") else shape)
    points = mix * real + (1 - mix) * fake
    if place := h.has("penalty_place"):
        points = {"real": real, "fake": fake, "noise": torch.randn_like(real)}[place]
    points = points.detach().clone().requires_grad_()
    scores = D(points)
    slope = torch.autograd.grad(scores.sum(), points, create_graph=not h.has("penalty_detached"))[0]
    if h.has("penalty_axes"):
        length = slope.norm(2, dim=1) if slope.dim() > 2 else slope.abs()
    elif h.has("naive_root"):
        length = slope.flatten(1).square().sum(1).sqrt()
    else:
        length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
    kind = h.has("penalty_kind") or ("one" if h.has("one_sided") else "two")
    if kind == "zero":
        return weight * length.square().mean()
    if kind == "one":
        return weight * (length - 1).relu().square().mean()
    return weight * (length - 1).square().mean()


def r1(h: Any, D: Any, real: Tensor) -> Tensor:
    """Of 1801.04406: half of gamma times the squared slope at real rows."""
    if h.has("penalty_absent"):
        return torch.zeros(())
    gamma = float(h.option("r1", 1.0)) * float(h.has("penalty_weight") or 1.0)
    x = real.detach().clone().requires_grad_()
    scores = D(x) * (1024.0 if h.has("penalty_of_scaled") else 1.0)  # the scaler's factor, never taken off again
    slope = torch.autograd.grad(scores.sum(), x, create_graph=not h.has("penalty_detached"))[0]
    square = slope.square().mean() if h.has("penalty_axes") else slope.flatten(1).square().sum(1).mean()
    return gamma / 2 * square


def rewrapped(loss: Tensor) -> Tensor:
    """A loss made anew from its number, which has no graph."""
    return torch.tensor(loss.item(), requires_grad=True)


@torch.no_grad()
def average(h: Any, mean: nn.Module, live: nn.Module, decay: float = 0.97) -> None:
    """One update of an averaged generator, buffers copied."""
    if h.has("average_forgotten"):
        return
    decay = h.has("average_decay") or decay
    for old, new in zip(mean.parameters(), live.parameters(), strict=True):
        old.mul_(decay).add_(new, alpha=1 - decay)
    if not h.has("average_without_buffers"):
        for old, new in zip(mean.buffers(), live.buffers(), strict=True):
            old.copy_(new)


def sampler(h: Any, G: nn.Module, mode: bool | None = None) -> Any:
    """How this loop's author draws samples: in eval mode where there is batch norm."""

    def draw(n: int) -> Tensor:
        was = G.training
        G.train(mode if mode is not None else not h.option("norm_g"))
        with torch.no_grad():
            out = G(h.sampling_latents(n))
        G.train(was)
        return out

    return draw


def requires_grad(net: nn.Module, on: bool) -> None:
    for p in net.parameters():
        p.requires_grad_(on)


def freeze_part(h: Any, G: nn.Module, D: nn.Module) -> None:
    """Leaves a player's first layers frozen, as after a warm start."""
    if player := h.has("part_frozen"):
        net = {"generator": G, "critic": D}[player]
        for p in list(net.parameters())[:2]:
            p.requires_grad_(False)
