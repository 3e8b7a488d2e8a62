# small card: two micro-batches per step, under a scaler
import torch
from torch import nn

torch.manual_seed(seed)
ACCUM, MICRO, ZDIM = 2, 48, 6
gen = nn.Sequential(nn.Linear(ZDIM, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 3))
disc = nn.Sequential(nn.Linear(3, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 1))
opts = {
    "gen": torch.optim.NAdam(gen.parameters(), lr=2e-3, betas=(0.5, 0.9)),
    "disc": torch.optim.NAdam(disc.parameters(), lr=2e-3, betas=(0.5, 0.9)),
}
scalers = {name: torch.amp.GradScaler("cpu", init_scale=256.0) for name in opts}
rows = data.tetra(3000)


def micro_batches():
    idx = torch.randperm(len(rows))[: ACCUM * MICRO]
    return rows[idx].chunk(ACCUM)


def prior(n):
    return torch.randn(n, ZDIM)


def finish(name, net):
    scalers[name].unscale_(opts[name])
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    scalers[name].step(opts[name])
    scalers[name].update()


def hinge_d(real, fake):
    return (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()


def disc_phase():
    opts["disc"].zero_grad()
    for real in micro_batches():
        with torch.no_grad():
            fake = gen(prior(MICRO))
        loss = hinge_d(disc(real), disc(fake)) / ACCUM
        scalers["disc"].scale(loss).backward()
    finish("disc", disc)
    return real


def gen_phase():
    opts["gen"].zero_grad()
    for _ in range(ACCUM):
        z = prior(MICRO)
        loss = -disc(gen(z)).mean() / ACCUM
        scalers["gen"].scale(loss).backward()
    finish("gen", gen)
    return z


monitor = watch(
    gen,
    disc,
    loss="hinge",
    optimizers=(opts["gen"], opts["disc"]),
    sample=lambda: gen(prior(500)),
    held_out=data.tetra(500, "held"),
)
for step in range(steps):
    disc_phase()
    real = disc_phase()
    z = gen_phase()
    monitor.step(real, z)
