"""Sets of points: critic by a sum over points, WGAN-GP."""
import torch
from torch import autograd, nn, optim

torch.manual_seed(seed)
use = dict(dim=48, z=12, points=10, batch=48, lam=1.0, critic_iters=2, lr=4e-3)


class PointGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.code = nn.Sequential(nn.Linear(4, use["dim"]), nn.ReLU(), nn.Linear(use["dim"], use["dim"]), nn.ReLU())
        self.point = nn.Sequential(nn.Linear(use["dim"] + 2, use["dim"]), nn.ReLU(), nn.Linear(use["dim"], 2))

    def forward(self, z):
        """first four latents for the set, two more for each of the points"""
        code = self.code(z[:, :4])[:, None].expand(-1, use["points"], -1)
        each = z[:, 4:].reshape(len(z), use["points"], 2)
        return self.point(torch.cat((code, each), 2))


class SetCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(2, use["dim"]), nn.LeakyReLU(0.2), nn.Linear(use["dim"], use["dim"]))
        self.rho = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(use["dim"], use["dim"]), nn.LeakyReLU(0.2), nn.Linear(use["dim"], 1))

    def forward(self, x):
        return self.rho(self.phi(x).mean(1))


netG, netD = PointGenerator(), SetCritic()
optimizerD = optim.Adam(netD.parameters(), lr=use["lr"], betas=(0.0, 0.9))
optimizerG = optim.Adam(netG.parameters(), lr=use["lr"], betas=(0.0, 0.9))
train, test = data.clouds(3000), data.clouds(500, "held")


def noise(n):
    return torch.randn(n, 4 + 2 * use["points"])


def calc_gradient_penalty(netD, real_data, fake_data):
    alpha = torch.rand(real_data.size(0), 1, 1)
    interpolates = alpha * real_data + (1 - alpha) * fake_data
    interpolates = autograd.Variable(interpolates, requires_grad=True)
    disc_interpolates = netD(interpolates)
    gradients = autograd.grad(
        outputs=disc_interpolates,
        inputs=interpolates,
        grad_outputs=torch.ones(disc_interpolates.size()),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.reshape(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * use["lam"]


def describe(x):
    """centre, spread and sorted distances from the centre, as the order of points means nothing"""
    c = x.mean(1, keepdim=True)
    d = x - c
    cov = d.transpose(1, 2) @ d / x.shape[1]
    return torch.cat((c[:, 0], 3 * cov.flatten(1), d.norm(dim=2).sort(1).values), 1)


def judge():
    return describe(netG(noise(500))), describe(test)


watcher = watch(
    netG,
    netD,
    loss="wasserstein",
    penalty=("gp", use["lam"]),
    optimizers=(optimizerG, optimizerD),
    sample=lambda: netG(noise(500)),
    held_out=test,
)
for iteration in range(steps):
    for p in netD.parameters():
        p.requires_grad = True
    for iter_d in range(use["critic_iters"]):
        real_data = train[torch.randperm(len(train))[: use["batch"]]]
        netD.zero_grad()
        D_real = netD(real_data).mean()
        z = noise(use["batch"])
        with torch.no_grad():
            fake = netG(z)
        D_fake = netD(fake).mean()
        gradient_penalty = calc_gradient_penalty(netD, real_data, fake)
        D_cost = D_fake - D_real + gradient_penalty
        D_cost.backward()
        optimizerD.step()
    for p in netD.parameters():
        p.requires_grad = False
    netG.zero_grad()
    z = noise(use["batch"])
    G_cost = -netD(netG(z)).mean()
    G_cost.backward()
    optimizerG.step()
    watcher.step(real_data, z)
