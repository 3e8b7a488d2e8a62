# lazy R1, average by hand
import copy

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(seed)
args = dict(latent=8, batch=64, r1=1.0, d_reg_every=4, lr=2e-3, ema=0.95)


def requires_grad(model, flag=True):
    for p in model.parameters():
        p.requires_grad_(flag)


def accumulate(model1, model2, decay):
    with torch.no_grad():
        par1, par2 = dict(model1.named_parameters()), dict(model2.named_parameters())
        for k in par1:
            par1[k].mul_(decay).add_(par2[k], alpha=1 - decay)


def d_logistic_loss(real_pred, fake_pred):
    return F.softplus(-real_pred).mean() + F.softplus(fake_pred).mean()


def d_r1_loss(real_pred, real_img):
    (grad_real,) = torch.autograd.grad(outputs=real_pred.sum(), inputs=real_img, create_graph=True)
    return grad_real.pow(2).reshape(grad_real.shape[0], -1).sum(1).mean()


def g_nonsaturating_loss(fake_pred):
    return F.softplus(-fake_pred).mean()


def sample_data(x):
    while True:
        perm = torch.randperm(len(x))
        for k in range(0, len(x) - args["batch"] + 1, args["batch"]):
            yield x[perm[k : k + args["batch"]]]


def mixing_noise(n):
    return torch.randn(n, args["latent"])


generator = nn.Sequential(nn.Linear(8, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 2))
discriminator = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
g_ema = copy.deepcopy(generator).eval()
requires_grad(g_ema, False)
g_optim = torch.optim.Adam(generator.parameters(), lr=args["lr"], betas=(0.0, 0.99))
d_optim = torch.optim.Adam(discriminator.parameters(), lr=args["lr"], betas=(0.0, 0.99))
watch = watch(
    generator,
    discriminator,
    loss="non_saturating",
    penalty=("r1", args["r1"]),
    optimizers=(g_optim, d_optim),
    sample=lambda: g_ema(mixing_noise(500)),
    ema=g_ema,
    held_out=data.roll(500, "held"),
)
loader = sample_data(data.roll(4096))
for i in range(steps):
    real_img = next(loader)
    requires_grad(generator, False)
    requires_grad(discriminator, True)
    fake_img = generator(mixing_noise(args["batch"]))
    d_loss = d_logistic_loss(discriminator(real_img), discriminator(fake_img))
    discriminator.zero_grad()
    d_loss.backward()
    d_optim.step()

    if i % args["d_reg_every"] == 0:
        real_leaf = real_img.clone().requires_grad_(True)
        real_pred = discriminator(real_leaf)
        r1_loss = d_r1_loss(real_pred, real_leaf)
        discriminator.zero_grad()
        (args["r1"] / 2 * r1_loss * args["d_reg_every"] + 0 * real_pred[0].sum()).backward()
        d_optim.step()

    requires_grad(generator, True)
    requires_grad(discriminator, False)
    noise = mixing_noise(args["batch"])
    g_loss = g_nonsaturating_loss(discriminator(generator(noise)))
    generator.zero_grad()
    g_loss.backward()
    g_optim.step()
    accumulate(g_ema, generator, args["ema"])
    watch.step(real_img, noise)
