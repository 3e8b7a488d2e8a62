# bf16 under a gradient scaler, an averaged model, R1 as in the AMP examples
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.manual_seed(seed)
device = "cpu"
latent_dim, bs, r1_gamma = 8, 64, 0.2


def block(i, o):
    return [nn.Linear(i, o), nn.Mish()]


G = nn.Sequential(*block(latent_dim, 64), *block(64, 64), nn.Linear(64, 2)).to(device)
D = nn.Sequential(*block(2, 64), *block(64, 64), nn.Linear(64, 1)).to(device)
G_avg = AveragedModel(G, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
g_optimizer = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.0, 0.99))
d_optimizer = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.0, 0.99))
scaler_g = torch.amp.GradScaler(device, init_scale=1024.0)
scaler_d = torch.amp.GradScaler(device, init_scale=1024.0)
xs = data.vees(4000)


def autocast():
    return torch.autocast(device, dtype=torch.bfloat16)


def log_loss(score, real):
    return torch.nn.functional.softplus(-score if real else score).mean()


def r1_penalty(x):
    x = x.detach().requires_grad_(True)
    score = D(x).float()
    scaled = torch.autograd.grad(scaler_d.scale(score.sum()), x, create_graph=True)[0]
    inv_scale = 1.0 / scaler_d.get_scale()
    grad = scaled * inv_scale
    return 0.5 * r1_gamma * grad.pow(2).sum(1).mean()


monitor = watch(
    G,
    D,
    loss="non_saturating",
    penalty=("r1", r1_gamma),
    optimizers=(g_optimizer, d_optimizer),
    sample=lambda: G_avg(torch.randn(500, latent_dim)),
    ema=G_avg.module,
    held_out=data.vees(500, "held"),
)
loader = torch.utils.data.DataLoader(xs, batch_size=bs, sampler=torch.utils.data.RandomSampler(xs, num_samples=bs * steps))
for x in loader:
    z = torch.randn(bs, latent_dim, device=device)
    d_optimizer.zero_grad()
    with autocast():
        fake = G(z).detach()
        real_score, fake_score = D(x), D(fake)
    d_loss = log_loss(real_score.float(), True) + log_loss(fake_score.float(), False)
    d_loss = d_loss + r1_penalty(x)
    scaler_d.scale(d_loss).backward()
    scaler_d.step(d_optimizer)
    scaler_d.update()

    z = torch.randn(bs, latent_dim, device=device)
    g_optimizer.zero_grad()
    with autocast():
        score = D(G(z))
    g_loss = log_loss(score.float(), True)
    scaler_g.scale(g_loss).backward()
    scaler_g.step(g_optimizer)
    scaler_g.update()
    G_avg.update_parameters(G)
    monitor.step(x, z)
