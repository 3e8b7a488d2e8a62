import torch
import torch.nn as nn
import torch.optim as optim

seed_ = seed
torch.manual_seed(seed_)


class param:
    n_hidden, z_size, batch_size = 64, 6, 64
    lr_D, lr_G, beta1, beta2, decay = 0.002, 0.002, 0.5, 0.99, 0.0
    Diters, gen_every = 1, 1


def make(sizes, last=None):
    layers = []
    for a, b in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(a, b), nn.SELU()]
    layers = layers[:-1]
    if last is not None:
        layers.append(last)
    return nn.Sequential(*layers)


G = make([param.z_size, param.n_hidden, param.n_hidden, 2])
D = make([2, param.n_hidden, param.n_hidden, 1])

optimizerD = optim.Adam(D.parameters(), lr=param.lr_D, betas=(param.beta1, param.beta2), weight_decay=param.decay)
optimizerG = optim.Adam(G.parameters(), lr=param.lr_G, betas=(param.beta1, param.beta2), weight_decay=param.decay)
decayD = optim.lr_scheduler.ExponentialLR(optimizerD, gamma=0.95)
decayG = optim.lr_scheduler.ExponentialLR(optimizerG, gamma=0.95)
points = data.commas(4000)


def generate_random_sample():
    while True:
        random_indexes = torch.randperm(len(points))[: param.batch_size]
        yield points[random_indexes]


random_sample = generate_random_sample()


def errors_D(y_pred, y_pred_fake):
    y = torch.ones_like(y_pred)
    return (
        torch.mean((y_pred - torch.mean(y_pred_fake) - y) ** 2)
        + torch.mean((y_pred_fake - torch.mean(y_pred) + y) ** 2)
    ) / 2


def errors_G(y_pred, y_pred_fake):
    y = torch.ones_like(y_pred)
    return (
        torch.mean((y_pred - torch.mean(y_pred_fake) + y) ** 2)
        + torch.mean((y_pred_fake - torch.mean(y_pred) - y) ** 2)
    ) / 2


def rals(d_real, d_fake):
    return errors_D(d_real, d_fake), errors_G(d_real, d_fake)


monitor = watch(
    G,
    D,
    loss=rals,
    optimizers=(optimizerG, optimizerD),
    sample=lambda: G(torch.randn(500, param.z_size)),
    held_out=data.commas(500, "held"),
)
for i in range(steps):
    # Fake images
    for p in D.parameters():
        p.requires_grad = True
    for t in range(param.Diters):
        D.zero_grad()
        x = next(random_sample)
        y_pred = D(x)
        z = torch.randn(param.batch_size, param.z_size)
        fake = G(z)
        y_pred_fake = D(fake.detach())
        errD = errors_D(y_pred, y_pred_fake)
        errD.backward()
        optimizerD.step()

    for p in D.parameters():
        p.requires_grad = False
    G.zero_grad()
    x_G = next(random_sample)
    y_pred = D(x_G)
    z = torch.randn(param.batch_size, param.z_size)
    fake = G(z)
    y_pred_fake = D(fake)
    errG = errors_G(y_pred, y_pred_fake)
    errG.backward()
    optimizerG.step()
    if (i + 1) % 50 == 0:
        decayD.step()
        decayG.step()
    monitor.step(x, z)
