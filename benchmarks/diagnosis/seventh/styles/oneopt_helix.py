"""Relativistic pairs, both players at once, one optimiser."""
import torch
from torch import nn
from torch.nn.functional import softplus

torch.manual_seed(seed)


class Config:
    width = 64
    latent = 6
    batch = 64
    lr_g, lr_d = 3e-3, 6e-3
    beta1, beta2 = 0.0, 0.95
    gamma = 0.1


cfg = Config()


def net(n_in, n_out):
    w = cfg.width
    return nn.Sequential(nn.Linear(n_in, w), nn.SiLU(), nn.Linear(w, w), nn.SiLU(), nn.Linear(w, n_out))


class Game(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = net(cfg.latent, 3)
        self.critic = net(3, 1)

    def forward(self, z):
        return self.generator(z)


game = Game()
opt = torch.optim.Adam(
    [
        {"params": list(game.generator.parameters()), "lr": cfg.lr_g},
        {"params": list(game.critic.parameters()), "lr": cfg.lr_d},
    ],
    betas=(cfg.beta1, cfg.beta2),
)
points = data.helix(4000)
held = data.helix(500, "held")
monitor = watch(
    game.generator,
    game.critic,
    loss="relativistic",
    penalty=("r1", cfg.gamma),
    optimizers=(opt, opt),
    sample=lambda: game(torch.randn(500, cfg.latent)),
    held_out=held,
)
for step in range(steps):
    x = points[torch.randperm(len(points))[: cfg.batch]].requires_grad_()
    z = torch.randn(cfg.batch, cfg.latent)
    y = game.generator(z)

    d_x, d_y = game.critic(x), game.critic(y.detach())
    (slope,) = torch.autograd.grad(d_x.sum(), x, create_graph=True)
    critic_loss = softplus(-(d_x - d_y)).mean() + cfg.gamma / 2 * (slope**2).sum(1).mean()
    generator_loss = softplus(-(game.critic(y) - d_x.detach())).mean()

    opt.zero_grad()
    critic_loss.backward(inputs=list(game.critic.parameters()))
    generator_loss.backward(inputs=list(game.generator.parameters()))
    opt.step()
    monitor.step(x.detach(), z)
