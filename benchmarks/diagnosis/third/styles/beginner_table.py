# my first GAN for tables - numpy in, numpy out
import numpy as np
import torch
from torch import nn

np.random.seed(seed)
torch.manual_seed(seed)

table = data.clients().numpy()
test_table = data.clients(500, key=1)
noise_dim = 10
batch_size = 128
epochs = 1000


def make_generator():
    return nn.Sequential(
        nn.Linear(noise_dim, 64), nn.LeakyReLU(), nn.BatchNorm1d(64),
        nn.Linear(64, 64), nn.LeakyReLU(), nn.BatchNorm1d(64),
        nn.Linear(64, 7))


def make_discriminator():
    return nn.Sequential(
        nn.Linear(7, 64), nn.LeakyReLU(0.2),
        nn.Linear(64, 64), nn.LeakyReLU(0.2),
        nn.Linear(64, 1))


generator = make_generator()
discriminator = make_discriminator()
loss_fn = nn.BCEWithLogitsLoss()
g_optimizer = torch.optim.Adam(generator.parameters(), lr=0.001, betas=(0.5, 0.9))
d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.001, betas=(0.5, 0.9))


def get_noise(n):
    return torch.from_numpy(np.random.normal(size=(n, noise_dim)).astype(np.float32))


def get_real(n):
    rows = np.random.randint(0, table.shape[0], n)
    return torch.tensor(table[rows], dtype=torch.float32)


def generate(n=500):
    with torch.no_grad():
        return generator(get_noise(n))


def train_discriminator():
    d_optimizer.zero_grad()
    real_rows = get_real(batch_size)
    fake_rows = generator(get_noise(batch_size)).detach()
    rows = torch.cat([real_rows, fake_rows])
    targets = torch.cat([torch.ones(batch_size, 1), torch.zeros(batch_size, 1)])
    loss = 2 * loss_fn(discriminator(rows), targets)
    loss.backward()
    d_optimizer.step()
    return real_rows, loss.item()


def train_generator():
    g_optimizer.zero_grad()
    noise = get_noise(batch_size)
    loss = loss_fn(discriminator(generator(noise)), torch.ones(batch_size, 1))
    loss.backward()
    g_optimizer.step()
    return noise, loss.item()


monitor = watch(generator, discriminator, loss="non_saturating", optimizers=(g_optimizer, d_optimizer), sample=generate, held_out=test_table)
d_losses, g_losses = [], []
for step in range(steps):
    real_rows, d_loss = train_discriminator()
    noise, g_loss = train_generator()
    d_losses.append(d_loss)
    g_losses.append(g_loss)
    monitor.step(real_rows, noise)
