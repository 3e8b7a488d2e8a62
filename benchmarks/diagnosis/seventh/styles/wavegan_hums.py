# raw waves, one-dimensional convolutions, phase shuffle
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)
BATCH, NZ, LR, R1_GAMMA, SHUFFLE = 32, 12, 2e-3, 0.5, 1


class PhaseShuffle(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, x):
        if self.n == 0 or not self.training:
            return x
        k = int(torch.randint(-self.n, self.n + 1, (1,)))
        return torch.roll(x, k, 2)


class WaveGenerator(nn.Module):
    def __init__(self, d=8):
        super().__init__()
        self.d = d
        self.fc = nn.Linear(NZ, 4 * d * 8)
        self.up1 = nn.ConvTranspose1d(4 * d, 2 * d, 4, 2, 1)
        self.up2 = nn.ConvTranspose1d(2 * d, 1, 4, 2, 1)

    def forward(self, z):
        h = F.relu(self.fc(z)).view(-1, 4 * self.d, 8)
        h = F.relu(self.up1(h))
        return torch.tanh(self.up2(h))


class WaveDiscriminator(nn.Module):
    def __init__(self, d=12):
        super().__init__()
        self.c1 = nn.Conv1d(1, d, 8, 2, 3, padding_mode="circular")
        self.ps = PhaseShuffle(SHUFFLE)
        self.c2 = nn.Conv1d(d, 2 * d, 8, 2, 3, padding_mode="circular")
        self.fc = nn.Linear(2 * d * 8, 1)

    def forward(self, x):
        h = self.ps(F.leaky_relu(self.c1(x), 0.2))
        h = F.leaky_relu(self.c2(h), 0.2)
        return self.fc(h.flatten(1))


gen, dis = WaveGenerator(), WaveDiscriminator()
optim_g = torch.optim.Adam(gen.parameters(), LR, betas=(0.5, 0.9))
optim_d = torch.optim.Adam(dis.parameters(), LR, betas=(0.5, 0.9))
audio = data.hums(2500)


def batches():
    while True:
        order = torch.randperm(len(audio))
        for chunk in order.split(BATCH)[:-1]:
            yield audio[chunk]


def r1(x, score):
    g, = torch.autograd.grad(score.sum(), x, create_graph=True)
    return g.square().flatten(1).sum(1).mean()


monitor = watch(
    gen,
    dis,
    loss="non_saturating",
    penalty=("r1", R1_GAMMA),
    optimizers=(optim_g, optim_d),
    sample=lambda: gen(torch.randn(500, NZ)),
    held_out=data.hums(500, "held"),
)
stream = batches()
for i in range(steps):
    wave = next(stream).requires_grad_(True)
    z = torch.randn(BATCH, NZ)
    optim_d.zero_grad(set_to_none=True)
    score_real = dis(wave)
    score_fake = dis(gen(z).detach())
    loss_d = F.softplus(-score_real).mean() + F.softplus(score_fake).mean()
    loss_d = loss_d + 0.5 * R1_GAMMA * r1(wave, score_real)
    loss_d.backward()
    optim_d.step()

    z = torch.randn(BATCH, NZ)
    optim_g.zero_grad(set_to_none=True)
    loss_g = F.softplus(-dis(gen(z))).mean()
    loss_g.backward()
    optim_g.step()
    monitor.step(wave.detach(), z)
