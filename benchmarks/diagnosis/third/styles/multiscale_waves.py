import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import weight_norm
import warnings; warnings.filterwarnings("ignore")


def WNConv(*a, **k):
    return weight_norm(nn.Conv1d(*a, **k))


class Vocoder(nn.Module):
    def __init__(self, n_z=10, ngf=12):
        super().__init__()
        self.start = nn.Linear(n_z, ngf * 8)
        self.model = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), nn.Conv1d(ngf, ngf, 5, padding=2),
            nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), nn.Conv1d(ngf, ngf, 5, padding=2),
            nn.LeakyReLU(0.2), nn.Conv1d(ngf, 1, 5, padding=2), nn.Tanh())

    def forward(self, z):
        h = self.start(z)
        return self.model(h.view(len(z), -1, 8))


class OneScale(nn.Module):
    def __init__(self, ndf=8):
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Sequential(WNConv(1, ndf, 5, padding=2), nn.LeakyReLU(0.2)),
            nn.Sequential(WNConv(ndf, ndf * 2, 5, stride=2, padding=2), nn.LeakyReLU(0.2)),
            nn.Sequential(WNConv(ndf * 2, ndf * 2, 5, stride=2, padding=2), nn.LeakyReLU(0.2)),
            WNConv(ndf * 2, 1, 3, padding=1)])

    def forward(self, x):
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps


class MultiScale(nn.Module):
    """Two judges, the second hears the signal at half the rate."""

    def __init__(self):
        super().__init__()
        self.judges = nn.ModuleList([OneScale(), OneScale()])
        self.down = nn.AvgPool1d(4, 2, 1, count_include_pad=False)

    def features(self, x):
        out = []
        for judge in self.judges:
            out.append(judge(x))
            x = self.down(x)
        return out

    def forward(self, x):
        return [maps[-1] for maps in self.features(x)]


torch.manual_seed(seed)
clips, held_clips = data.waves(), data.waves(500, key=1)
netG, netD = Vocoder(), MultiScale()
optG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.9))
optD = torch.optim.Adam(netD.parameters(), lr=7e-4, betas=(0.5, 0.9))
lambda_feat = 0.3


def synthesise(n=500):
    netG.eval()
    with torch.no_grad():
        y = netG(torch.randn(n, 10))
    netG.train()
    return y


monitor = watch(netG, netD, loss="hinge", optimizers=(optG, optD), sample=synthesise, held_out=held_clips)
step = 0
while step < steps:
    order = torch.randperm(len(clips))
    for chunk in order.split(32)[:-1]:
        x_t = clips[chunk]
        z_t = torch.randn(len(x_t), 10)
        x_pred_t = netG(z_t)

        D_fake_det = netD(x_pred_t.detach())
        D_real = netD(x_t)
        loss_D = 0
        for scale in D_fake_det:
            loss_D += F.relu(1 + scale).mean()
        for scale in D_real:
            loss_D += F.relu(1 - scale).mean()
        netD.zero_grad()
        loss_D.backward()
        optD.step()

        D_fake = netD.features(x_pred_t)
        with torch.no_grad():
            D_target = netD.features(x_t)
        loss_G = 0
        for maps in D_fake:
            loss_G += -maps[-1].mean()
        loss_feat = 0
        for maps, targets in zip(D_fake, D_target):
            for a, b in zip(maps[:-1], targets[:-1]):
                loss_feat += F.l1_loss(a.mean(0), b.mean(0))
        netG.zero_grad()
        (loss_G + lambda_feat * loss_feat).backward()
        optG.step()

        monitor.step(x_t, z_t)
        step += 1
        if step == steps:
            break
