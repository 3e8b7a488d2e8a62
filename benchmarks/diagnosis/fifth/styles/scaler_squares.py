# WGAN-GP under a gradient scaler
import torch
from torch import nn, optim

torch.manual_seed(seed)
Z, B, LAMBDA, N_CRITIC = 4, 64, 1.0, 3


def block(i, o):
    return nn.Sequential(nn.Linear(i, o), nn.LayerNorm(o), nn.LeakyReLU(0.2))


gen = nn.Sequential(nn.Linear(Z, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
critic = nn.Sequential(block(2, 64), block(64, 64), nn.Linear(64, 1))
g_opt = optim.Adam(gen.parameters(), lr=2e-3, betas=(0.0, 0.9))
c_opt = optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
scaler_g, scaler_c = (torch.amp.GradScaler("cpu", init_scale=1024.0) for _ in range(2))
dataset = data.squares(4096)
autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16, enabled=False)


def get_noise(n):
    return torch.randn(n, Z)


def infinite():
    while True:
        for rows in torch.utils.data.DataLoader(dataset, batch_size=B, shuffle=True, drop_last=True):
            yield rows


def gradient_penalty(real, fake):
    eps = torch.rand(len(real), 1)
    mixed = (eps * real + (1 - eps) * fake).requires_grad_()
    with autocast():
        score = critic(mixed)
    scaled = torch.autograd.grad(scaler_c.scale(score.sum()), mixed, create_graph=True)[0]
    grad = scaled / scaler_c.get_scale()
    return (grad.norm(2, dim=1) - 1).square().mean()


watch = watch(
    gen,
    critic,
    loss="wasserstein",
    penalty=("gp", LAMBDA),
    optimizers=(g_opt, c_opt),
    sample=lambda: gen(get_noise(500)),
    held_out=data.squares(500, "held"),
)
batches = infinite()
for step in range(steps):
    for _ in range(N_CRITIC):
        real = next(batches)
        with torch.no_grad(), autocast():
            fake = gen(get_noise(B))
        with autocast():
            c_loss = critic(fake).mean() - critic(real).mean()
        c_loss = c_loss + LAMBDA * gradient_penalty(real, fake)
        c_opt.zero_grad()
        scaler_c.scale(c_loss).backward()
        scaler_c.step(c_opt)
        scaler_c.update()
    z = get_noise(B)
    with autocast():
        g_loss = -critic(gen(z)).mean()
    g_opt.zero_grad()
    scaler_g.scale(g_loss).backward()
    scaler_g.step(g_opt)
    scaler_g.update()
    watch.step(real, z)
