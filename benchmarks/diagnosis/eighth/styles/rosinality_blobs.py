import math

import torch
from torch import autograd, nn, optim
from torch.nn import functional as F

torch.manual_seed(seed)


class args:
    batch = 32
    latent = 12
    r1 = 1.0
    path_regularize = 0.3
    d_reg_every = 4
    g_reg_every = 4
    lr = 0.005


def requires_grad(model, flag=True):
    for p in model.parameters():
        p.requires_grad = flag


def accumulate(model1, model2, decay=0.9):
    par1 = dict(model1.named_parameters())
    par2 = dict(model2.named_parameters())
    for k in par1.keys():
        par1[k].data.mul_(decay).add_(par2[k].data, alpha=1 - decay)


def sample_data(images):
    while True:
        order = torch.randperm(len(images))
        for at in range(0, len(images) - args.batch + 1, args.batch):
            yield images[order[at : at + args.batch]]


def d_logistic_loss(real_pred, fake_pred):
    real_loss = F.softplus(-real_pred)
    fake_loss = F.softplus(fake_pred)
    return real_loss.mean() + fake_loss.mean()


def d_r1_loss(real_pred, real_img):
    (grad_real,) = autograd.grad(outputs=real_pred.sum(), inputs=real_img, create_graph=True)
    grad_penalty = grad_real.pow(2).reshape(grad_real.shape[0], -1).sum(1).mean()
    return grad_penalty


def g_nonsaturating_loss(fake_pred):
    return F.softplus(-fake_pred).mean()


def g_path_regularize(fake_img, latents, mean_path_length, decay=0.05):
    noise = torch.randn_like(fake_img) / math.sqrt(fake_img.shape[2] * fake_img.shape[3])
    (grad,) = autograd.grad(outputs=(fake_img * noise).sum(), inputs=latents, create_graph=True)
    path_lengths = torch.sqrt(grad.pow(2).sum(1) + 1e-8)
    path_mean = mean_path_length + decay * (path_lengths.mean() - mean_path_length)
    path_penalty = (path_lengths - path_mean).pow(2).mean()
    return path_penalty, path_mean.detach(), path_lengths


class PixelNorm(nn.Module):
    def forward(self, input):
        return input * torch.rsqrt(torch.mean(input**2, dim=1, keepdim=True) + 1e-8)


class Generator(nn.Module):
    def __init__(self, style_dim, width=64):
        super().__init__()
        self.style = nn.Sequential(
            PixelNorm(), nn.Linear(style_dim, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2)
        )
        self.const = nn.Parameter(torch.randn(1, width))
        self.affine1, self.affine2 = nn.Linear(32, width), nn.Linear(32, width)
        self.layer1, self.layer2 = nn.Linear(width, width), nn.Linear(width, width)
        self.to_img = nn.Linear(width, 64)

    def forward(self, styles, return_latents=False):
        latent = self.style(styles)
        out = F.leaky_relu(self.layer1(self.const * (1 + self.affine1(latent))), 0.2)
        out = F.leaky_relu(self.layer2(out * (1 + self.affine2(latent))), 0.2)
        image = self.to_img(out).view(-1, 1, 8, 8)
        return (image, latent) if return_latents else image


class Discriminator(nn.Module):
    def __init__(self, width=80):
        super().__init__()
        self.convs = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.LeakyReLU(0.2))
        self.final_linear = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, input):
        return self.final_linear(self.convs(input))


loader = sample_data(data.blobs(2048))
generator, discriminator, g_ema = Generator(args.latent), Discriminator(), Generator(args.latent)
g_ema.eval()
accumulate(g_ema, generator, 0)
g_reg_ratio = args.g_reg_every / (args.g_reg_every + 1)
d_reg_ratio = args.d_reg_every / (args.d_reg_every + 1)
g_optim = optim.Adam(
    generator.parameters(), lr=args.lr * g_reg_ratio, betas=(0**g_reg_ratio, 0.99**g_reg_ratio)
)
d_optim = optim.Adam(
    discriminator.parameters(), lr=args.lr * d_reg_ratio, betas=(0**d_reg_ratio, 0.99**d_reg_ratio)
)
mean_path_length = 0
monitor = watch(
    generator,
    discriminator,
    loss="non_saturating",
    penalty=("r1", args.r1),
    optimizers=(g_optim, d_optim),
    sample=lambda: g_ema(torch.randn(500, args.latent)),
    ema=g_ema,
    held_out=data.blobs(500, "held"),
)
for i in range(steps):
    real_img = next(loader)
    requires_grad(generator, False)
    requires_grad(discriminator, True)
    noise = torch.randn(args.batch, args.latent)
    fake_img = generator(noise)
    fake_pred = discriminator(fake_img)
    real_pred = discriminator(real_img)
    d_loss = d_logistic_loss(real_pred, fake_pred)
    discriminator.zero_grad()
    d_loss.backward()
    d_optim.step()

    d_regularize = i % args.d_reg_every == 0
    if d_regularize:
        real_img.requires_grad = True
        real_pred = discriminator(real_img)
        r1_loss = d_r1_loss(real_pred, real_img)
        discriminator.zero_grad()
        (args.r1 / 2 * r1_loss * args.d_reg_every + 0 * real_pred[0]).backward()
        d_optim.step()

    requires_grad(generator, True)
    requires_grad(discriminator, False)
    noise = torch.randn(args.batch, args.latent)
    fake_img = generator(noise)
    fake_pred = discriminator(fake_img)
    g_loss = g_nonsaturating_loss(fake_pred)
    generator.zero_grad()
    g_loss.backward()
    g_optim.step()

    g_regularize = i % args.g_reg_every == 0
    if g_regularize:
        reg_noise = torch.randn(args.batch // 2, args.latent)
        fake_img, latents = generator(reg_noise, return_latents=True)
        path_loss, mean_path_length, path_lengths = g_path_regularize(fake_img, latents, mean_path_length)
        generator.zero_grad()
        weighted_path_loss = args.path_regularize * args.g_reg_every * path_loss
        weighted_path_loss += 0 * fake_img[0, 0, 0, 0]
        weighted_path_loss.backward()
        g_optim.step()

    accumulate(g_ema, generator)
    monitor.step(real_img.detach(), noise)
