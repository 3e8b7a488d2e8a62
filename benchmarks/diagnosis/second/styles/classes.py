"""Loops that live in classes: a module with manual optimisation, a wrapper that prepares, a trainer with a pool."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import networks, terms


class Toggled(nn.Module):
    """Manual optimisation as in Lightning: optimisers toggle the parameters that are not theirs."""

    def __init__(self, h: Any) -> None:
        super().__init__()
        self.h = h
        self.generator, self.discriminator = networks.generator(h.case), networks.critic(h.case)
        self.flags: dict[nn.Parameter, bool] = {}

    def configure_optimizers(self) -> None:
        """Both optimisers and their schedules."""
        G, D = self.generator, self.discriminator
        self.opt_g = self.h.optimizer("generator", G, D)
        self.opt_d = self.h.optimizer("critic", D, G)
        self.schedulers = self.h.schedules(self.opt_g, self.opt_d)

    def toggle_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Freeze whatever this optimiser does not hold."""
        own = {p for group in optimizer.param_groups for p in group["params"]}
        self.flags = {p: p.requires_grad for p in self.parameters()}
        for p in self.parameters():
            if p not in own:
                p.requires_grad_(False)

    def untoggle_optimizer(self) -> None:
        """Put the flags back."""
        for p, flag in self.flags.items():
            p.requires_grad_(flag)

    def manual_backward(self, loss: Tensor) -> None:
        """Where a plugin would scale."""
        loss.backward()

    def training_step(self, real: Tensor) -> None:
        """One step of each player."""
        h = self.h
        if h.has("eval_left_on"):
            self.generator.eval()
        z = h.latents(len(real))
        # generator first, as in Lightning's own example
        if not h.has("untoggled"):
            self.toggle_optimizer(self.opt_g)
        fake = self.generator(z)
        judged = fake.detach() if h.has("detach_g") else fake
        if h.has("through_numpy"):
            judged = torch.from_numpy(fake.detach().numpy().copy())
        g_loss = terms.generator_loss(h, self.discriminator(judged))
        if h.has("detach_g") or h.has("through_numpy"):
            g_loss = g_loss + 0.0 * fake.sum()
        if h.has("rewrapped_g"):
            g_loss = terms.rewrapped(g_loss)
        if weight := h.has("auxiliary"):
            g_loss = g_loss + weight * (fake.mean(0) - real.mean(0)).square().mean()
        if not h.has("keep_g"):
            self.opt_g.zero_grad()
        self.manual_backward(g_loss)
        if not h.has("no_step_g"):
            self.opt_g.step()
        self.untoggle_optimizer()

        if not h.has("untoggled"):
            self.toggle_optimizer(self.opt_d)
        if h.has("untoggled"):
            self.opt_g.zero_grad()
        seen = h.shown(real)
        if noise := h.has("instance_noise"):
            seen = seen + noise * torch.randn_like(seen)
        fake = self.generator(z).detach()
        if noise := h.has("instance_noise"):
            fake = fake + noise * torch.randn_like(fake)
        d_loss = terms.critic_loss(h, self.discriminator(seen), self.discriminator(fake))
        if h.has("rewrapped_d"):
            d_loss = terms.rewrapped(d_loss)
        if not h.has("keep_d"):
            self.opt_d.zero_grad()
        self.manual_backward(d_loss)
        if limit := h.has("clipped_gradients"):
            nn.utils.clip_grad_norm_(self.discriminator.parameters(), limit)
        if h.has("wrong_optimizer"):
            self.opt_g.step()
        elif not h.has("no_step_d"):
            self.opt_d.step()
        self.untoggle_optimizer()
        for s in self.schedulers:
            s.step()
        h.tell(real, z)


def toggled(h: Any) -> None:
    module = Toggled(h)
    module.configure_optimizers()
    G, D = module.generator, module.discriminator
    terms.freeze_part(h, G, D)
    mode = True if h.has("sampled_in_train_mode") else None
    h.attach(G, D, (module.opt_g, module.opt_d), terms.sampler(h, G, mode))
    for step in range(h.steps):
        if h.resumed(step) and not h.has("resumed_rightly"):
            module.configure_optimizers()
        module.training_step(h.rows()[0])


class Wrapper:
    """A small cousin of accelerate: prepares, runs backward, and lets optimisers step at the end of an accumulation."""

    def __init__(self, micro_batches: int) -> None:
        self.micro_batches = micro_batches

    def prepare(self, *things: Any) -> Any:
        """Wrap the optimisers among the things."""
        return tuple(self.Stepper(t) if isinstance(t, torch.optim.Optimizer) else t for t in things)

    def backward(self, loss: Tensor, undivided: bool = False) -> None:
        """Backward of one micro-batch, divided by their number."""
        (loss if undivided else loss / self.micro_batches).backward()

    class Stepper:
        """An optimiser under another name."""

        def __init__(self, inner: torch.optim.Optimizer) -> None:
            self.optimizer = inner

        def step(self) -> None:
            """As the inner one."""
            self.optimizer.step()

        def zero_grad(self) -> None:
            """As the inner one."""
            self.optimizer.zero_grad(set_to_none=True)


def prepared(h: Any) -> None:
    accelerator = Wrapper(micro_batches=2)
    G, D = networks.generator(h.case), networks.critic(h.case)
    inner = (h.optimizer("generator", G, D), h.optimizer("critic", D, G))
    generator, critic, opt_g, opt_d = accelerator.prepare(G, D, *inner)
    schedulers = h.schedules(*inner)
    terms.freeze_part(h, G, D)
    h.attach(G, D, inner, terms.sampler(h, G))
    swapped = h.has("swapped") or 1
    for step in range(h.steps):
        if step % swapped == 0:
            if h.has("critic_in_eval"):
                critic.eval()
            for _ in range(accelerator.micro_batches):
                real = h.rows()[0]
                with torch.no_grad():
                    fake = generator(h.latents())
                loss = terms.critic_loss(h, critic(h.shown(real)), critic(fake))
                accelerator.backward(loss, bool(h.has("undivided")))
            if limit := h.has("clipped_gradients"):
                nn.utils.clip_grad_norm_(critic.parameters(), limit)
            if not h.has("no_step_d"):
                opt_d.step()
            if not h.has("keep_d"):
                opt_d.zero_grad()
        for _ in range(accelerator.micro_batches):
            z = h.latents()
            fake = generator(z)
            loss = terms.generator_loss(h, critic(fake.data if h.has("detach_g") else fake))
            if h.has("detach_g"):
                loss = loss + 0.0 * fake.sum()
            accelerator.backward(loss, bool(h.has("undivided")))
        if not h.has("no_step_g"):
            opt_g.step()
        if not h.has("keep_g"):
            opt_g.zero_grad()
        if not h.has("leftover"):
            opt_d.zero_grad()  # what the generator's backward left in the critic
        for s in schedulers:
            s.step()
        h.tell(real, z)


class Pool:
    """Fakes of former steps, half of the time, for the critic."""

    def __init__(self, size: int) -> None:
        self.size, self.kept = size, list[Tensor]()

    def query(self, batch: Tensor) -> Tensor:
        """New rows, and old ones in place of half of them."""
        out = []
        for row in batch.detach():
            if len(self.kept) < self.size:
                self.kept.append(row)
                out.append(row)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                out.append(self.kept[place])
                self.kept[place] = row
            else:
                out.append(row)
        return torch.stack(out)


class Translator:
    """From a wave of eight points and some noise to the full wave: least squares with L1, the generator first."""

    def __init__(self, h: Any) -> None:
        random.seed(h.seed)
        self.h = h
        self.netG, self.netD = networks.generator(h.case, 12), networks.critic(h.case)
        self.optimizer_G = h.optimizer("generator", self.netG, self.netD)
        self.optimizer_D = h.optimizer("critic", self.netD, self.netG)
        self.pool = Pool(int(h.has("pool") or 64))
        weight = h.has("l1")
        self.weight = float(h.option("l1", 1.0) if weight is None else weight)

    def condition(self, real: Tensor) -> Tensor:
        """What the generator is given."""
        return torch.cat([F.avg_pool1d(real, 4).flatten(1), torch.randn(len(real), 4)], 1)

    def sample(self, n: int) -> Tensor:
        """Translations of held-out waves."""
        pick = torch.randint(len(self.h.held_out), (n,))
        with torch.no_grad():
            return self.netG(self.condition(self.h.held_out[pick]))

    def optimize_parameters(self, real: Tensor) -> None:
        """Generator, then critic."""
        h = self.h
        z = self.condition(real)
        if h.has("latents_reused"):
            z = h._fixed.setdefault("condition", z)
        fake = self.netG(z)
        terms.requires_grad(self.netD, False)
        if not h.has("keep_g"):
            self.optimizer_G.zero_grad()
        judged = fake.detach() if h.has("detach_g") else fake
        l1 = F.l1_loss(fake, real) * self.weight
        (terms.generator_loss(h, self.netD(judged)) + l1).backward()
        if not h.has("no_step_g"):
            self.optimizer_G.step()
        terms.requires_grad(self.netD, True)
        if not h.has("keep_d"):
            self.optimizer_D.zero_grad()
        old = fake.detach() if h.has("without_pool") else self.pool.query(fake)
        (0.5 * terms.critic_loss(h, self.netD(h.shown(real)), self.netD(old))).backward()
        if not h.has("no_step_d"):
            self.optimizer_D.step()
        h.tell(real, z)


def pooled(h: Any) -> None:
    model = Translator(h)
    terms.freeze_part(h, model.netG, model.netD)
    h.attach(model.netG, model.netD, (model.optimizer_G, model.optimizer_D), model.sample)
    for _ in range(h.steps):
        model.optimize_parameters(h.rows()[0])
