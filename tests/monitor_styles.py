"""Training loops in other people's styles, for the tests of the Monitor; each returns its monitor."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from monitor_loop import BATCH, CRITIC, LATENT, bce, gp, mlp, ring
from monitor_setting import Setting
from tightrope import View, constraints, losses
from tightrope.monitor import Monitor


def dcgan(steps: int = 20, target: float = 1.0) -> Monitor:
    """Buffers written in place, a probability, two backward passes."""
    s = Setting("bce", d=nn.Sequential(mlp(2, 16, 1), nn.Sigmoid()))
    criterion, noise, shown = nn.BCELoss(), torch.empty(BATCH, LATENT), torch.empty(BATCH, 2)
    for real, _ in s.updates(steps):
        s.d.zero_grad()
        label = torch.ones(BATCH)
        shown.copy_(real)
        criterion(s.d(shown).view(-1), label).backward()
        fake = s.g(noise.normal_())
        criterion(s.d(fake.detach()).view(-1), label.fill_(0.0)).backward()
        s.opt_d.step()
        s.g.zero_grad()
        criterion(s.d(fake).view(-1), label.fill_(target)).backward()
        s.opt_g.step()
    return s.monitor


def both_backward_first(steps: int = 20) -> Monitor:
    s = Setting("hinge")
    for real, z in s.updates(steps):
        fake = s.g(z)
        critic, generator = CRITIC["hinge"](s.d(real), s.d(fake.detach())), -s.d(fake).mean()
        s.opt_g.zero_grad()
        generator.backward()
        s.opt_d.zero_grad()
        critic.backward()
        s.opt_g.step()
        s.opt_d.step()
    return s.monitor


def generator_first(steps: int = 20) -> Monitor:
    s = Setting()
    for real, z in s.updates(steps):
        s.opt_g.zero_grad()
        fake = s.g(z)
        bce(s.d(fake), 1.0).backward()
        s.opt_g.step()
        s.opt_d.zero_grad()
        ((bce(s.d(real), 1.0) + bce(s.d(fake.detach()), 0.0)) / 2).backward()
        s.opt_d.step()
    return s.monitor


def micro_batches(steps: int = 20) -> Monitor:
    s = Setting()
    for real, _ in s.updates(steps):
        s.opt_d.zero_grad()
        for part in real.chunk(3):
            fake = s.g(torch.randn(len(part), LATENT)).detach()
            ((bce(s.d(part), 1.0) + bce(s.d(fake), 0.0)) / 3).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        for _ in range(3):
            (bce(s.d(s.g(torch.randn(BATCH, LATENT))), 1.0) / 3).backward()
        s.opt_g.step()
    return s.monitor


def accumulated_over_updates(steps: int = 40) -> Monitor:
    s = Setting()
    for k, (real, z) in enumerate(s.updates(steps)):
        ((bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)) / 4).backward()
        s.d.requires_grad_(False)
        (bce(s.d(s.g(z)), 1.0) / 4).backward()
        s.d.requires_grad_(True)
        if k % 4 == 3:
            for optimizer in (s.opt_d, s.opt_g):
                optimizer.step()
                optimizer.zero_grad()
    return s.monitor


def autocast_and_scaler(steps: int = 20) -> Monitor:
    s = Setting(g=mlp(LATENT, 64, 2), d=mlp(2, 64, 64, 1))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)
        scaler.scale(loss).backward()
        scaler.step(s.opt_d)
        s.opt_g.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = bce(s.d(s.g(z)), 1.0)
        scaler.scale(loss).backward()
        scaler.step(s.opt_g)
        scaler.update()
    return s.monitor


def scaler_penalty_and_clipping(steps: int = 20) -> Monitor:
    s = Setting("wgan", penalty=("gp", 10.0))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        fake = s.g(z).detach()
        scaler.scale(s.d(fake).mean() - s.d(real).mean() + gp(10.0)(s.d, real, fake)).backward()
        scaler.unscale_(s.opt_d)
        nn.utils.clip_grad_norm_(s.d.parameters(), 0.5)
        scaler.step(s.opt_d)
        s.opt_g.zero_grad()
        scaler.scale(-s.d(s.g(z)).mean()).backward()
        scaler.step(s.opt_g)
        scaler.update()
    return s.monitor


class Conditional(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.classes, self.body = nn.Embedding(4, 8), mlp(inputs + 8, 32, outputs)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.body(torch.cat([x, self.classes(y)], 1))


def conditional(steps: int = 20, permuted: bool = False) -> Monitor:
    torch.manual_seed(0)
    s = Setting("hinge", Conditional(LATENT, 2), Conditional(2, 1))
    for _ in range(steps):
        real, z = ring(BATCH, s.rng), torch.randn(BATCH, LATENT)
        y = (torch.atan2(real[:, 1], real[:, 0]) / torch.pi * 2 + 2.2).long().clamp(0, 3)
        y = y[torch.randperm(BATCH)] if permuted else y
        s.opt_d.zero_grad()
        CRITIC["hinge"](s.d(real, y), s.d(s.g(z, y).detach(), y)).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        other = torch.randint(4, (BATCH,))
        (-s.d(s.g(z, other), other).mean()).backward()
        s.opt_g.step()
        s.monitor.step(real, z, y)
    return s.monitor


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = mlp(2, 16, 1), mlp(2, 16, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.a(x), self.b(x)]


def several_critics(steps: int = 20, sign: float = 1.0) -> Monitor:
    s = Setting("hinge", d=Several())
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        losses.hinge.critic(s.d(real), s.d(s.g(z).detach())).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (sign * losses.hinge.generator(s.d(s.g(z)))).backward()
        s.opt_g.step()
    return s.monitor


class WithFeatures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2)), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.a(x)
        return self.b(h), h


def feature_matching(steps: int = 20, view: bool = True) -> Monitor:
    d = WithFeatures()
    s = Setting("hinge", d=d, view=View(d, scores=lambda out: out[0]) if view else d)
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        CRITIC["hinge"](d(real)[0], d(s.g(z).detach())[0]).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        score, features = d(s.g(z))
        (-score.mean() + 10 * (features.mean(0) - d(real)[1].mean(0).detach()).square().mean()).backward()
        s.opt_g.step()
    return s.monitor


def a_step_per_half(steps: int = 20) -> Monitor:
    s = Setting()
    for real, z in s.updates(steps):
        for x, target in ((real, 1.0), (s.g(z).detach(), 0.0)):
            s.opt_d.zero_grad()
            bce(s.d(x), target).backward()
            s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    return s.monitor


def r1_in_one_forward(steps: int = 20) -> Monitor:
    s = Setting(penalty=("r1", 1.0))
    for real, z in s.updates(steps):
        x = real.clone().requires_grad_()
        s.opt_d.zero_grad()
        score = s.d(x)
        (g,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        loss = bce(score, 1.0) + bce(s.d(s.g(z).detach()), 0.0) + 0.5 * g.square().sum(1).mean()
        loss.backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    return s.monitor


def r1_with_a_lazy_step_of_its_own(steps: int = 40, every: int = 4) -> Monitor:
    s = Setting(penalty=("r1", 1.0))
    for k, (real, z) in enumerate(s.updates(steps)):
        s.opt_d.zero_grad()
        (bce(s.d(real), 1.0) + bce(s.d(s.g(z).detach()), 0.0)).backward()
        s.opt_d.step()
        if k % every == 0:
            x = real.clone().requires_grad_()
            s.opt_d.zero_grad()
            (g,) = torch.autograd.grad(s.d(x).sum(), x, create_graph=True)
            (every * 0.5 * g.square().sum(1).mean()).backward()
            s.opt_d.step()
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    return s.monitor


def augmented(steps: int = 20) -> Monitor:
    s = Setting("hinge")

    def change(x: Tensor) -> Tensor:
        return x + 0.3 * torch.randn_like(x)

    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        CRITIC["hinge"](s.d(change(real)), s.d(change(s.g(z).detach()))).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (-s.d(change(s.g(z))).mean()).backward()
        s.opt_g.step()
    return s.monitor


def pool_of_fakes(steps: int = 20) -> Monitor:
    s = Setting("hinge")
    pool: list[Tensor] = []
    for real, z in s.updates(steps):
        s.opt_g.zero_grad()
        fake = s.g(z)
        (-s.d(fake).mean()).backward()
        s.opt_g.step()
        pool.append(fake.detach().clone())
        rows = torch.cat(pool[-10:])
        s.opt_d.zero_grad()
        CRITIC["hinge"](s.d(real), s.d(rows[torch.randperm(len(rows))[:BATCH]])).backward()
        s.opt_d.step()
    return s.monitor


def normalised(steps: int = 40, ours: bool = False) -> Monitor:
    d = mlp(2, 16, 16, 1)
    if ours:
        constraints.spectral_norm(d)
    for layer in d:
        if isinstance(layer, nn.Linear) and not ours:
            nn.utils.spectral_norm(layer)
    s = Setting("hinge", d=d, penalty="spectral_norm")
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        CRITIC["hinge"](s.d(real), s.d(s.g(z).detach())).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (-s.d(s.g(z)).mean()).backward()
        s.opt_g.step()
    return s.monitor


def gradients_assigned(steps: int = 20) -> Monitor:
    s = Setting()
    for real, z in s.updates(steps):
        s.d.requires_grad_(True)
        with torch.no_grad():
            fake = s.g(z)
        loss = bce(s.d(real), 1.0) + bce(s.d(fake), 0.0)
        parameters = list(s.d.parameters())
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.grad = g
        s.opt_d.step()
        s.d.requires_grad_(False)
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    return s.monitor


def relativistic_average(steps: int = 20) -> Monitor:
    s = Setting("relativistic")
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        r, f = s.d(real), s.d(s.g(z).detach())
        ((bce(r - f.mean(), 1.0) + bce(f - r.mean(), 0.0)) / 2).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        f, r = s.d(s.g(z)), s.d(real).detach()
        ((bce(f - r.mean(), 1.0) + bce(r - f.mean(), 0.0)) / 2).backward()
        s.opt_g.step()
    return s.monitor


def with_closure(steps: int = 20) -> Monitor:
    s = Setting()
    s.opt_d = torch.optim.LBFGS(s.d.parameters(), lr=0.1, max_iter=2)
    for real, z in s.updates(steps):
        fake = s.g(z).detach()

        def loss(real: Tensor = real, fake: Tensor = fake) -> Tensor:
            s.opt_d.zero_grad()
            value = bce(s.d(real), 1.0) + bce(s.d(fake), 0.0)
            value.backward()
            return value

        s.opt_d.step(loss)
        s.opt_g.zero_grad()
        bce(s.d(s.g(z)), 1.0).backward()
        s.opt_g.step()
    return s.monitor


def averaged(steps: int = 110, decay: float = 0.9, buffers: bool = True) -> Monitor:
    g = mlp(LATENT, 16, 2, norm=True)
    average = copy.deepcopy(g)
    s = Setting("hinge", g=g, ema=average)
    for real, z in s.updates(steps):
        s.opt_d.zero_grad()
        CRITIC["hinge"](s.d(real), s.d(g(z).detach())).backward()
        s.opt_d.step()
        s.opt_g.zero_grad()
        (-s.d(g(z)).mean()).backward()
        s.opt_g.step()
        with torch.no_grad():
            for a, b in zip(average.parameters(), g.parameters(), strict=True):
                a.copy_(decay * a + (1 - decay) * b)
            for a, b in zip(average.buffers(), g.buffers(), strict=True):
                a.copy_(b if buffers else a)
    return s.monitor


SOUND: dict[str, Callable[[], Monitor]] = {
    "dcgan": dcgan,
    "both backward passes first": both_backward_first,
    "generator first": generator_first,
    "micro-batches": micro_batches,
    "accumulated over updates": accumulated_over_updates,
    "autocast and scaler": autocast_and_scaler,
    "scaler, penalty and clipping": scaler_penalty_and_clipping,
    "conditional": conditional,
    "several critics": several_critics,
    "feature matching": feature_matching,
    "feature matching without a view": lambda: feature_matching(view=False),
    "a step per half": a_step_per_half,
    "r1 in one forward": r1_in_one_forward,
    "lazy r1 with a step of its own": r1_with_a_lazy_step_of_its_own,
    "augmented": augmented,
    "pool of fakes": pool_of_fakes,
    "old spectral norm": normalised,
    "our spectral norm": lambda: normalised(ours=True),
    "gradients assigned": gradients_assigned,
    "relativistic average": relativistic_average,
    "closure": with_closure,
    "averaged": averaged,
    "averaged slowly, as a long run is": lambda: averaged(130, decay=0.9995),
}
FAULTY: dict[str, tuple[str, Callable[[], Monitor]]] = {
    "dcgan, generator's label": ("generator_sign_flipped", lambda: dcgan(target=0.0)),
    "several critics, sign": ("generator_sign_flipped", lambda: several_critics(sign=-1.0)),
    "labels permuted": ("labels_unrelated", lambda: conditional(90, permuted=True)),
    "average still": ("average_is_not_updated", lambda: averaged(20, decay=1.0)),
    "average without buffers": ("average_buffers_not_copied", lambda: averaged(40, buffers=False)),
}
