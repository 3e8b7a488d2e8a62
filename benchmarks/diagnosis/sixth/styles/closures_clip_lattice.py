# WGAN, clipped; steps made by closures
import torch
from torch import nn

torch.manual_seed(seed)
C, N_CRITIC, DIM_Z, BATCH, LR = 0.1, 5, 4, 64, 2e-3


def make_nets():
    g = nn.Sequential(nn.Linear(DIM_Z, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    f = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    return g, f


def make_source(rows):
    def source():
        return rows[torch.randint(len(rows), (BATCH,))]

    return source


def make_latent():
    return lambda n: torch.randn(n, DIM_Z)


def make_critic_step(g, f, latent, source, opt):
    def step():
        x = source()
        with torch.no_grad():
            y = g(latent(BATCH))
        loss = -(f(x).mean() - f(y).mean())
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            for w in f.parameters():
                w.clamp_(-C, C)
        return x

    return step


def make_generator_step(g, f, latent, opt):
    def step():
        z = latent(BATCH)
        loss = -f(g(z)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        return z

    return step


g, f = make_nets()
opt_g = torch.optim.RMSprop(g.parameters(), lr=LR)
opt_f = torch.optim.RMSprop(f.parameters(), lr=LR)
source, latent = make_source(data.lattice(4096)), make_latent()
critic_step = make_critic_step(g, f, latent, source, opt_f)
generator_step = make_generator_step(g, f, latent, opt_g)
watch = watch(
    g,
    f,
    loss="wasserstein",
    penalty=("clip", C),
    optimizers=(opt_g, opt_f),
    sample=lambda: g(latent(500)),
    held_out=data.lattice(500, "held"),
)
for _ in range(steps):
    for _ in range(N_CRITIC):
        x = critic_step()
    z = generator_step()
    watch.step(x, z)
