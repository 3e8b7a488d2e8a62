from dataclasses import dataclass, field
import math
import torch
from torch import nn, Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


@dataclass
class Settings:
    z: int = 16
    batch: int = 64
    rate: float = 1.5e-3
    r1: float = 0.5
    decay: float = 0.97
    warmup: int = 20
    iterations: int = steps


class Sampler:
    def __init__(self, x: Tensor, batch: int):
        self.x, self.batch, self.order = x, batch, torch.randperm(len(x))
        self.at = 0

    def __call__(self) -> Tensor:
        if self.at + self.batch > len(self.x):
            self.order, self.at = torch.randperm(len(self.x)), 0
        rows = self.x[self.order[self.at:self.at + self.batch]]
        self.at += self.batch
        return rows


def generator(z):
    return nn.Sequential(
        nn.Linear(z, 128), nn.BatchNorm1d(128), nn.ReLU(),
        nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU(),
        nn.Linear(128, 64), nn.Tanh(), nn.Unflatten(-1, (1, 8, 8)))


def discriminator():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 160), nn.LeakyReLU(0.2), nn.Linear(160, 80), nn.LeakyReLU(0.2), nn.Linear(80, 1))


class Game:
    def __init__(self, s: Settings):
        self.s = s
        to_tanh = lambda x: (x.float() - 127.5) / 127.5
        self.train_rows, self.test_rows = (to_tanh(data.digits(part)[0]) for part in ("train", "test"))
        self.next_real = Sampler(self.train_rows, s.batch)
        self.g, self.d = generator(s.z), discriminator()
        self.opt_g = torch.optim.Adam(self.g.parameters(), s.rate, (0.5, 0.99))
        self.opt_d = torch.optim.Adam(self.d.parameters(), s.rate, (0.5, 0.99))
        ramp = lambda i: min(1.0, (i + 1) / s.warmup) * (0.55 + 0.45 * math.cos(math.pi * min(1, i / s.iterations)))
        self.plans = [LambdaLR(o, ramp) for o in (self.opt_g, self.opt_d)]
        self.mean_g = AveragedModel(self.g, multi_avg_fn=get_ema_multi_avg_fn(s.decay), use_buffers=True)

    def z(self, n):
        return torch.randn(n, self.s.z)

    def update_d(self, x):
        y = self.g(self.z(len(x))).detach()
        x = x.detach().requires_grad_()
        on_real, on_fake = self.d(x), self.d(y)
        loss = nn.functional.softplus(-on_real).mean() + nn.functional.softplus(on_fake).mean()
        slope, = torch.autograd.grad(on_real.sum(), x, create_graph=True)
        loss = loss + self.s.r1 / 2 * slope.pow(2).sum((1, 2, 3)).mean()
        self.opt_d.zero_grad()
        loss.backward()
        self.opt_d.step()

    def update_g(self, z):
        loss = nn.functional.softplus(-self.d(self.g(z))).mean()
        self.opt_g.zero_grad()
        loss.backward()
        self.opt_g.step()

    @torch.no_grad()
    def picture(self, n=500):
        self.mean_g.eval()
        return self.mean_g(self.z(n))

    def play(self):
        m = watch(self.g, self.d, loss="non_saturating", penalty=("r1", 0.5), optimizers=(self.opt_g, self.opt_d),
                  ema=self.mean_g.module, sample=self.picture, held_out=self.test_rows)
        for i in range(self.s.iterations):
            x = self.next_real()
            self.update_d(x)
            z = self.z(self.s.batch)
            self.update_g(z)
            for plan in self.plans:
                plan.step()
            self.mean_g.update_parameters(self.g)
            m.step(x, z)


torch.manual_seed(seed)
Game(Settings()).play()
