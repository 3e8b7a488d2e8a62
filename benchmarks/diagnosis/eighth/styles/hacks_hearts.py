# Train a small GAN on a heart, with the usual tricks: noisy soft labels, noise on the inputs that dies out,
# SGD for the discriminator and Adam for the generator, batches of one kind only, tanh at the end
import numpy as np
import torch
import torch.nn as nn

rng = np.random.RandomState(seed)
torch.manual_seed(seed)

num_epochs = 25
d_steps = 2
g_steps = 1
N = 64
z_size = 5

X_train = data.hearts(4000).numpy()
X_test = data.hearts(500, "held")


def make_generator():
    return nn.Sequential(
        nn.Linear(z_size, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 2), nn.Tanh()
    )


def make_discriminator():
    return nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))


def get_real(n):
    return torch.from_numpy(X_train[rng.randint(0, len(X_train), n)])


def get_z(n):
    return torch.from_numpy(rng.normal(0, 1, (n, z_size)).astype(np.float32))


def soft(kind, n):
    # labels are a little soft, real ones only
    if kind == "real":
        return torch.full((n, 1), 0.9)
    return torch.zeros(n, 1)


generator = make_generator()
discriminator = make_discriminator()
bce = nn.BCEWithLogitsLoss()
d_optim = torch.optim.SGD(discriminator.parameters(), lr=0.1, momentum=0.7)
g_optim = torch.optim.Adam(generator.parameters(), lr=0.002, betas=(0.5, 0.999))


def both_losses(real_score, fake_score):
    n, m = len(real_score), len(fake_score)
    return bce(real_score, soft("real", n)) + bce(fake_score, soft("fake", m)), bce(fake_score, torch.ones(m, 1))


monitor = watch(
    generator,
    discriminator,
    loss=both_losses,
    optimizers=(g_optim, d_optim),
    sample=lambda: generator(get_z(500)),
    held_out=X_test,
)

d_loss_history, g_loss_history = [], []
per_epoch = steps // num_epochs
for epoch in range(num_epochs):
    for _ in range(per_epoch):
        for _ in range(d_steps):
            d_optim.zero_grad()
            real = get_real(N)
            loss_r = bce(discriminator(real), soft("real", N))
            loss_r.backward()
            fake = generator(get_z(N)).detach()
            loss_f = bce(discriminator(fake), soft("fake", N))
            loss_f.backward()
            d_optim.step()
        for _ in range(g_steps):
            g_optim.zero_grad()
            z = get_z(N)
            loss_g = bce(discriminator(generator(z)), torch.ones(N, 1))
            loss_g.backward()
            g_optim.step()
        d_loss_history.append(loss_r.item() + loss_f.item())
        g_loss_history.append(loss_g.item())
        monitor.step(real, z)
    print("epoch", epoch, "d", np.mean(d_loss_history[-per_epoch:]), "g", np.mean(g_loss_history[-per_epoch:]))
