import torch
from torch import nn
from torch.nn.functional import relu


def build(width=64, z_dim=4):
    g = nn.Sequential(nn.Linear(z_dim, width), nn.Softplus(), nn.Linear(width, width), nn.Softplus(), nn.Linear(width, 2))
    f = nn.Sequential(nn.Linear(2, width), nn.Softplus(2), nn.Linear(width, width), nn.Softplus(2), nn.Linear(width, 1))
    return g, f


def lipschitz_penalty(f, x, y, weight):
    t = torch.rand(len(x), 1)
    mid = t * x + (1 - t) * y
    mid.requires_grad_(True)
    slope = torch.autograd.grad(f(mid).sum(), mid, create_graph=True)[0].norm(dim=-1)
    return weight * relu(slope - 1).pow(2).mean()


def critic_closure(f, opt, x, y, weight):
    def closure():
        opt.zero_grad()
        loss = f(y).mean() - f(x).mean()
        loss = loss + lipschitz_penalty(f, x, y, weight)
        loss.backward()
        return loss
    return closure


def generator_closure(g, f, opt, z):
    def closure():
        opt.zero_grad()
        loss = -f(g(z)).mean()
        loss.backward()
        return loss
    return closure


def fit(x_train, x_test, turns, n_critic=3, weight=10.0, z_dim=4, batch=100):
    g, f = build(z_dim=z_dim)
    opt_g = torch.optim.Adam(g.parameters(), lr=1.5e-3, betas=(0.5, 0.9))
    opt_f = torch.optim.Adam(f.parameters(), lr=5e-3, betas=(0.5, 0.9))
    noise = lambda n: torch.randn(n, z_dim)

    def sample(n=500):
        with torch.no_grad():
            return g(noise(n))

    monitor = watch(g, f, loss="wasserstein", penalty=("gp1", 10.0), optimizers=(opt_g, opt_f), sample=sample, held_out=x_test)
    for turn in range(turns):
        for _ in range(n_critic):
            x = x_train[torch.randint(len(x_train), (batch,))]
            with torch.no_grad():
                y = g(noise(batch))
            opt_f.step(critic_closure(f, opt_f, x, y, weight))
        z = noise(batch)
        opt_g.step(generator_closure(g, f, opt_g, z))
        monitor.step(x, z)
    return g, f


torch.manual_seed(seed)
fit(data.grid()[0], data.grid(500, key=1)[0], steps)
