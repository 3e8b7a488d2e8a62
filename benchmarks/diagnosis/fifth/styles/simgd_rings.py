# simultaneous gradient descent on both players, gradients by hand
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(seed)
cfg = dict(latent=4, hidden=48, batch=64, lr_g=0.1, lr_d=0.1, momentum=0.0, gamma=0.3)
x_train = data.rings(4096)


def mlp(a, b):
    return nn.Sequential(nn.Linear(a, cfg["hidden"]), nn.Tanh(), nn.Linear(cfg["hidden"], cfg["hidden"]), nn.Tanh(), nn.Linear(cfg["hidden"], b))


G = mlp(cfg["latent"], 2)
D = mlp(2, 1)
opt_g = torch.optim.SGD(G.parameters(), lr=cfg["lr_g"], momentum=cfg["momentum"])
opt_d = torch.optim.SGD(D.parameters(), lr=cfg["lr_d"], momentum=cfg["momentum"])


def sample_z(n=cfg["batch"]):
    return torch.randn(n, cfg["latent"])


def batch():
    return x_train[torch.randint(0, len(x_train), (cfg["batch"],))]


def r1(x):
    x = x.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return 0.5 * grad.pow(2).sum(1).mean()


def losses(x, z):
    fake = G(z)
    d_real, d_fake = D(x), D(fake)
    loss_d = F.softplus(-d_real).mean() + F.softplus(d_fake).mean()
    loss_d = loss_d + cfg["gamma"] * r1(x)
    loss_g = F.softplus(-d_fake).mean()
    return loss_g, loss_d


def put(module, grads):
    for p, g in zip(module.parameters(), grads):
        p.grad = g


w = watch(
    G,
    D,
    loss="non_saturating",
    penalty=("r1", 0.3),
    optimizers={"generator": opt_g, "critic": opt_d},
    sample=lambda: G(sample_z(500)),
    held_out=data.rings(500, "held"),
)

for it in range(steps):
    x, z = batch(), sample_z()
    loss_g, loss_d = losses(x, z)
    grads_d = torch.autograd.grad(loss_d, list(D.parameters()), retain_graph=True)
    grads_g = torch.autograd.grad(loss_g, list(G.parameters()))
    put(D, grads_d)
    put(G, grads_g)
    opt_d.step()
    opt_g.step()
    w.step(x, z)
