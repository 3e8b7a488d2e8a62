# synthetic clients; gradients through torch.autograd.grad, put where the optimisers look for them
import torch, torch.nn as nn, torch.nn.functional as F
from torch.autograd import grad

torch.manual_seed(seed)
X, X_test = data.clients(), data.clients(500, key=1)
cfg = dict(z=8, h=64, batch=100, gamma=0.2, lr_g=1e-3, lr_d=2e-3)

class Synth(nn.Module):
    def __init__(s, z, h):
        super().__init__()
        s.trunk = nn.Sequential(nn.Linear(z, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU())
        s.numbers, s.kind = nn.Linear(h, 4), nn.Linear(h, 3)
    def forward(s, z):
        t = s.trunk(z)
        return torch.cat([s.numbers(t), F.softmax(3 * s.kind(t), -1)], -1)

G = Synth(cfg["z"], cfg["h"])
D = nn.Sequential(nn.Linear(7, cfg["h"]), nn.LeakyReLU(.2), nn.Linear(cfg["h"], cfg["h"]), nn.LeakyReLU(.2), nn.Linear(cfg["h"], 1))
theta, phi = list(G.parameters()), list(D.parameters())
opt_theta = torch.optim.Adam(theta, cfg["lr_g"], (0.5, 0.99))
opt_phi = torch.optim.Adam(phi, cfg["lr_d"], (0.5, 0.99))

def put(params, grads):
    for p, g in zip(params, grads):
        p.grad = g.detach().clone()

def draw_rows():
    return X[torch.randint(len(X), (cfg["batch"],))]

def latent(n):
    return torch.randn(n, cfg["z"])

def synthetic(n=500):
    with torch.no_grad():
        return G(latent(n))

w = watch(G, D, loss="non_saturating", penalty=("r1", 0.2), optimizers=(opt_theta, opt_phi), sample=synthetic, held_out=X_test)
for t in range(steps):
    x, z = draw_rows(), latent(cfg["batch"])
    # discriminator
    x_in = x.clone().requires_grad_()
    y = G(z).detach()
    a, b = D(x_in), D(y)
    slope, = grad(a.sum(), x_in, create_graph=True)
    r1 = slope.square().sum(1).mean()
    loss_phi = F.softplus(-a).mean() + F.softplus(b).mean() + cfg["gamma"] / 2 * r1
    put(phi, grad(loss_phi, phi))
    opt_phi.step()
    # generator
    z = latent(cfg["batch"])
    loss_theta = F.softplus(-D(G(z))).mean()
    put(theta, grad(loss_theta, theta))
    opt_theta.step()
    w.step(x, z)
