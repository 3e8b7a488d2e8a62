# simultaneous updates: one optimiser, two parameter groups, relativistic loss with a zero-centred penalty on both sides
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)
DIM, BS, GAMMA = 3, 128, 0.1
pool, pool_test = data.moons()[0], data.moons(500, key=1)[0]

class Res(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.a, self.b = nn.Linear(d, d), nn.Linear(d, d)
    def forward(self, x):
        return x + self.b(F.leaky_relu(self.a(F.leaky_relu(x, 0.2)), 0.2))

generator = nn.Sequential(nn.Linear(DIM, 48), Res(48), Res(48), nn.Linear(48, 2))
critic = nn.Sequential(nn.Linear(2, 48), Res(48), Res(48), nn.Linear(48, 1))
optimizer = torch.optim.Adam([
    {"params": generator.parameters(), "lr": 1e-3},
    {"params": critic.parameters(), "lr": 2e-3},
], betas=(0.0, 0.99))

def zero_centered(samples, scores):
    g, = torch.autograd.grad(scores.sum(), samples, create_graph=True)
    return g.square().sum(1)

def sampler(n=500):
    with torch.no_grad():
        return generator(torch.randn(n, DIM))

mon = watch(generator, critic, loss="relativistic", penalty=[("r1", 0.1), ("r2", 0.1)], optimizers={"generator": optimizer, "critic": optimizer}, sample=sampler, held_out=pool_test)
for k in range(steps):
    real = pool[torch.randint(0, pool.shape[0], (BS,))]
    z = torch.randn(BS, DIM)
    optimizer.zero_grad()
    fake = generator(z)

    # critic's part of the gradient
    r, f = real.clone().requires_grad_(True), fake.detach().requires_grad_(True)
    sr, sf = critic(r), critic(f)
    adv_d = F.softplus(-(sr - sf)).mean()
    reg = (GAMMA / 2) * (zero_centered(r, sr) + zero_centered(f, sf)).mean()
    (adv_d + reg).backward(inputs=list(critic.parameters()))

    # generator's part
    adv_g = F.softplus(-(critic(fake) - critic(real).detach())).mean()
    adv_g.backward(inputs=list(generator.parameters()))

    optimizer.step()
    mon.step(real, z)
