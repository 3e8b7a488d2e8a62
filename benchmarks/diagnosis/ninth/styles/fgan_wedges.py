import math

import torch
import torch.nn as nn

torch.manual_seed(seed)
# output activation g_f of the variational function and the conjugate f*, by divergence
DIVERGENCES = {
    "kl": (lambda v: v, lambda t: torch.exp(t - 1)),
    "reverse_kl": (lambda v: -torch.exp(-v), lambda t: -1 - torch.log(-t)),
    "pearson": (lambda v: v, lambda t: 0.25 * t**2 + t),
    "hellinger": (lambda v: 1 - torch.exp(-v), lambda t: t / (1 - t)),
    "jensen_shannon": (
        lambda v: math.log(2) - nn.functional.softplus(-v),
        lambda t: -torch.log((2 - torch.exp(t)).clamp(min=1e-6)),
    ),
}


def make_objective(name):
    activation, conjugate = DIVERGENCES[name]

    def variational(v_real, v_fake):
        """What the variational function maximises, to be minimised."""
        return -(activation(v_real).mean() - conjugate(activation(v_fake)).mean())

    def generator(v_fake):
        return -activation(v_fake).mean()

    return variational, generator


def make_networks(z_dim, width):
    gen = nn.Sequential(nn.Linear(z_dim, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
    var = nn.Sequential(nn.Linear(2, width), nn.ELU(), nn.Linear(width, width), nn.ELU(), nn.Linear(width, 1))
    for module in (*gen, *var):
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return gen, var


def make_sampler(x, batch_size):
    def sampler():
        return x[torch.multinomial(torch.ones(len(x)), batch_size)]

    return sampler


def make_step(gen, var, opt_g, opt_v, objective, draw_x, draw_z):
    variational, generator = objective

    def step_v():
        x, z = draw_x(), draw_z()
        opt_v.zero_grad()
        loss = variational(var(x), var(gen(z).detach()))
        loss.backward()
        opt_v.step()
        return x, loss

    def step_g():
        z = draw_z()
        opt_g.zero_grad()
        loss = generator(var(gen(z)))
        loss.backward()
        opt_g.step()
        return z, loss

    def step(v_steps=1):
        for _ in range(v_steps):
            x, loss_v = step_v()
        z, loss_g = step_g()
        return x, z, {"v": loss_v.item(), "g": loss_g.item()}

    return step


def run(divergence="jensen_shannon", z_dim=6, width=64, batch_size=64, lr=2e-3, beta=0.5):
    gen, var = make_networks(z_dim, width)
    variational, generator = objective = make_objective(divergence)
    opt_g = torch.optim.Adam(gen.parameters(), lr, betas=(beta, 0.999))
    opt_v = torch.optim.Adam(var.parameters(), lr, betas=(beta, 0.999))
    monitor = watch(
        gen,
        var,
        loss=lambda v_real, v_fake: (variational(v_real, v_fake), generator(v_fake)),
        optimizers=(opt_g, opt_v),
        sample=lambda: gen(torch.randn(500, z_dim)),
        held_out=data.wedges(500, "held"),
    )
    draw_x = make_sampler(data.wedges(3000), batch_size)
    step = make_step(gen, var, opt_g, opt_v, objective, draw_x, lambda: torch.randn(batch_size, z_dim))
    logs = []
    for _ in range(steps):
        x, z, values = step(v_steps=2)
        logs.append(values)
        monitor.step(x, z)
    return logs


run()
