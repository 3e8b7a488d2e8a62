# %% [markdown]
# # WGAN on a curve
# %%
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.optim import RMSprop
from tqdm import tqdm


@dataclass
class Config:
    seed: int = seed
    n_points: int = 4000
    batch_size: int = 64
    z_dim: int = 6
    hidden: list = field(default_factory=lambda: [64, 64])
    lr_g: float = 1e-3
    lr_c: float = 2e-3
    alpha: float = 0.9
    c: float = 0.12
    n_critic: int = 3
    steps: int = steps


CFG = Config()
rng = np.random.default_rng(CFG.seed)
torch.manual_seed(CFG.seed)

# %%
X = data.lissajous(CFG.n_points).numpy()


def batch_iterator(x, batch_size, shuffle=True):
    """Endless batches."""
    n = len(x)
    while True:
        order = rng.permutation(n) if shuffle else np.arange(n)
        for lo in range(0, n - batch_size + 1, batch_size):
            yield torch.as_tensor(x[order[lo : lo + batch_size]])


def noise_iterator(batch_size, z_dim):
    while True:
        yield torch.as_tensor(rng.normal(size=(batch_size, z_dim)), dtype=torch.float32)


# %%
def build(sizes, out_act=None):
    layers = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(nn.LeakyReLU(0.2))
    if out_act is not None:
        layers.append(out_act)
    return nn.Sequential(*layers)


gen = build([CFG.z_dim, *CFG.hidden, 2])
critic = build([2, *CFG.hidden, 1])
opt_g = RMSprop(gen.parameters(), lr=CFG.lr_g, alpha=CFG.alpha)
opt_c = RMSprop(critic.parameters(), lr=CFG.lr_c, alpha=CFG.alpha)
data_it, noise_it = batch_iterator(X, CFG.batch_size), noise_iterator(CFG.batch_size, CFG.z_dim)


def clip_weights(model, c):
    with torch.no_grad():
        for w in model.parameters():
            w.clamp_(-c, c)


clip_weights(critic, CFG.c)
monitor = watch(
    gen,
    critic,
    loss="wasserstein",
    penalty=("clip", CFG.c),
    optimizers=(opt_g, opt_c),
    sample=lambda: gen(torch.as_tensor(np.random.normal(size=(500, CFG.z_dim)), dtype=torch.float32)),
    held_out=data.lissajous(500, "held"),
)

# %%
hist = {"critic": [], "gen": []}
for t in tqdm(range(CFG.steps), disable=True):
    losses = []
    for _ in range(CFG.n_critic):
        x, z = next(data_it), next(noise_it)
        opt_c.zero_grad()
        w_dist = critic(x).mean() - critic(gen(z).detach()).mean()
        loss_c = -w_dist
        loss_c.backward()
        opt_c.step()
        clip_weights(critic, CFG.c)
        losses.append(loss_c.item())
    hist["critic"].append(np.mean(losses))

    z = next(noise_it)
    opt_g.zero_grad()
    loss_g = -critic(gen(z)).mean()
    loss_g.backward()
    opt_g.step()
    hist["gen"].append(loss_g.item())
    monitor.step(x, z)
