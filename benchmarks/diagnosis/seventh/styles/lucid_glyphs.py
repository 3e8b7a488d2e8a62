import copy
from functools import wraps

import torch
from torch import nn
import torch.nn.functional as F
from torch.autograd import grad as torch_grad
from torch.optim import Adam

torch.manual_seed(seed)

# helpers


def exists(val):
    return val is not None


def cycle(iterable):
    while True:
        for i in iterable:
            yield i


def default(value, d):
    return value if exists(value) else d


# losses


def hinge_discr_loss(fake, real):
    return (F.relu(1 + fake) + F.relu(1 - real)).mean()


def hinge_gen_loss(fake):
    return -fake.mean()


def gradient_penalty(discr, real, fake, weight):
    mix = torch.rand(real.shape[0], 1, 1, 1)
    images = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    output = discr(images)
    gradients = torch_grad(
        outputs=output, inputs=images, grad_outputs=torch.ones_like(output), create_graph=True, retain_graph=True
    )[0]
    gradients = gradients.reshape(gradients.shape[0], -1)
    return weight * ((gradients.norm(2, dim=1) - 1) ** 2).mean()


# networks


class Generator(nn.Module):
    def __init__(self, dim=96, latent_dim=16):
        super().__init__()
        self.latent_dim = latent_dim
        self.net = nn.Sequential(
            nn.Linear(latent_dim, dim),
            nn.BatchNorm1d(dim),
            nn.SiLU(),
            nn.Linear(dim, dim),
            nn.BatchNorm1d(dim),
            nn.SiLU(),
            nn.Linear(dim, 64),
        )

    def forward(self, z):
        return self.net(z).reshape(-1, 1, 8, 8)


class Discriminator(nn.Module):
    def __init__(self, dim=96):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())
        self.to_logits = nn.Linear(dim, 1)

    def forward(self, x):
        return self.to_logits(self.net(x)).squeeze(-1)


class EMA(nn.Module):
    def __init__(self, model, beta=0.9):
        super().__init__()
        self.beta = beta
        self.online = [model]
        self.ma_model = copy.deepcopy(model).requires_grad_(False)
        self.ma_model.eval()

    @torch.no_grad()
    def update(self):
        for ma, cur in zip(self.ma_model.parameters(), self.online[0].parameters()):
            ma.lerp_(cur, 1 - self.beta)
        for ma, cur in zip(self.ma_model.buffers(), self.online[0].buffers()):
            ma.copy_(cur)


class Trainer:
    def __init__(self, images, lr=2e-3, batch_size=32, gradient_accumulate_every=2, gp_weight=2.0, ttur_mult=2.0):
        self.G, self.D = Generator(), Discriminator()
        self.ema = EMA(self.G)
        self.G_opt = Adam(self.G.parameters(), lr=lr, betas=(0.5, 0.9))
        self.D_opt = Adam(self.D.parameters(), lr=lr * ttur_mult, betas=(0.5, 0.9))
        self.batch_size, self.acc, self.gp_weight = batch_size, gradient_accumulate_every, gp_weight
        loader = torch.utils.data.DataLoader(images, batch_size=batch_size, shuffle=True, drop_last=True)
        self.loader = cycle(loader)

    def noise(self, n=None):
        return torch.randn(default(n, self.batch_size), self.G.latent_dim)

    def train_step(self):
        self.D_opt.zero_grad()
        for _ in range(self.acc):
            images = next(self.loader)
            generated_images = self.G(self.noise()).detach()
            fake_output, real_output = self.D(generated_images), self.D(images)
            disc_loss = hinge_discr_loss(fake_output, real_output)
            gp = gradient_penalty(self.D, images, generated_images, self.gp_weight)
            disc_loss = disc_loss + gp
            disc_loss = disc_loss / self.acc
            disc_loss.backward()
        self.D_opt.step()

        self.G_opt.zero_grad()
        for _ in range(self.acc):
            style = self.noise()
            gen_loss = hinge_gen_loss(self.D(self.G(style)))
            gen_loss = gen_loss / self.acc
            gen_loss.backward()
        self.G_opt.step()
        self.ema.update()
        return images, style


trainer = Trainer(data.glyphs(2048)[0] / 255)
monitor = watch(
    trainer.G,
    trainer.D,
    loss="hinge",
    penalty=("gp", trainer.gp_weight),
    optimizers=(trainer.G_opt, trainer.D_opt),
    sample=lambda: trainer.ema.ma_model(trainer.noise(500)),
    ema=trainer.ema.ma_model,
    held_out=data.glyphs(500, "held")[0] / 255,
)
for _ in range(steps):
    images, style = trainer.train_step()
    monitor.step(images, style)
