"""A class with methods: autocast and a GradScaler if asked, an average, labels if the method has them."""

from __future__ import annotations

import contextlib
import copy

import torch
from torch import Tensor
from torch.nn import functional as F

from ..job import Job
from ..watch import Watch


class Trainer:
    """Trains a pair of networks."""

    def __init__(self, job: Job) -> None:
        self.job, self.hp = job, job.hp
        self.gen, self.disc = job.build.generator(), job.build.critic()
        self.opt_g, self.opt_d = job.optimizers(self.gen, self.disc)
        self.average = copy.deepcopy(self.gen).eval() if self.hp.ema else None
        self.bf16 = job.odd in ("bf16", "bf16_scaler")
        self.scaler = torch.amp.GradScaler(
            "cpu", init_scale=1024.0, enabled=job.odd in ("scaler", "bf16_scaler") or job.fault.startswith("amp_")
        )
        self.updates = 0

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16) if self.bf16 else contextlib.nullcontext()

    def call(self, net, x: Tensor, y: Tensor | None) -> Tensor:
        return net(x) if y is None else net(x, y)

    def draw_labels(self, n: int) -> Tensor | None:
        return torch.randint(self.job.classes, (n,)) if self.hp.conditional else None

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        fault = self.job.fault
        if fault == "sign_critic":
            real, fake = fake, real
        if self.hp.loss == "hinge":
            a, b = F.relu(1 - real).mean(), F.relu(1 + fake).mean()
        elif self.hp.loss == "lsgan":
            low = 0.0 if self.job.odd == "zero_one" else -1.0
            a, b = (real - 1).square().mean(), (fake - low).square().mean()
        elif self.hp.loss == "wgan":
            a, b = -real.mean(), fake.mean()
        else:
            a, b = F.softplus(-real).mean(), F.softplus(fake).mean()
        if fault == "half_real_only":
            return a
        return b if fault == "half_fake_only" else a + b

    def g_loss(self, fake: Tensor) -> Tensor:
        sign = -1.0 if self.job.fault == "sign_generator" else 1.0
        if self.job.fault == "saturating":
            return -F.softplus(fake).mean()
        if self.hp.loss in ("hinge", "wgan"):
            return -sign * fake.mean()
        if self.hp.loss == "lsgan":
            return (fake - sign).square().mean()
        return F.softplus(-sign * fake).mean()

    def r1(self, real: Tensor, y: Tensor | None) -> Tensor:
        job, scale = self.job, self.scaler.get_scale() if self.scaler.is_enabled() else 1.0
        if job.fault == "penalty_absent":
            return real.new_zeros(())
        x = real.detach().requires_grad_()
        score = self.call(self.disc, x, y).float().sum()
        graph = job.fault != "penalty_detached"
        (grad,) = torch.autograd.grad(score * scale, x, create_graph=graph)
        if job.fault != "amp_penalty_scale":
            grad = grad / scale
        norms = grad.square().flatten(1).sum(1) if job.fault != "penalty_axes" else grad.square().sum(0)
        return 0.5 * self.hp.weight * norms.mean()

    def zero(self, optimizer: torch.optim.Optimizer, fault: str) -> None:
        every = int(self.job.strength) if self.job.fault == fault else 1
        if every and self.updates % every == 0:
            optimizer.zero_grad()

    def critic_update(self, real: Tensor, y: Tensor | None) -> None:
        fault = self.job.fault
        if fault != "generator_gradient_left":
            self.zero(self.opt_d, "gradient_left_critic")
        with self.autocast():
            with torch.no_grad():
                y_fake = self.draw_labels(len(real))
                fake = self.call(self.gen, self.job.latents(len(real)), y_fake)
            shown = fake + self.job.strength * torch.randn_like(fake) if fault == "noise_on_fake" else fake
            y_real = None if y is None else self.job.labels_for(y)
            loss = self.d_loss(self.call(self.disc, real, y_real), self.call(self.disc, shown, y_fake))
        if self.hp.penalty == "r1" and self.updates % self.hp.lazy == 0:
            factor = 1 if fault == "lazy_unscaled" else self.hp.lazy
            loss = loss + factor * self.r1(real, y_real)
        self.scaler.scale(loss).backward()
        if self.job.odd == "clip_gradients":
            self.scaler.unscale_(self.opt_d)
            torch.nn.utils.clip_grad_norm_(self.disc.parameters(), 0.5)
        if fault == "amp_not_unscaled":
            self.opt_d.step()
        elif fault != "critic_step_missing" or self.updates % int(self.job.strength) == 0:
            self.scaler.step(self.opt_d)
        if fault == "generator_gradient_left":
            self.opt_d.zero_grad()

    def generator_update(self, n: int) -> tuple[Tensor, Tensor | None]:
        fault = self.job.fault
        self.zero(self.opt_g, "gradient_left_generator")
        z, y = self.job.latents(n), self.draw_labels(n)
        with self.autocast():
            guard = torch.no_grad() if fault == "generator_detached" else contextlib.nullcontext()
            with guard:
                fake = self.call(self.gen, z, y)
            if fault == "generator_detached":
                fake.requires_grad_()
            loss = self.g_loss(self.call(self.disc, fake, y))
        self.scaler.scale(loss).backward()
        if fault != "generator_step_missing" or self.updates % int(self.job.strength) == 0:
            self.scaler.step(self.opt_g)
        self.scaler.update()
        return z, y

    @torch.no_grad()
    def update_average(self) -> None:
        if self.average is None or self.job.fault == "ema_never":
            return
        source = self.disc if self.job.fault == "ema_of_other" else self.gen
        for p, q in zip(self.average.parameters(), source.parameters(), strict=False):
            if p.shape == q.shape:
                p.lerp_(q, 1 - self.hp.ema)
        if self.job.fault != "ema_without_buffers":
            for p, q in zip(self.average.buffers(), self.gen.buffers(), strict=True):
                p.copy_(q)

    def draw(self, n: int) -> tuple[Tensor, Tensor | None]:
        y = self.draw_labels(n)
        z = self.job.latents(n, sampling=True)
        if self.average is not None:
            if self.job.fault == "ema_train_mode":
                self.average.train()
            return self.call(self.average, z, y), y
        if self.job.fault == "sampled_in_eval" or self.job.odd == "sampled_in_eval":
            self.gen.eval()
            made = self.call(self.gen, z, y)
            self.gen.train()
            return made, y
        return self.call(self.gen, z, y), y

    def fit(self, watch: Watch) -> None:
        job = self.job
        watch.start(
            self.gen,
            self.disc,
            self.draw,
            loss=job.loss,
            penalty=job.penalty,
            optimizers=(self.opt_g, self.opt_d),
            ema=self.average,
            held_out=job.intact.held,
        )
        data = job.batches(self.hp.batch, loader=True)
        for self.updates in range(1, job.steps + 1):
            for _ in range(self.hp.n_critic):
                real, y = next(data)
                self.critic_update(real, y if self.hp.conditional else None)
            for _ in range(self.hp.g_steps):
                z, _ = self.generator_update(len(real))
            self.update_average()
            job.end_of_step(self.updates, self.opt_g, self.opt_d, self.gen, self.disc)
            watch.step(real, z, y if self.hp.conditional else None)


def train(job: Job, watch: Watch) -> None:
    Trainer(job).fit(watch)
