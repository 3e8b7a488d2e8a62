import torch
from torch import nn

torch.manual_seed(seed)

SEQ, DIM, HIDDEN, ZDIM, BATCH = 12, 3, 16, 6, 32
mse, bce = nn.MSELoss(), nn.BCEWithLogitsLoss()


class Net(nn.Module):
    def __init__(self, n_in, n_out, last=None):
        super().__init__()
        self.rnn = nn.GRU(n_in, 24, batch_first=True)
        self.fc = nn.Linear(24, n_out)
        self.last = last

    def forward(self, x):
        y = self.fc(self.rnn(x)[0])
        return self.last(y) if self.last is not None else y


embedder, recovery = Net(DIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, DIM, nn.Sigmoid())
generator, discriminator = Net(ZDIM, HIDDEN, nn.Sigmoid()), Net(HIDDEN, 1)
opt_er = torch.optim.Adam([*embedder.parameters(), *recovery.parameters()], lr=5e-3)
opt_g = torch.optim.Adam(generator.parameters(), lr=3e-3)
opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-3)
ori = data.walks(2048)


def get_batch():
    return ori[torch.randperm(len(ori))[:BATCH]]


def random_generator(n):
    return torch.rand(n, SEQ, ZDIM)


print("embedding")
for _ in range(60):
    x = get_batch()
    opt_er.zero_grad()
    mse(recovery(embedder(x)), x).backward()
    opt_er.step()

with torch.no_grad():
    h_held = embedder(data.walks(400, "held"))


def moments(h_hat, h):
    v = (h_hat.std(0) - h.std(0)).abs().mean()
    return v + (h_hat.mean(0) - h.mean(0)).abs().mean()


watch = watch(
    generator,
    discriminator,
    loss="non_saturating",
    optimizers=(opt_g, opt_d),
    sample=lambda: generator(random_generator(400)),
    held_out=h_held,
)

print("joint training")
for it in range(steps):
    x = get_batch()
    with torch.no_grad():
        h = embedder(x)
    z = random_generator(BATCH)
    # generator
    opt_g.zero_grad()
    h_hat = generator(z)
    y_fake = discriminator(h_hat)
    g_loss_u = bce(y_fake, torch.ones_like(y_fake))
    g_loss_v = moments(h_hat, h)
    g_loss = g_loss_u + 0.5 * g_loss_v
    g_loss.backward()
    opt_g.step()
    # discriminator
    opt_d.zero_grad()
    y_real = discriminator(h)
    y_fake = discriminator(h_hat.detach())
    d_loss = bce(y_real, torch.ones_like(y_real)) + bce(y_fake, torch.zeros_like(y_fake))
    d_loss.backward()
    opt_d.step()
    watch.step(h, z)
