import itertools

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

CONFIG = {
    "seed": seed,
    "iters": steps,
    "batch": 48,
    "nz": 16,
    "hidden": 96,
    "norm": None,
    "final": "tanh",
    "lr_d": 1e-3,
    "lr_g": 1e-3,
    "betas": (0.0, 0.9),
    "lambda": 10.0,
    "n_critic": 3,
    "warm_start": {"iters": 3, "n_critic": 10},
    "periodic": {"every": 50, "n_critic": 10},
    "dataset": {"rows": None, "scale": 16, "shuffle": True},
}


def mlp(sizes, norm=None, last=None):
    layers = []
    for a, b in zip(sizes[:-2], sizes[1:-1]):
        layers.append(nn.Linear(a, b))
        if norm == "batch":
            layers.append(nn.BatchNorm1d(b))
        elif norm == "layer":
            layers.append(nn.LayerNorm(b))
        layers.append(nn.LeakyReLU(0.2))
    layers.append(nn.Linear(sizes[-2], sizes[-1]))
    if last == "tanh":
        layers.append(nn.Tanh())
    elif last == "sigmoid":
        layers.append(nn.Sigmoid())
    elif last == "relu":
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def train(config):
    torch.manual_seed(config["seed"])
    x = data.digits()[0].flatten(1) / config["dataset"]["scale"] * 2 - 1
    x = x[: config["dataset"]["rows"]]
    loader = DataLoader(TensorDataset(x), config["batch"], shuffle=config["dataset"]["shuffle"], drop_last=True)
    batches = (b[0] for b in itertools.chain.from_iterable(itertools.repeat(loader)))
    h, nz, bs = config["hidden"], config["nz"], config["batch"]
    G = mlp([nz, h, h, 64], norm="batch", last=config["final"])
    D = mlp([64, h, h, 1], norm=config["norm"])
    opt_g = torch.optim.Adam(G.parameters(), lr=config["lr_g"], betas=config["betas"])
    opt_d = torch.optim.Adam(D.parameters(), lr=config["lr_d"], betas=config["betas"])
    monitor = watch(
        G,
        D,
        loss="wasserstein",
        penalty=("gp", config["lambda"]),
        optimizers=(opt_g, opt_d),
        sample=lambda: G(torch.randn(500, nz)),
        held_out=data.digits("held")[0].flatten(1) / 8 - 1,
    )
    log = {"d": [], "g": [], "gp": []}
    for it in range(config["iters"]):
        n_critic = config["n_critic"]
        if it < config["warm_start"]["iters"] or it % config["periodic"]["every"] == 0:
            n_critic = config["warm_start"]["n_critic"]
        for p in D.parameters():
            p.requires_grad = True
        for _ in range(n_critic):
            D.zero_grad()
            real = next(batches)
            with torch.no_grad():
                fake = G(torch.randn(bs, nz))
            eps = torch.rand(bs, 1)
            mix = (eps * real + (1 - eps) * fake).requires_grad_(True)
            slope = torch.autograd.grad(D(mix).sum(), mix, create_graph=True)[0]
            gp = config["lambda"] * ((slope.norm(2, dim=1) - 1) ** 2).mean()
            d_loss = D(fake).mean() - D(real).mean() + gp
            d_loss.backward()
            opt_d.step()
        for p in D.parameters():
            p.requires_grad = False
        G.zero_grad()
        z = torch.randn(bs, nz)
        g_loss = -D(G(z)).mean()
        g_loss.backward()
        opt_g.step()
        for k, v in zip(("d", "g", "gp"), (d_loss, g_loss, gp)):
            log[k].append(v.item())
        monitor.step(real, z)
    return log


log = train(CONFIG)
