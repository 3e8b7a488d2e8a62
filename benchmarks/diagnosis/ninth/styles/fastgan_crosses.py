import argparse
from copy import deepcopy

import torch
import torch.nn.functional as F
from tightrope import View
from torch import nn, optim

torch.manual_seed(seed)
policy = "color,translation"


def rand_brightness(x):
    return x + 0.4 * (torch.rand(x.size(0), 1, 1, 1) - 0.5)


def rand_translation(x):
    shift_i, shift_j = torch.randint(-1, 2, (2,)).tolist()
    return torch.roll(x, (shift_i, shift_j), (2, 3))


AUGMENT_FNS = {"color": rand_brightness, "translation": rand_translation}


def DiffAugment(x, policy=""):
    for p in filter(None, policy.split(",")):
        x = AUGMENT_FNS[p](x)
    return x.contiguous()


def copy_G_params(model):
    return deepcopy([p.data for p in model.parameters()])


def load_params(model, new_param):
    for p, new_p in zip(model.parameters(), new_param):
        p.data.copy_(new_p)


class SEBlock(nn.Module):
    def __init__(self, ch_in, ch_out):
        super().__init__()
        self.main = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(ch_in, ch_out, 1), nn.SiLU(), nn.Conv2d(ch_out, ch_out, 1), nn.Sigmoid())

    def forward(self, feat_small, feat_big):
        return feat_big * self.main(feat_small)


def UpBlock(in_planes, out_planes):
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(in_planes, out_planes * 2, 3, 1, 1), nn.BatchNorm2d(out_planes * 2, momentum=0.2), nn.GLU(dim=1))


class Generator(nn.Module):
    def __init__(self, ngf=16, nz=16):
        super().__init__()
        self.init = nn.Sequential(nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0), nn.GLU(dim=1))
        self.feat_4, self.feat_8 = UpBlock(ngf, ngf), UpBlock(ngf, ngf)
        self.se_8 = SEBlock(ngf, ngf)
        self.to_big = nn.Conv2d(ngf, 1, 3, 1, 1)

    def forward(self, noise):
        feat_2 = self.init(noise[:, :, None, None])
        feat_8 = self.se_8(feat_2, self.feat_8(self.feat_4(feat_2)))
        return torch.tanh(self.to_big(feat_8))


class Discriminator(nn.Module):
    def __init__(self, ndf=16):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, ndf, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(ndf, ndf, 4, 2, 1), nn.LeakyReLU(0.2)
        )
        self.rf = nn.Sequential(nn.Conv2d(ndf, ndf, 1), nn.LeakyReLU(0.2), nn.Conv2d(ndf, 1, 4))
        self.decoder = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(ndf, 1, 3, 1, 1), nn.Tanh())

    def forward(self, imgs):
        feat = self.down(imgs)
        rf = self.rf(feat).view(-1)
        return rf, self.decoder(feat)


def train_d(net, data, label="real"):
    """Train function of discriminator"""
    if label == "real":
        pred, rec_all = net(data)
        err = F.relu(1 - pred).mean() + args.rec * F.l1_loss(rec_all, data)
        err.backward()
        return pred.mean().item(), rec_all
    else:
        pred, _ = net(data)
        err = F.relu(1 + pred).mean()
        err.backward()
        return pred.mean().item()


parser = argparse.ArgumentParser(description="region gan")
parser.add_argument("--iter", type=int, default=steps)
parser.add_argument("--batch_size", type=int, default=24)
parser.add_argument("--rec", type=float, default=0.3)
args = parser.parse_args([])
nz, nlr, nbeta1 = 16, 0.002, 0.5


class InfiniteSampler(torch.utils.data.sampler.Sampler):
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        while True:
            yield from torch.randperm(self.size).tolist()

    def __len__(self):
        return 2**31


images = data.crosses(2048)
dataloader = iter(torch.utils.data.DataLoader(images, args.batch_size, sampler=InfiniteSampler(len(images))))
netG, netD = Generator(), Discriminator()
avg_param_G = copy_G_params(netG)
netG_ema = deepcopy(netG).eval().requires_grad_(False)
optimizerG = optim.Adam(netG.parameters(), lr=nlr, betas=(nbeta1, 0.999))
optimizerD = optim.Adam(netD.parameters(), lr=nlr, betas=(nbeta1, 0.999))


def sample(n=500):
    return netG_ema(torch.randn(n, nz))


monitor = watch(
    netG,
    View(netD, scores=lambda out: out[0]),
    loss="hinge",
    optimizers=(optimizerG, optimizerD),
    sample=sample,
    ema=netG_ema,
    held_out=data.crosses(500, "held"),
)
for iteration in range(args.iter):
    real_image = next(dataloader)
    current_batch_size = real_image.size(0)
    noise = torch.Tensor(current_batch_size, nz).normal_(0, 1)
    fake_images = netG(noise)
    real_image = DiffAugment(real_image, policy=policy)
    fake_images = DiffAugment(fake_images, policy=policy)

    ## 2. train Discriminator
    netD.zero_grad()
    err_dr, rec_img_all = train_d(netD, real_image, label="real")
    train_d(netD, fake_images.detach(), label="fake")
    optimizerD.step()

    ## 3. train Generator
    netG.zero_grad()
    pred_g, _ = netD(fake_images)
    err_g = -pred_g.mean()
    err_g.backward()
    optimizerG.step()
    for p, avg_p in zip(netG.parameters(), avg_param_G):
        avg_p.mul_(0.9).add_(0.1 * p.data)
    load_params(netG_ema, avg_param_G)
    for avg_b, b in zip(netG_ema.buffers(), netG.buffers()):
        avg_b.copy_(b)
    monitor.step(real_image, noise)
