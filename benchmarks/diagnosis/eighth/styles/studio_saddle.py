import copy
from contextlib import nullcontext

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)

CFG = {
    "DATA": {"num": 4000},
    "MODEL": {"z_dim": 5, "g_dim": 64, "d_dim": 64, "apply_g_ema": True, "g_ema_decay": 0.9},
    "LOSS": {"adv_loss": "logistic", "apply_gp": True, "gp_lambda": 0.3},
    "OPTIMIZATION": {"g_lr": 4e-3, "d_lr": 6e-3, "beta1": 0.0, "beta2": 0.99, "batch_size": 48, "acml_steps": 2},
    "RUN": {"mixed_precision": True, "scale": 256.0},
    "AUG": {"apply_diffaug": True, "shift": 0.15},
}


class Generator(nn.Module):
    def __init__(self, z_dim, dim):
        super().__init__()
        self.blocks = nn.Sequential(nn.Linear(z_dim, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())
        self.out = nn.Linear(dim, 3)

    def forward(self, z):
        return self.out(self.blocks(z))


class Discriminator(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.blocks = nn.Sequential(nn.Linear(3, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())
        self.linear = nn.Linear(dim, 1)

    def forward(self, x):
        return {"adv_output": self.linear(self.blocks(x)).squeeze(1), "h": x}


def d_logistic(d_logit_real, d_logit_fake):
    return (F.softplus(-d_logit_real) + F.softplus(d_logit_fake)).mean()


def g_logistic(d_logit_fake):
    return F.softplus(-d_logit_fake).mean()


def cal_grad_penalty(real_images, fake_images, discriminator, scaler):
    alpha = torch.rand(len(real_images), 1)
    interpolates = (alpha * real_images + (1 - alpha) * fake_images).detach().requires_grad_(True)
    out = discriminator(interpolates)["adv_output"]
    grads = torch.autograd.grad(scaler.scale(out.sum()), interpolates, create_graph=True)[0]
    grads = grads / scaler.get_scale()
    return ((grads.norm(2, dim=1) - 1) ** 2).mean()


class Augment:
    """One shift for every row of either side."""

    def __init__(self, cfg):
        self.shift = cfg["shift"] if cfg["apply_diffaug"] else 0.0

    def __call__(self, x):
        return x + self.shift * (2 * torch.rand(len(x), 1) - 1)


class Ema:
    def __init__(self, source, decay):
        self.source, self.decay, self.target = source, decay, copy.deepcopy(source).requires_grad_(False)

    @torch.no_grad()
    def update(self):
        for p_t, p_s in zip(self.target.parameters(), self.source.parameters()):
            p_t.copy_(p_s.lerp(p_t, self.decay))


class Worker:
    def __init__(self, cfg):
        self.MODEL, self.LOSS, self.OPT, self.RUN = cfg["MODEL"], cfg["LOSS"], cfg["OPTIMIZATION"], cfg["RUN"]
        self.Gen = Generator(self.MODEL["z_dim"], self.MODEL["g_dim"])
        self.Dis = Discriminator(self.MODEL["d_dim"])
        self.ema = Ema(self.Gen, self.MODEL["g_ema_decay"])
        betas = (self.OPT["beta1"], self.OPT["beta2"])
        self.g_optimizer = torch.optim.Adam(self.Gen.parameters(), self.OPT["g_lr"], betas)
        self.d_optimizer = torch.optim.Adam(self.Dis.parameters(), self.OPT["d_lr"], betas)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=self.RUN["scale"], enabled=self.RUN["mixed_precision"])
        self.aug = Augment(cfg["AUG"])
        self.points = data.saddle(cfg["DATA"]["num"])

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16) if self.RUN["mixed_precision"] else nullcontext()

    def sample_data_basket(self):
        return self.points[torch.randint(len(self.points), (self.OPT["batch_size"],))]

    def sample_latents(self, n):
        return torch.randn(n, self.MODEL["z_dim"])

    def train_discriminator(self):
        self.Gen.requires_grad_(False)
        self.Dis.requires_grad_(True)
        self.d_optimizer.zero_grad()
        for _ in range(self.OPT["acml_steps"]):
            real = self.sample_data_basket()
            with self.autocast():
                fake = self.Gen(self.sample_latents(len(real)))
            fake = fake.float()
            real_, fake_ = self.aug(real), self.aug(fake)
            with self.autocast():
                real_dict, fake_dict = self.Dis(real_), self.Dis(fake_)
            dis_acml_loss = d_logistic(real_dict["adv_output"].float(), fake_dict["adv_output"].float())
            if self.LOSS["apply_gp"]:
                gp_loss = cal_grad_penalty(real_, fake_, self.Dis, self.scaler)
                dis_acml_loss = dis_acml_loss + self.LOSS["gp_lambda"] * gp_loss
            dis_acml_loss = dis_acml_loss / self.OPT["acml_steps"]
            self.scaler.scale(dis_acml_loss).backward()
        self.scaler.step(self.d_optimizer)
        self.scaler.update()
        return real

    def train_generator(self):
        self.Dis.requires_grad_(False)
        self.Gen.requires_grad_(True)
        self.g_optimizer.zero_grad()
        for _ in range(self.OPT["acml_steps"]):
            zs = self.sample_latents(self.OPT["batch_size"])
            with self.autocast():
                fake = self.Gen(zs)
            with self.autocast():
                fake_dict = self.Dis(self.aug(fake.float()))
            gen_acml_loss = g_logistic(fake_dict["adv_output"].float()) / self.OPT["acml_steps"]
            self.scaler.scale(gen_acml_loss).backward()
        self.scaler.step(self.g_optimizer)
        self.scaler.update()
        self.ema.update()
        return zs


import tightrope

worker = Worker(CFG)
monitor = watch(
    worker.Gen,
    tightrope.View(worker.Dis, scores=lambda out: out["adv_output"]),
    loss="non_saturating",
    penalty=("gp", 0.3),
    optimizers=(worker.g_optimizer, worker.d_optimizer),
    sample=lambda: worker.ema.target(worker.sample_latents(500)),
    ema=worker.ema.target,
    held_out=data.saddle(500, "held"),
)
for current_step in range(steps):
    real = worker.train_discriminator()
    zs = worker.train_generator()
    monitor.step(real, zs)
