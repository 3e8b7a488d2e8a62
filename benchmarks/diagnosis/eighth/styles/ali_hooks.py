import itertools

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)

Z, BATCH, LR = 2, 64, 2e-3


def mlp(*sizes):
    layers = [nn.Linear(sizes[0], sizes[1])]
    for a, b in zip(sizes[1:-1], sizes[2:]):
        layers += [nn.LeakyReLU(0.1), nn.Linear(a, b)]
    return nn.Sequential(*layers)


class BiGenerator(nn.Module):
    """Pairs from either side: (G(z), z), and (x, E(x)) for the discriminator to tell apart from them."""

    def __init__(self):
        super().__init__()
        self.G = mlp(Z, 64, 64, 2)
        self.E = mlp(2, 64, 64, Z)

    def forward(self, z):
        return torch.cat((self.G(z), z), 1)

    def encode(self, x):
        return torch.cat((x, self.E(x)), 1)


class PairDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.x_part = mlp(2, 48, 48)
        self.z_part = mlp(Z, 48, 48)
        self.joint = mlp(96, 64, 1)

    def forward(self, pair):
        x, z = pair.split((2, Z), 1)
        return self.joint(F.leaky_relu(torch.cat((self.x_part(x), self.z_part(z)), 1), 0.1))


bi = BiGenerator()
D = PairDiscriminator()
optimizerG = torch.optim.Adam(
    itertools.chain(bi.G.parameters(), bi.E.parameters()), lr=LR, betas=(0.5, 0.999), weight_decay=1e-5
)
optimizerD = torch.optim.Adam(D.parameters(), lr=LR, betas=(0.5, 0.999), weight_decay=1e-5)
rows, unseen = data.hooks(4000), data.hooks(500, "held")


def losses(d_enc, d_gen):
    loss_d = F.softplus(-d_enc).mean() + F.softplus(d_gen).mean()
    loss_g = F.softplus(d_enc).mean() + F.softplus(-d_gen).mean()
    return loss_d, loss_g


judge = lambda: (bi.G(torch.randn(500, Z)), unseen)
monitor = watch(
    bi,
    D,
    loss=losses,
    optimizers=(optimizerG, optimizerD),
    sample=lambda: bi(torch.randn(500, Z)),
    held_out=bi.encode(unseen).detach(),
)

order = torch.randperm(len(rows))
for it in range(steps):
    at = it * BATCH % (len(rows) - BATCH)
    x = rows[order[at : at + BATCH]]
    z = torch.randn(BATCH, Z)

    # discriminator
    optimizerD.zero_grad()
    with torch.no_grad():
        encoded, generated = bi.encode(x), bi(z)
    loss_d, _ = losses(D(encoded), D(generated))
    loss_d.backward()
    optimizerD.step()

    # generator and encoder
    optimizerG.zero_grad()
    generated = bi(z)
    _, loss_g = losses(D(bi.encode(x)), D(generated))
    loss_g.backward()
    optimizerG.step()
    monitor.step(encoded, z)
