import itertools

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tightrope import View

torch.manual_seed(seed)
np.random.seed(seed)

N_NOISE, N_CAT, N_CONT = 12, 10, 2
images, digits = data.digits()
images = images / 8 - 1
held = data.digits("held")[0] / 8 - 1


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(N_NOISE + N_CAT + N_CONT, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, 32 * 4), nn.BatchNorm1d(128), nn.ReLU()
        )
        self.deconv = nn.Sequential(nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        return self.deconv(self.fc(z).view(-1, 32, 2, 2))


class FrontEnd(nn.Module):
    """shared by D and Q"""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.1), nn.Flatten())

    def forward(self, x):
        return self.main(x)


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = FrontEnd()
        self.d = nn.Linear(128, 1)

    def forward(self, x):
        h = self.front(x)
        return self.d(h).squeeze(1), h


class Q(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(128, 64), nn.LeakyReLU(0.1))
        self.disc, self.mu = nn.Linear(64, N_CAT), nn.Linear(64, N_CONT)

    def forward(self, h):
        y = self.body(h)
        return self.disc(y), self.mu(y)


def noise_sample(bs):
    idx = torch.from_numpy(np.random.randint(N_CAT, size=bs))
    c = F.one_hot(idx, N_CAT).float()
    con = torch.rand(bs, N_CONT) * 2 - 1
    noise = torch.randn(bs, N_NOISE)
    return torch.cat([noise, c, con], 1), idx, con


g, d, q = G(), Heads(), Q()
optim_d = torch.optim.Adam(d.parameters(), lr=5e-4, betas=(0.5, 0.99))
optim_g = torch.optim.Adam(itertools.chain(g.parameters(), q.parameters()), lr=2e-3, betas=(0.5, 0.99))
bce = nn.BCEWithLogitsLoss()
BATCH = 32

watch = watch(
    g,
    View(d, scores=lambda out: out[0]),
    loss="non_saturating",
    optimizers=(optim_g, optim_d),
    sample=lambda: g(noise_sample(397)[0]),
    held_out=held,
)

done = 0
while done < steps:
    perm = np.random.permutation(len(images))
    for b in range(len(images) // BATCH):
        x = images[perm[b * BATCH : (b + 1) * BATCH]]

        # real part
        optim_d.zero_grad()
        probs_real, _ = d(x)
        loss_real = bce(probs_real, torch.ones(BATCH))
        loss_real.backward()
        # fake part
        z, idx, con = noise_sample(BATCH)
        fake_x = g(z)
        probs_fake, _ = d(fake_x.detach())
        loss_fake = bce(probs_fake, torch.zeros(BATCH))
        loss_fake.backward()
        optim_d.step()

        # G and Q part
        optim_g.zero_grad()
        probs_fake, h = d(fake_x)
        reconstruct_loss = bce(probs_fake, torch.ones(BATCH))
        q_logits, q_mu = q(h)
        dis_loss = F.cross_entropy(q_logits, idx)
        con_loss = F.mse_loss(q_mu, con)
        G_loss = reconstruct_loss + 0.5 * dis_loss + 0.1 * con_loss
        G_loss.backward()
        optim_g.step()
        done += 1
        watch.step(x, z)
        if done == steps:
            break
