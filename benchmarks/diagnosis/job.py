"""What a loop gets from a plan: data, networks, numbers, optimisers, each with the plan's fault if it lies there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from .data import Rows, rows, spoiled
from .networks import Builder
from .plan import Plan

CLAIM = {
    "ns": "non_saturating",
    "prob": "non_saturating",
    "wgan": "wasserstein",
    "hinge": "hinge",
    "lsgan": "least_squares",
}

NUMBERS = {  # fault -> (number in the recipe, how the strength changes it)
    "critic_rate_low": ("lr_d", "*"),
    "critic_rate_high": ("lr_d", "*"),
    "generator_rate_low": ("lr_g", "*"),
    "generator_rate_high": ("lr_g", "*"),
    "momentum_high": ("beta1", "="),
    "penalty_weight": ("weight", "*"),
    "clip_width": ("weight", "*"),
    "lazy_unscaled": ("lazy", "="),
    "ema_slow": ("ema", "="),
    "weight_decay": ("decay", "="),
}


class Job:
    """A plan made ready."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.fault, self.strength, self.odd = plan, plan.fault, plan.strength, plan.odd
        self.steps = plan.steps
        torch.manual_seed(1000 + plan.seed)
        self.intact = rows(plan.data)
        self.rows: Rows = spoiled(self.intact, plan.fault, plan.strength)
        self.shape = tuple(self.rows.x.shape[1:])
        self.classes = self.rows.classes
        self.build = Builder(plan, self.shape, self.classes)
        self.hp = SimpleNamespace(**asdict(plan.recipe))
        self.hp.g_steps = 1
        if plan.fault in NUMBERS:
            name, how = NUMBERS[plan.fault]
            now = getattr(self.hp, name)
            setattr(self.hp, name, type(now)(now * plan.strength if how == "*" else plan.strength))
        if plan.fault == "rates_high":
            self.hp.lr_g, self.hp.lr_d = self.hp.lr_g * plan.strength, self.hp.lr_d * plan.strength
        if plan.fault == "steps_swapped":
            self.hp.g_steps, self.hp.n_critic = int(plan.strength), 1
        if plan.fault == "critic_too_many":
            self.hp.n_critic = int(plan.strength)
        if plan.fault == "rate_option_lost":
            self.hp.lr_g = self.hp.lr_g * plan.strength
        if plan.fault in ("unconstrained", "rotation"):
            self.hp.penalty = ""
        if plan.fault == "rotation":
            self.hp.beta1 = plan.strength
        if plan.fault in ("penalty_strong_claimed", "clip_tight_claimed"):
            self.hp.weight *= plan.strength
        self._schedules: list[Any] = []
        self._fixed: dict[int, Tensor] = {}

    @property
    def loss(self) -> str:
        """The loss by the library's name for it."""
        return CLAIM[self.plan.recipe.loss]

    @property
    def penalty(self) -> Any:
        """What the user believes constrains the critic."""
        r, weight = self.plan.recipe, self.plan.recipe.weight
        if self.fault in ("unconstrained", "rotation"):
            return None
        if self.fault in ("penalty_strong_claimed", "clip_tight_claimed"):
            weight = self.hp.weight
        if r.penalty:
            return (r.penalty, weight)
        return "spectral_norm" if self.plan.net.norm_d == "sn" else None

    def latents(self, n: int, sampling: bool = False) -> Tensor:
        """Latents for training or for sampling."""
        d, fault = self.plan.net.latent, self.fault
        if fault == "latent_fixed" and not sampling:
            if n not in self._fixed:
                self._fixed[n] = torch.randn(n, d)
            return self._fixed[n]
        if fault == "latent_uniform" and not sampling:
            return torch.rand(n, d)
        if fault == "latent_scale" and sampling:
            return torch.randn(n, d) * self.strength
        if fault == "latent_shift" and sampling:
            return torch.randn(n, d) + self.strength
        if self.odd == "uniform_latents":
            return torch.rand(n, d) * 2 - 1
        return torch.randn(n, d)

    def batches(self, n: int, loader: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of rows and labels for ever: by a DataLoader, or by random indices."""
        x, y = self.rows.x, self.rows.y
        shuffle = self.fault not in ("data_sorted", "batch_same")
        if self.fault == "batch_same":
            while True:
                yield x[:n], y[:n]
        if loader:
            data = DataLoader(TensorDataset(x, y), batch_size=n, shuffle=shuffle, drop_last=len(x) >= n)
            while True:
                yield from data
        at = 0
        while True:
            if shuffle:
                pick = torch.randint(len(x), (n,)) if self.odd != "epochs" else torch.randperm(len(x))[:n]
            else:
                pick, at = torch.arange(at, at + n) % len(x), (at + n) % len(x)
            yield x[pick], y[pick]

    def labels_for(self, y: Tensor) -> Tensor:
        """Labels that go with a real batch."""
        if self.fault == "labels_apart":
            return torch.randint(self.classes, y.shape)
        return y

    def optimizers(self, G: nn.Module, D: nn.Module) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Optimisers of generator and critic."""
        of_g, of_d = list(G.parameters()), list(D.parameters())
        fault = self.fault
        if fault == "optimizer_swapped":
            of_d = of_g if self.strength == 1 else of_d
            of_g = list(D.parameters()) if self.strength == 2 else of_g
        elif fault == "optimizer_both":
            of_g = of_g + of_d
        elif fault == "optimizer_stale":
            stale = self.build.generator() if self.strength == 1 else self.build.critic()
            of_g, of_d = (list(stale.parameters()), of_d) if self.strength == 1 else (of_g, list(stale.parameters()))
        elif fault == "optimizer_partial":
            of_g = of_g[-int(self.strength) :]
        elif fault == "frozen_generator_part":
            for p in of_g[: int(self.strength)]:
                p.requires_grad_(False)
        elif fault == "frozen_critic":
            for p in of_d:
                p.requires_grad_(False)
            of_d[-1].requires_grad_(True)
        opt_g, opt_d = self._optimizer(of_g, self.hp.lr_g), self._optimizer(of_d, self.hp.lr_d)
        if fault == "schedule_often":
            self._schedules = [torch.optim.lr_scheduler.ExponentialLR(o, self.strength) for o in (opt_g, opt_d)]
        if self.odd == "cosine":
            self._schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, self.steps * 2) for o in (opt_g, opt_d)]
        return opt_g, opt_d

    def _optimizer(self, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        hp = self.hp
        if hp.optimizer == "sgd":
            return torch.optim.SGD(parameters, rate, momentum=hp.beta1, weight_decay=hp.decay)
        if hp.optimizer == "rmsprop":
            return torch.optim.RMSprop(parameters, rate, weight_decay=hp.decay)
        if hp.optimizer == "adamw":
            return torch.optim.AdamW(parameters, rate, (hp.beta1, hp.beta2), weight_decay=hp.decay or 1e-4)
        return torch.optim.Adam(parameters, rate, (hp.beta1, hp.beta2), weight_decay=hp.decay)

    def end_of_step(
        self, step: int, opt_g: torch.optim.Optimizer, opt_d: torch.optim.Optimizer, *nets: nn.Module
    ) -> None:
        """What a script does at the end of an iteration besides: schedules, options, resuming, sampling's mode."""
        for schedule in self._schedules:
            schedule.step()
        if self.fault == "rate_option_lost":
            opt_g.lr = self.plan.recipe.lr_g  # meant for the parameter groups
        if self.fault == "resume_lost" and step == self.steps // 3:
            for optimizer in (opt_g, opt_d):
                optimizer.state.clear()
                for group in optimizer.param_groups:
                    group["lr"] *= self.strength
        if self.fault == "eval_mode" and step == int(self.strength):
            for net in nets:
                net.eval()

    def auxiliary(self) -> float:
        """Weight of a reconstruction term: 45 and 2 in vocoders, here by the loop's own scale."""
        if self.fault == "reconstruction_drowns":
            return self.strength
        return 1.0
