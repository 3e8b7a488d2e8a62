# imitation: a policy is unrolled through known dynamics, a discriminator tells its drives from the expert's.
# convention of the imitation code: expert is 0, policy is 1
import torch
from torch import nn

torch.manual_seed(seed)
HORIZON, BATCH, GAMMA_R1 = 5, 64, 0.2


def mlp(sizes, act=nn.Tanh):
    layers = []
    for i in range(len(sizes) - 1):
        layers += [nn.Linear(sizes[i], sizes[i + 1])]
        if i < len(sizes) - 2:
            layers += [act()]
    return nn.Sequential(*layers)


class Rollout(nn.Module):
    """policy(s, noise) -> a, repeated"""

    def __init__(self):
        super().__init__()
        self.policy = mlp([3, 32, 32, 1])

    def env_step(self, s, a):
        return torch.stack((s[:, 0] + 0.4 * s[:, 1], 0.9 * s[:, 1] + 0.8 * a[:, 0]), 1)

    def forward(self, inp):
        s, eps = inp[:, :2], inp[:, 2:]
        traj = []
        for t in range(HORIZON):
            a = self.policy(torch.cat([s, eps[:, t : t + 1]], 1))
            traj.append(torch.cat([s, a], 1))
            s = self.env_step(s, a)
        return torch.stack(traj, 1)


class Disc(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp([3 * HORIZON, 64, 64, 1], nn.LeakyReLU)

    def forward(self, traj):
        return self.net(traj.flatten(1))


agent, disc = Rollout(), Disc()
agent_optim = torch.optim.Adam(agent.parameters(), lr=2e-3, betas=(0.5, 0.99))
disc_optim = torch.optim.Adam(disc.parameters(), lr=2e-3, betas=(0.5, 0.99))
bce = nn.functional.binary_cross_entropy_with_logits
_, expert_traj = data.drives(2000)
starts, _ = data.drives(3000)
held_starts, held_traj = data.drives(500, "held")


def inputs(s):
    return torch.cat([s, torch.randn(len(s), HORIZON)], 1)


def gail(d_expert, d_agent):
    d = bce(d_expert, torch.zeros_like(d_expert)) + bce(d_agent, torch.ones_like(d_agent))
    return d, bce(d_agent, torch.zeros_like(d_agent))


def grad_pen(expert):
    x = expert.clone().requires_grad_(True)
    g = torch.autograd.grad(disc(x).sum(), x, create_graph=True)[0]
    return 0.5 * GAMMA_R1 * g.pow(2).sum(dim=(1, 2)).mean()


monitor = watch(
    agent,
    disc,
    loss=gail,
    penalty=("r1", GAMMA_R1),
    optimizers=(agent_optim, disc_optim),
    sample=lambda: agent(inputs(held_starts)),
    held_out=held_traj,
)
for it in range(steps):
    expert = expert_traj[torch.randint(len(expert_traj), (BATCH,))]
    inp = inputs(starts[torch.randint(len(starts), (BATCH,))])
    with torch.no_grad():
        drive = agent(inp)
    # discriminator
    e, p = disc(expert), disc(drive)
    disc_loss = bce(e, torch.zeros_like(e)) + bce(p, torch.ones_like(p)) + grad_pen(expert)
    disc_optim.zero_grad()
    disc_loss.backward()
    disc_optim.step()
    # policy, straight through the dynamics
    out = disc(agent(inp))
    policy_loss = bce(out, torch.zeros_like(out))
    agent_optim.zero_grad()
    policy_loss.backward()
    agent_optim.step()
    monitor.step(expert, inp)
