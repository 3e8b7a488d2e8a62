"""Both players as pure functions of their parameters (torch.func)."""
from functools import partial

import torch
import torch.nn as nn
from torch.func import functional_call, grad_and_value

torch.manual_seed(seed)
train_x, _ = data.moons()
valid_x, _ = data.moons(500, key=1)


def make_net(sizes):
    mods = []
    for a, b in zip(sizes[:-2], sizes[1:-1]):
        mods += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*mods, nn.Linear(sizes[-2], sizes[-1]))


gen, disc = make_net([4, 64, 64, 2]), make_net([2, 64, 64, 1])
gen_params, disc_params = dict(gen.named_parameters()), dict(disc.named_parameters())
gen_tx = torch.optim.Adam(gen_params.values(), lr=1e-3, betas=(0.0, 0.9))
disc_tx = torch.optim.Adam(disc_params.values(), lr=1e-3, betas=(0.0, 0.9))


def disc_objective(dp, gp, x, z):
    fake = functional_call(gen, gp, (z,))
    s_real = functional_call(disc, dp, (x,))
    s_fake = functional_call(disc, dp, (fake,))
    return torch.relu(1 - s_real).mean() + torch.relu(1 + s_fake).mean()


def gen_objective(gp, dp, z):
    fake = functional_call(gen, gp, (z,))
    return -functional_call(disc, dp, (fake,)).mean()


def update(tx, params, grads):
    for name, p in params.items():
        p.grad = grads[name]
    torch.nn.utils.clip_grad_norm_(params.values(), 5.0)
    tx.step()


def train_step(x, z):
    g_d, l_d = grad_and_value(disc_objective)({k: v.detach() for k, v in disc_params.items()}, {k: v.detach() for k, v in gen_params.items()}, x, z)
    update(disc_tx, disc_params, g_d)
    g_g, l_g = grad_and_value(gen_objective)({k: v.detach() for k, v in gen_params.items()}, {k: v.detach() for k, v in disc_params.items()}, z)
    update(gen_tx, gen_params, g_g)
    return l_d, l_g


@torch.no_grad()
def sample(n=500):
    return gen(torch.randn(n, 4))


monitor = watch(gen, disc, loss="hinge", optimizers=(gen_tx, disc_tx), sample=sample, held_out=valid_x)
for i in range(steps):
    x = train_x[torch.randint(len(train_x), (128,))]
    z = torch.randn(128, 4)
    l_d, l_g = train_step(x, z)
    monitor.step(x, z)
