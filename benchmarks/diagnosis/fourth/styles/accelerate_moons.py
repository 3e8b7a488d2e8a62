import math

import torch
from torch import nn


class AcceleratedOptimizer(torch.optim.Optimizer):
    """Wraps an optimiser as accelerate does."""

    def __init__(self, optimizer, scaler, accelerator):
        self.optimizer, self.scaler, self.accelerator = optimizer, scaler, accelerator

    @property
    def state(self):
        return self.optimizer.state

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @property
    def defaults(self):
        return self.optimizer.defaults

    def zero_grad(self, set_to_none=True):
        if self.accelerator.sync_gradients:
            self.optimizer.zero_grad(set_to_none)

    def step(self, closure=None):
        if self.accelerator.sync_gradients:
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None and self.scaler != 1 and not getattr(self, "unscaled", False):
                        p.grad.div_(self.scaler)
            self.unscaled = False
            self.optimizer.step()


class Accelerator:
    def __init__(self, gradient_accumulation_steps=1, loss_scale=1.0):
        self.gradient_accumulation_steps, self.scale = gradient_accumulation_steps, loss_scale
        self.sync_gradients = True

    def prepare(self, *objects):
        return [AcceleratedOptimizer(o, self.scale, self) if isinstance(o, torch.optim.Optimizer) else o for o in objects]

    def backward(self, loss):
        (loss * self.scale / self.gradient_accumulation_steps).backward()

    def clip_grad_norm_(self, optimizer, max_norm):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad.div_(self.scale)
        optimizer.unscaled = True
        return torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], max_norm)


class EMAModel:
    def __init__(self, model, decay=0.9):
        self.decay = decay
        self.shadow = build_generator()
        self.shadow.load_state_dict(model.state_dict())
        self.shadow.requires_grad_(False)

    @torch.no_grad()
    def step(self, model):
        for s, p in zip(self.shadow.parameters(), model.parameters()):
            s.sub_((1 - self.decay) * (s - p))


def build_generator():
    return nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))


def build_discriminator():
    return nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))


def r1_penalty(discriminator, real):
    real = real.detach().requires_grad_(True)
    scores = discriminator(real)
    (grad,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    return grad.square().sum(1).mean()


def main(num_steps, r1_weight=0.2, lr=2e-3, max_grad_norm=5.0):
    torch.manual_seed(seed)
    accelerator = Accelerator(gradient_accumulation_steps=2, loss_scale=1024.0)
    generator, discriminator = build_generator(), build_discriminator()
    ema = EMAModel(generator)
    optimizer_g = torch.optim.AdamW(generator.parameters(), lr=lr, betas=(0.5, 0.99), weight_decay=1e-2)
    optimizer_d = torch.optim.AdamW(discriminator.parameters(), lr=lr, betas=(0.5, 0.99), weight_decay=1e-2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer_g, lambda s: 0.5 * (1 + math.cos(math.pi * s / (2 * num_steps))))
    points = data.moons(3000)
    dataloader = torch.utils.data.DataLoader(points, batch_size=32, shuffle=True, drop_last=True)
    generator, discriminator, optimizer_g, optimizer_d = accelerator.prepare(
        generator, discriminator, optimizer_g, optimizer_d
    )

    def sample():
        return ema.shadow(torch.randn(500, 6))

    monitor = watch(
        generator,
        discriminator,
        loss="hinge",
        penalty=("r1", 2 * r1_weight),
        optimizers=(optimizer_g, optimizer_d),
        sample=sample,
        ema=ema.shadow,
        held_out=data.moons(500, "held"),
    )
    stream = iter(dataloader)
    for global_step in range(num_steps):
        micro = []
        for k in range(accelerator.gradient_accumulation_steps):
            accelerator.sync_gradients = k == accelerator.gradient_accumulation_steps - 1
            try:
                batch = next(stream)
            except StopIteration:
                stream = iter(dataloader)
                batch = next(stream)
            noise = torch.randn(len(batch), 6)
            micro.append((batch, noise))
            fake = generator(noise).detach()
            d_loss = (1 - discriminator(batch)).relu().mean() + (1 + discriminator(fake)).relu().mean()
            d_loss = d_loss + r1_weight * r1_penalty(discriminator, batch)
            accelerator.backward(d_loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(optimizer_d, max_grad_norm)
            optimizer_d.step()
            optimizer_d.zero_grad()
        for k, (batch, noise) in enumerate(micro):
            accelerator.sync_gradients = k == accelerator.gradient_accumulation_steps - 1
            g_loss = -discriminator(generator(noise)).mean()
            accelerator.backward(g_loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(optimizer_g, max_grad_norm)
            optimizer_g.step()
            optimizer_g.zero_grad()
        scheduler.step()
        for p in discriminator.parameters():
            p.grad = None
        ema.step(generator)
        monitor.step(batch, noise)


main(steps)
