# relativistic pairing, bf16 where it can be
import torch
from torch import nn
from torch.nn.functional import softplus

torch.manual_seed(seed)
nz, bs = 6, 128
stage = torch.autocast(device_type="cpu", dtype=torch.bfloat16)


def net(i, o, norm=False):
    mid = [nn.LayerNorm(64)] if norm else []
    return nn.Sequential(nn.Linear(i, 64), nn.SiLU(), nn.Linear(64, 64), *mid, nn.SiLU(), nn.Linear(64, o))


G = net(nz, 2)
D = net(2, 1, norm=True)
optG = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=1e-4)
optD = torch.optim.AdamW(D.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=1e-4)
X = data.star(4096)
gamma = 0.2


def r1(x):
    x = x.detach().requires_grad_(True)
    out = D(x)
    g = torch.autograd.grad(out.sum(), x, create_graph=True)[0]
    return g.square().sum(1).mean()


def train_d(x, z):
    optD.zero_grad(set_to_none=True)
    with stage:
        fake = G(z).float().detach()
        diff = D(x) - D(fake)
        loss = softplus(-diff.float()).mean()
    loss = loss + gamma / 2 * r1(x)
    loss.backward()
    nn.utils.clip_grad_norm_(D.parameters(), 10.0)
    optD.step()
    return loss.item()


def train_g(x, z):
    optG.zero_grad(set_to_none=True)
    with stage:
        fake = G(z).float()
        diff = D(fake) - D(x)
        loss = softplus(-diff.float()).mean()
    loss.backward()
    nn.utils.clip_grad_norm_(G.parameters(), 10.0)
    optG.step()
    return loss.item()


def show():
    return G(torch.randn(500, nz))


watch = watch(
    G,
    D,
    loss="relativistic",
    penalty=("r1", gamma),
    optimizers=(optG, optD),
    sample=show,
    held_out=data.star(500, "held"),
)
for t in range(steps):
    x = X[torch.randperm(len(X))[:bs]]
    train_d(x, torch.randn(bs, nz))
    z = torch.randn(bs, nz)
    train_g(x, z)
    watch.step(x, z)
