"""WGAN-GP for short signals, gradient penalty written out."""
import torch, itertools
from torch import nn, autograd
import torch.nn.functional as F

LAMBDA, CRITIC_ITERS, BATCH, Z = 10, 4, 48, 8
torch.manual_seed(seed)
signals, held = data.waves(), data.waves(500, key=1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv1d(1, 8, 5, 2, 2)
        self.l2 = nn.Linear(8 * 16, 64)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        x = F.leaky_relu(self.c1(x), 0.2)
        x = F.leaky_relu(self.l2(x.flatten(1)), 0.2)
        return self.out(x)


class Gen(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(Z, 96)
        self.l2 = nn.Linear(96, 96)
        self.l3 = nn.Linear(96, 32)

    def forward(self, z):
        h = F.relu(self.l1(z))
        h = F.relu(self.l2(h))
        return torch.tanh(self.l3(h)).unsqueeze(1)


def calc_gradient_penalty(netD, real_data, fake_data):
    alpha = torch.rand(real_data.size(0), 1, 1)
    interpolates = alpha * real_data + (1 - alpha) * fake_data
    interpolates = interpolates.detach().requires_grad_(True)
    disc_interpolates = netD(interpolates)
    gradients = autograd.grad(outputs=disc_interpolates, inputs=interpolates,
                              grad_outputs=torch.ones(disc_interpolates.size()),
                              create_graph=True, retain_graph=True, only_inputs=True)[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * LAMBDA


D, G = Net(), Gen()
optD = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.0, 0.9))
optG = torch.optim.Adam(G.parameters(), lr=6e-4, betas=(0.0, 0.9))


def inf_train_gen():
    while True:
        yield signals[torch.randint(0, len(signals), (BATCH,))]


def generate(n=500):
    with torch.no_grad():
        return G(torch.randn(n, Z))


mon = watch(G, D, loss="wasserstein", penalty=("gp", 10.0), optimizers={"generator": optG, "critic": optD}, sample=generate, held_out=held)
gen = inf_train_gen()
for iteration in range(steps):
    for p in D.parameters():
        p.requires_grad = True
    for _ in range(CRITIC_ITERS):
        real = next(gen)
        D.zero_grad()
        D_real = D(real).mean()
        noise = torch.randn(BATCH, Z)
        fake = G(noise).detach()
        D_fake = D(fake).mean()
        gradient_penalty = calc_gradient_penalty(D, real, fake)
        D_cost = D_fake - D_real + gradient_penalty
        D_cost.backward()
        Wasserstein_D = (D_real - D_fake).item()
        optD.step()
    for p in D.parameters():
        p.requires_grad = False
    G.zero_grad()
    noise = torch.randn(BATCH, Z)
    fake = G(noise)
    G_cost = -D(fake).mean()
    G_cost.backward()
    optG.step()
    mon.step(real, noise)
