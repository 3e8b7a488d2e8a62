"""Faults planted in a plain loop, and healthy recipes and oddities, for the tests of the Monitor."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from monitor_loop import (
    BATCH,
    CRITIC,
    LATENT,
    Noisy,
    Sigmoid,
    bce,
    clamp,
    evaluate,
    fixed,
    follow,
    freeze_first,
    freeze_part,
    gp,
    hold_both,
    in_turns,
    lazily,
    mlp,
    part_optimizer,
    r1,
    ring,
    slopes,
    sorted_ring,
    spectral,
    stale_optimizer,
    swap_optimizers,
)

FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "critic ascends": ("critic_sign_flipped", {"critic_loss": lambda r, f: -(bce(r, 1.0) + bce(f, 0.0))}),
    "critic's labels exchanged": ("critic_sign_flipped", {"critic_loss": lambda r, f: bce(r, 0.0) + bce(f, 1.0)}),
    "wgan critic turned": (
        "critic_sign_flipped",
        {
            "loss": "wasserstein",
            "critic_loss": lambda r, f: r.mean() - f.mean(),
            "after_critic": clamp(0.1),
            "penalty": ("clip", 0.1),
        },
    ),
    "one half of the critic turned": (
        "critic_sign_flipped",
        {"loss": "hinge", "critic_loss": lambda r, f: relu(1 + r).mean() + relu(1 + f).mean()},
    ),
    "lsgan targets exchanged": (
        "critic_sign_flipped",
        {"loss": "least_squares", "critic_loss": lambda r, f: (r**2).mean() + ((f - 1) ** 2).mean()},
    ),
    "generator turned": ("generator_sign_flipped", {"generator_loss": lambda f, r: bce(f, 0.0)}),
    "hinge generator turned": ("generator_sign_flipped", {"loss": "hinge", "generator_loss": lambda f, r: f.mean()}),
    "saturating generator": ("generator_loss_other", {"generator_loss": lambda f, r: -bce(f, 0.0)}),
    "real half missing": ("critic_real_half_missing", {"critic_loss": lambda r, f: bce(f, 0.0)}),
    "fake half missing": ("critic_fake_half_missing", {"critic_loss": lambda r, f: bce(r, 1.0)}),
    "hinge claimed, wasserstein used": (
        "critic_loss_other",
        {"loss": "hinge", "critic_loss": lambda r, f: 3 * (f.mean() - r.mean()), "rates": (1e-3, 2e-2)},
    ),
    "sigmoid twice": ("double_sigmoid", {"critic": lambda: Sigmoid(mlp(2, 16, 1))}),
    "wgan with sigmoid": (
        "probability_as_score",
        {
            "loss": "wasserstein",
            "critic": lambda: Sigmoid(mlp(2, 16, 1)),
            "penalty": ("clip", 0.1),
            "after_critic": clamp(0.1),
        },
    ),
    "rectified scores": (
        "rectified_scores",
        {"loss": "hinge", "critic": lambda: nn.Sequential(mlp(2, 16, 1), nn.ReLU())},
    ),
    "tanh scores": ("bounded_scores", {"critic": lambda: nn.Sequential(mlp(2, 16, 1), nn.Tanh())}),
    "critic not cleared": ("critic_gradient_accumulated", {"zero_critic": False}),
    "generator not cleared": ("generator_gradient_accumulated", {"zero_generator": False}),
    "generator left in critic": ("generator_gradient_in_critic", {"zero_critic": False, "zero_critic_after": True}),
    "generator cut": ("generator_detached", {"detach_for_generator": True}),
    "generator cut behind a reconstruction": (
        "generator_loss_without_critic",
        {"detach_for_generator": True, "generator_extra": lambda f, r: (f - r).square().mean()},
    ),
    "gp without graph": (
        "penalty_detached",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(create_graph=False)},
    ),
    "gp of weight 0": (
        "penalty_absent",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(0.0), "rates": (1e-3, 3e-2)},
    ),
    "gp detached": (  # its graph is there, as that of one that is not added: what is missing cannot be told apart
        "penalty_absent",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(detach=True), "rates": (1e-3, 3e-2)},
    ),
    "gp forgotten": ("penalty_absent", {"loss": "wasserstein", "penalty": ("gp", 10.0)}),
    "r1 forgotten": ("penalty_absent", {"penalty": ("r1", 1.0), "steps": 40}),
    "gp of weight .1": ("penalty_weight_wrong", {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(0.1)}),
    "gp of weight 1000": (
        "penalty_weight_wrong",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(1000.0)},
    ),
    "gp centred at 0": (
        "penalty_other_kind",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(target=0.0)},
    ),
    "gp over axis 0": ("penalty_norm_axes", {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(dim=0)}),
    "r1 at fakes": ("penalty_other_place", {"penalty": ("r1", 1.0), "extra": r1(1.0, "fake")}),
    "clip absent": ("clip_absent", {"loss": "wasserstein", "penalty": ("clip", 0.01)}),
    "clip ten times": ("clip_other", {"loss": "wasserstein", "penalty": ("clip", 0.01), "after_critic": clamp(0.1)}),
    "spectral norm missing": ("constraint_missing", {"loss": "hinge", "penalty": "spectral_norm"}),
    "spectral norm on a part": (
        "constraint_partial",
        {"loss": "hinge", "penalty": "spectral_norm", "critic": lambda: spectral(mlp(2, 16, 16, 1), skip=2)},
    ),
    "penalty under batch norm": (
        "penalty_under_batch_norm",
        {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "critic": lambda: mlp(2, 16, 1, norm=True)},
    ),
    "optimisers swapped": ("optimizer_other_player", {"tweak": swap_optimizers}),
    "optimisers swapped, untold": ("optimizer_other_player", {"tweak": swap_optimizers, "tell": False}),
    "optimiser of both": ("optimizer_other_player", {"tweak": hold_both}),
    "optimiser of both, untold": ("optimizer_other_player", {"tweak": hold_both, "tell": False}),
    "optimiser of a copy": ("optimizer_wrong_parameters", {"tweak": stale_optimizer}),
    "optimiser of a copy, untold": ("optimizer_wrong_parameters", {"tweak": stale_optimizer, "tell": False}),
    "optimiser of a part": ("optimizer_misses_parameters", {"tweak": part_optimizer}),
    "part frozen": ("critic_frozen", {"tweak": freeze_part}),
    "rate zero": ("learning_rate_zero", {"rates": (0.0, 1e-3)}),
    "critic in eval mode": (
        "eval_mode_in_training",
        {"critic": lambda: mlp(2, 16, 1, drop=0.3), "tweak": evaluate("d")},
    ),
    "generator in eval mode": (
        "eval_mode_in_training",
        {"generator": lambda: mlp(LATENT, 16, 2, norm=True), "tweak": evaluate("g")},
    ),
    "data in 0..255": (
        "data_range",
        {
            "generator": lambda: nn.Sequential(mlp(LATENT, 16, 2), nn.Tanh()),
            "batch": lambda n, rng: 127 * (1 + ring(n, rng)),
        },
    ),
    "generator rectified": (
        "generator_range_rectified",
        {"generator": lambda: nn.Sequential(mlp(LATENT, 16, 2), nn.ReLU())},
    ),
    "same batch": ("batch_repeated", {"batch": fixed(ring(BATCH, torch.Generator().manual_seed(3)))}),
    "ordered": ("unshuffled", {"batch": sorted_ring(), "steps": 30}),
    "same latents": (
        "latents_reused",
        {"latents": fixed(torch.randn(BATCH, LATENT, generator=torch.Generator().manual_seed(3)))},
    ),
    "other latents in sampling": (
        "latent_mismatch",
        {"latents": lambda n: torch.rand(n, LATENT), "options": {"sample": 1.0}},
    ),
    "other latents in sampling, wider": ("latent_mismatch", {"options": {"sample": 2.0}}),
    "generator left in critic, two critic steps and a penalty": (
        "generator_gradient_in_critic",
        {
            "zero_critic": False,
            "zero_critic_after": True,
            "n_critic": 2,
            "loss": "wasserstein",
            "penalty": ("gp", 10.0),
            "extra": gp(),
        },
    ),
    "r1 summed over samples": (
        "penalty_norm_axes",
        {
            "penalty": ("r1", 1.0),
            "extra": lambda d, r, f: 0.5 * slopes(d, r.clone().requires_grad_()).square().sum(0).mean(),
        },
    ),
    "schedule of epochs stepped per batch": ("schedule_too_fast", {"tweak": follow(lambda k: 0.5**k), "steps": 30}),
    "not a number": ("non_finite", {"extra": lambda d, r, f: (d(r).mean() - d(r).mean()).sqrt()}),
}
"""Name -> (cause, how it is planted)."""

HARMLESS: dict[str, dict[str, Any]] = {
    **{f"plain {loss}": {"loss": loss} for loss in CRITIC if loss != "wasserstein"},
    "wgan-gp": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "n_critic": 3},
    "wgan-gp, untold": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(), "tell": False},
    "wgan-gp, unclaimed": {"loss": "wasserstein", "extra": gp(), "steps": 40},
    "clip": {
        "loss": "wasserstein",
        "penalty": ("clip", 0.05),
        "after_critic": clamp(0.05),
        "optimizer": torch.optim.RMSprop,
    },
    "r1": {"penalty": ("r1", 1.0), "extra": r1(1.0)},
    "strong r1": {"penalty": ("r1", 100.0), "extra": r1(100.0), "steps": 60},
    "lazy r1": {"penalty": ("r1", 1.0), "extra": lambda: lazily(4, r1(1.0)), "steps": 40},
    "very lazy r1": {"penalty": ("r1", 1.0), "extra": lambda: lazily(16, r1(1.0)), "steps": 40},
    "r1 without the half": {"penalty": ("r1", 1.0), "extra": r1(2.0)},
    "hinge and spectral norm": {
        "loss": "hinge",
        "penalty": "spectral_norm",
        "critic": lambda: spectral(mlp(2, 16, 16, 1)),
        "steps": 40,
    },
    "dropout": {"critic": lambda: mlp(2, 16, 16, 1, drop=0.4)},
    "batch norm everywhere": {
        "generator": lambda: mlp(LATENT, 16, 2, norm=True),
        "critic": lambda: mlp(2, 16, 1, norm=True),
        "steps": 40,
    },
    "probabilities by design": {
        "critic": lambda: Sigmoid(mlp(2, 16, 1)),
        "critic_loss": lambda r, f: -(r.log().mean() + (1 - f).log().mean()),
        "generator_loss": lambda f, r: -f.log().mean(),
    },
    "both signs turned": {
        "critic_loss": lambda r, f: bce(r, 0.0) + bce(f, 1.0),
        "generator_loss": lambda f, r: bce(f, 0.0),
    },
    "both signs of wgan turned": {
        "loss": "wasserstein",
        "penalty": ("clip", 0.1),
        "after_critic": clamp(0.1),
        "critic_loss": lambda r, f: r.mean() - f.mean(),
        "generator_loss": lambda f, r: f.mean(),
    },
    "one-sided": {"loss": "wasserstein", "penalty": ("gp", 10.0), "extra": gp(one_sided=True), "steps": 30},
    "both signs turned, several critic steps": {
        "loss": "wasserstein",
        "penalty": ("gp", 10.0),
        "extra": gp(),
        "n_critic": 3,
        "critic_loss": lambda r, f: r.mean() - f.mean(),
        "generator_loss": lambda f, r: f.mean(),
    },
    "r1 seldom, inputs always differentiable": {
        "penalty": ("r1", 1.0),
        "extra": lambda: lazily(25, r1(1.0)),
        "batch": lambda n, rng: ring(n, rng).requires_grad_(),
        "steps": 30,
    },
    "no detach for the critic": {"detach_for_critic": False},
    "halves averaged": {"critic_loss": lambda r, f: (bce(r, 1.0) + bce(f, 0.0)) / 2},
    "loss scaled": {
        "critic_loss": lambda r, f: 512 * (bce(r, 1.0) + bce(f, 0.0)),
        "before_step": lambda ps: [p.grad.div_(512) for p in ps],
    },
    "gradients clipped": {"before_step": lambda ps: nn.utils.clip_grad_norm_(ps, 0.01)},
    "gradients clipped by value": {"before_step": lambda ps: nn.utils.clip_grad_value_(ps, 0.001)},
    "labels smoothed": {"critic_loss": lambda r, f: bce(r, 0.9) + bce(f, 0.0)},
    "labels drawn": {
        "critic_loss": lambda r, f: (
            binary_cross_entropy_with_logits(r, 0.8 + 0.3 * torch.rand_like(r))
            + binary_cross_entropy_with_logits(f, 0.2 * torch.rand_like(f))
        )
    },
    "joint batch": {"joint": True},
    "noise before the critic": {"critic": lambda: Noisy(mlp(2, 16, 1))},
    "weight decay": {"optimizer": lambda ps, lr: torch.optim.AdamW(ps, lr, weight_decay=1e-2)},
    "reconstruction beside": {"generator_extra": lambda f, r: 5 * (f - r).square().mean()},
    "penalty on the weights": {"extra": lambda d, r, f: 1e-2 * sum(p.square().sum() for p in d.parameters())},
    "first layer frozen on purpose": {"tweak": freeze_first},
    "an optimiser that steps seldom": {"tweak": in_turns, "tell": False, "steps": 30},
    "rates end at nothing": {"tweak": follow(lambda k: 0.5 + 0.5 * math.cos(math.pi * k / 59)), "steps": 60},
    "samples drawn close together": {"options": {"sample": 0.6}},
    "table of few values": {"batch": lambda n, rng: torch.randint(2, (n, 2), generator=rng).float()},
    "no claim": {"claim": "none"},
    "sgd": {"optimizer": torch.optim.SGD},
}
"""Healthy recipes, and oddities that look wrong and are not."""
