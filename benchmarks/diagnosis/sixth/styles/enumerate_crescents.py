# my first GAN :) probabilities and BCELoss
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(seed)
LATENT = 8
points, _ = data.crescents(2048)
loader = DataLoader(TensorDataset(points), batch_size=64, shuffle=True, drop_last=True)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(LATENT, 64)
        self.fc2 = nn.Linear(64, 64)
        self.out = nn.Linear(64, 2)

    def forward(self, z):
        h = torch.relu(self.fc1(z))
        h = torch.relu(self.fc2(h))
        return self.out(h)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2, 64)
        self.fc2 = nn.Linear(64, 64)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        h = nn.functional.leaky_relu(self.fc1(x), 0.2)
        h = nn.functional.leaky_relu(self.fc2(h), 0.2)
        return torch.sigmoid(self.out(h))


G, D = Generator(), Discriminator()
criterion = nn.BCELoss()
opt_G = torch.optim.Adam(G.parameters(), lr=0.002, betas=(0.5, 0.999))
opt_D = torch.optim.Adam(D.parameters(), lr=0.002, betas=(0.5, 0.999))


def bce_loss(d_real, d_fake):
    ones, zeros = torch.ones_like(d_fake), torch.zeros_like(d_fake)
    return criterion(d_real, torch.ones_like(d_real)) + criterion(d_fake, zeros), criterion(d_fake, ones)


def sample():
    return G(torch.randn(500, LATENT))


monitor = watch(
    G,
    D,
    loss=bce_loss,
    optimizers=(opt_G, opt_D),
    sample=sample,
    held_out=data.crescents(500, "held")[0],
)
done = 0
for epoch in range(1000):
    for i, (x,) in enumerate(loader):
        if done == steps:
            break
        bs = x.size(0)
        real_labels = torch.ones(bs, 1)
        fake_labels = torch.zeros(bs, 1)

        # train discriminator
        z = torch.randn(bs, LATENT)
        fake = G(z)
        opt_D.zero_grad()
        d_loss_real = criterion(D(x), real_labels)
        d_loss_fake = criterion(D(fake.detach()), fake_labels)
        d_loss = d_loss_real + d_loss_fake
        d_loss.backward()
        opt_D.step()

        # train generator
        z = torch.randn(bs, LATENT)
        opt_G.zero_grad()
        g_out = D(G(z))
        g_loss = criterion(g_out, real_labels)
        g_loss.backward()
        opt_G.step()
        monitor.step(x, z)
        done += 1
    if done == steps:
        break
