import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm as SN

torch.manual_seed(seed)
dim_z, n_classes, batch_size, n_dis = 16, 10, 64, 2


class ConditionalBias(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.scale = nn.Embedding(n_classes, n)
        self.shift = nn.Embedding(n_classes, n)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, h, y):
        return h * self.scale(y) + self.shift(y)


class Gen(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2, self.l3 = nn.Linear(dim_z, 128), nn.Linear(128, 128), nn.Linear(128, 64)
        self.c1, self.c2 = ConditionalBias(128), ConditionalBias(128)

    def forward(self, z, y):
        h = F.relu(self.c1(self.l1(z), y))
        h = F.relu(self.c2(self.l2(h), y))
        return torch.tanh(self.l3(h)).view(-1, 1, 8, 8)


class Dis(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = SN(nn.Linear(64, 128))
        self.l2 = SN(nn.Linear(128, 128))
        self.l3 = SN(nn.Linear(128, 1))
        self.embed = SN(nn.Embedding(n_classes, 128))

    def forward(self, x, y):
        h = F.leaky_relu(self.l1(x.flatten(1)), 0.1)
        h = F.leaky_relu(self.l2(h), 0.1)
        return self.l3(h) + (self.embed(y) * h).sum(1, keepdim=True)


gen, dis = Gen(), Dis()
opt_gen = torch.optim.Adam(gen.parameters(), 1e-3, (0.0, 0.9))
opt_dis = torch.optim.Adam(dis.parameters(), 1e-3, (0.0, 0.9))
images, labels = data.digits("train")
images = images / 8 - 1
held, held_y = data.digits("held")
held = held / 8 - 1


def loss_dis(real, fake):
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def loss_gen(fake):
    return -fake.mean()


def draw_fake(n):
    z = torch.randn(n, dim_z)
    y = torch.randint(0, n_classes, (n,))
    return z, y


def judge():
    y = held_y
    x = gen(torch.randn(len(y), dim_z), y)
    one = lambda v: 2 * F.one_hot(v, n_classes).float()
    return torch.cat((x.flatten(1), one(y)), 1), torch.cat((held.flatten(1), one(held_y)), 1)


monitor = watch(
    gen,
    dis,
    loss="hinge",
    penalty="spectral_norm",
    optimizers=(opt_gen, opt_dis),
    sample=lambda: gen(*draw_fake(397)),
    held_out=held,
)
for it in range(steps):
    for k in range(n_dis):
        idx = torch.randint(0, len(images), (batch_size,))
        x, y = images[idx], labels[idx]
        z, y_fake = draw_fake(batch_size)
        x_fake = gen(z, y_fake).detach()
        opt_dis.zero_grad()
        loss_dis(dis(x, y), dis(x_fake, y_fake)).backward()
        opt_dis.step()
    z, y_fake = draw_fake(batch_size)
    opt_gen.zero_grad()
    loss_gen(dis(gen(z, y_fake), y_fake)).backward()
    opt_gen.step()
    monitor.step(x, z, y_fake)
