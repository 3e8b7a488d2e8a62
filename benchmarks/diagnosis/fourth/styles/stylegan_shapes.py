import argparse
import math
import random
from copy import deepcopy

import torch
from torch import autograd, nn, optim
from torch.nn import functional as F
from torch.utils import data as tdata

from tightrope import View


class EqualLinear(nn.Module):
    def __init__(self, in_dim, out_dim, bias_init=0.0, lr_mul=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_dim, in_dim).div_(lr_mul))
        self.bias = nn.Parameter(torch.zeros(out_dim).fill_(bias_init))
        self.scale = (1 / math.sqrt(in_dim)) * lr_mul
        self.lr_mul = lr_mul

    def forward(self, x):
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_mul)


class EqualConv2d(nn.Module):
    def __init__(self, in_channel, out_channel, kernel, stride=1, padding=0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channel, in_channel, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channel))
        self.scale = 1 / math.sqrt(in_channel * kernel**2)
        self.stride, self.padding = stride, padding

    def forward(self, x):
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class StyledConv(nn.Module):
    def __init__(self, in_channel, out_channel, style_dim):
        super().__init__()
        self.conv = EqualConv2d(in_channel, out_channel, 3, padding=1)
        self.modulation = EqualLinear(style_dim, in_channel, bias_init=1.0)
        self.noise = nn.Parameter(torch.zeros(1))

    def forward(self, x, style):
        out = self.conv(x * self.modulation(style)[:, :, None, None])
        out = out * torch.rsqrt(out.square().mean((1, 2, 3), keepdim=True) + 1e-8)
        out = out + self.noise * torch.randn(out.shape[0], 1, *out.shape[2:])
        return F.leaky_relu(out, 0.2) * math.sqrt(2)


class Generator(nn.Module):
    def __init__(self, style_dim, channel=16):
        super().__init__()
        self.style = nn.Sequential(
            EqualLinear(style_dim, style_dim, lr_mul=0.1),
            nn.LeakyReLU(0.2),
            EqualLinear(style_dim, style_dim, lr_mul=0.1),
            nn.LeakyReLU(0.2),
        )
        self.input = nn.Parameter(torch.randn(1, channel, 4, 4))
        self.convs = nn.ModuleList(StyledConv(channel, channel, style_dim) for _ in range(3))
        self.to_rgb = EqualConv2d(channel, 3, 1)

    def forward(self, z, return_latents=False):
        latent = self.style(z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8))
        out = self.convs[0](self.input.repeat(len(z), 1, 1, 1), latent)
        out = self.convs[1](F.interpolate(out, scale_factor=2, mode="bilinear"), latent)
        out = self.convs[2](F.interpolate(out, scale_factor=2, mode="bilinear"), latent)
        image = self.to_rgb(out)
        return (image, latent) if return_latents else (image, None)


class Discriminator(nn.Module):
    def __init__(self, channel=16):
        super().__init__()
        self.convs = nn.Sequential(
            EqualConv2d(3, channel, 3, 2, 1),
            nn.LeakyReLU(0.2),
            EqualConv2d(channel, channel, 3, 2, 1),
            nn.LeakyReLU(0.2),
        )
        self.final_conv = EqualConv2d(channel + 1, channel, 3, padding=1)
        self.final_linear = nn.Sequential(EqualLinear(channel * 16, 32), nn.LeakyReLU(0.2), EqualLinear(32, 1))

    def forward(self, x):
        out = self.convs(x)
        stddev = torch.sqrt(out.var(0, unbiased=False) + 1e-8).mean().view(1, 1, 1, 1)
        out = torch.cat([out, stddev.repeat(len(x), 1, *out.shape[2:])], 1)
        return self.final_linear(F.leaky_relu(self.final_conv(out), 0.2).flatten(1))


def requires_grad(model, flag=True):
    for p in model.parameters():
        p.requires_grad = flag


def accumulate(model1, model2, decay=0.999):
    par1, par2 = dict(model1.named_parameters()), dict(model2.named_parameters())
    for k in par1:
        par1[k].data.mul_(decay).add_(par2[k].data, alpha=1 - decay)


def sample_data(loader):
    while True:
        for batch in loader:
            yield batch


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


def g_path_regularize(fake_img, latents, mean_path_length, decay=0.01):
    noise = torch.randn_like(fake_img) / math.sqrt(fake_img.shape[2] * fake_img.shape[3])
    (grad,) = autograd.grad(outputs=(fake_img * noise).sum(), inputs=latents, create_graph=True)
    path_lengths = torch.sqrt(grad.pow(2).sum(1) + 1e-8)
    path_mean = mean_path_length + decay * (path_lengths.mean() - mean_path_length)
    path_penalty = (path_lengths - path_mean).pow(2).mean()
    return path_penalty, path_mean.detach()


def train(args, loader, generator, discriminator, g_optim, d_optim, g_ema, monitor):
    loader = sample_data(loader)
    mean_path_length = 0
    for i in range(args.iter):
        real_img = next(loader)

        requires_grad(generator, False)
        requires_grad(discriminator, True)
        noise = torch.randn(args.batch, args.latent)
        fake_img, _ = generator(noise)
        fake_pred = discriminator(fake_img)
        real_pred = discriminator(real_img)
        d_loss = d_logistic_loss(real_pred, fake_pred)
        discriminator.zero_grad()
        d_loss.backward()
        d_optim.step()

        if i % args.d_reg_every == 0:
            real_img.requires_grad = True
            real_pred = discriminator(real_img)
            r1_loss = d_r1_loss(real_pred, real_img)
            discriminator.zero_grad()
            (args.r1 / 2 * r1_loss * args.d_reg_every + 0 * real_pred[0]).backward()
            d_optim.step()

        requires_grad(generator, True)
        requires_grad(discriminator, False)
        noise = torch.randn(args.batch, args.latent)
        fake_img, _ = generator(noise)
        fake_pred = discriminator(fake_img)
        g_loss = g_nonsaturating_loss(fake_pred)
        generator.zero_grad()
        g_loss.backward()
        g_optim.step()

        if i % args.g_reg_every == 0:
            path_noise = torch.randn(args.batch // 2, args.latent)
            fake_img, latents = generator(path_noise, return_latents=True)
            path_loss, mean_path_length = g_path_regularize(fake_img, latents, mean_path_length)
            generator.zero_grad()
            (args.path_regularize * args.g_reg_every * path_loss + 0 * fake_img[0, 0, 0, 0]).backward()
            g_optim.step()

        accumulate(g_ema, generator, args.ema)
        monitor.step(real_img, noise)


parser = argparse.ArgumentParser()
parser.add_argument("--iter", type=int, default=steps)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--latent", type=int, default=32)
parser.add_argument("--r1", type=float, default=2)
parser.add_argument("--path_regularize", type=float, default=0.05)
parser.add_argument("--d_reg_every", type=int, default=8)
parser.add_argument("--g_reg_every", type=int, default=4)
parser.add_argument("--lr", type=float, default=0.008)
parser.add_argument("--ema", type=float, default=0.9)
args = parser.parse_args([])

torch.manual_seed(seed)
random.seed(seed)
generator = Generator(args.latent)
discriminator = Discriminator()
g_ema = Generator(args.latent)
g_ema.eval()
accumulate(g_ema, generator, 0)
g_reg_ratio = args.g_reg_every / (args.g_reg_every + 1)
d_reg_ratio = args.d_reg_every / (args.d_reg_every + 1)
g_optim = optim.Adam(generator.parameters(), lr=args.lr * g_reg_ratio, betas=(0**g_reg_ratio, 0.99**g_reg_ratio))
d_optim = optim.Adam(discriminator.parameters(), lr=args.lr * d_reg_ratio, betas=(0**d_reg_ratio, 0.99**d_reg_ratio))


def transform(images):
    return (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5


dataset = transform(data.shapes(1500))
loader = tdata.DataLoader(dataset, batch_size=args.batch, sampler=tdata.RandomSampler(dataset), drop_last=True)


def sample():
    return g_ema(torch.randn(500, args.latent))[0]


monitor = watch(
    View(generator, scores=lambda out: out[0]),
    discriminator,
    loss="non_saturating",
    penalty=("r1", args.r1),
    optimizers=(g_optim, d_optim),
    sample=sample,
    ema=g_ema,
    held_out=transform(data.shapes(500, "held")),
)
train(args, loader, generator, discriminator, g_optim, d_optim, g_ema, monitor)
