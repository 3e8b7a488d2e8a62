# a part of what the critic sees was made some steps ago
import random
from collections import deque

import torch
from torch import nn

torch.manual_seed(seed)
random.seed(seed)
device = "cpu"
HP = {"nz": 8, "batch": 64, "lr_g": 3e-3, "lr_d": 4e-3, "memory": 8, "old_share": 0.25, "r1": 0.1}


def init(m):
    if isinstance(m, nn.Linear):
        nn.init.orthogonal_(m.weight)
        nn.init.zeros_(m.bias)


class ReplayBuffer:
    def __init__(self, maxlen):
        self.batches = deque(maxlen=maxlen)

    def mix(self, fresh):
        self.batches.append(fresh)
        n = int(HP["old_share"] * len(fresh))
        old = random.choice(self.batches)
        return torch.cat((fresh[n:], old[:n]))


generator = nn.Sequential(nn.Linear(HP["nz"], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2), nn.Tanh()).to(device)
critic = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)).to(device)
generator.apply(init), critic.apply(init)
opt_g = torch.optim.Adamax(generator.parameters(), lr=HP["lr_g"], betas=(0.5, 0.99))
opt_c = torch.optim.Adamax(critic.parameters(), lr=HP["lr_d"], betas=(0.5, 0.99))
X = data.lattice(4096).to(device)
buffer = ReplayBuffer(HP["memory"])
softplus = nn.functional.softplus


def penalty(x):
    x = x.clone().requires_grad_()
    grad, = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return 0.5 * HP["r1"] * grad.pow(2).sum(1).mean()


def sample_z(n):
    return torch.rand(n, HP["nz"], device=device) * 2 - 1


watch = watch(
    generator,
    critic,
    loss="non_saturating",
    penalty=("r1", HP["r1"]),
    optimizers={"generator": opt_g, "critic": opt_c},
    sample=lambda: generator(sample_z(500)),
    held_out=data.lattice(500, "held"),
)
step = 0
while step < steps:
    pick = torch.randint(len(X), (HP["batch"],))
    x = X[pick]
    with torch.no_grad():
        fresh = generator(sample_z(HP["batch"]))
    shown = buffer.mix(fresh)
    loss_c = softplus(-critic(x)).mean() + softplus(critic(shown)).mean() + penalty(x)
    opt_c.zero_grad()
    loss_c.backward()
    opt_c.step()

    z = sample_z(HP["batch"])
    loss_g = softplus(-critic(generator(z))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    watch.step(x, z)
    step += 1
