# adversarial autoencoder: codes of images shall look like a ring
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(seed)
n_z, n_hid, batch_size, noise_dim = 2, 96, 64, 2


class Q_net(nn.Module):
    """encoder; a little noise beside the image makes the code random"""

    def __init__(self):
        super().__init__()
        self.lin1 = nn.Linear(64 + noise_dim, n_hid)
        self.lin2 = nn.Linear(n_hid, n_hid)
        self.lin3gauss = nn.Linear(n_hid, n_z)

    def forward(self, x):
        x = F.relu(self.lin1(x))
        x = F.relu(self.lin2(x))
        return self.lin3gauss(x)


class P_net(nn.Module):
    """decoder"""

    def __init__(self):
        super().__init__()
        self.lin1 = nn.Linear(n_z, n_hid)
        self.lin3 = nn.Linear(n_hid, 64)

    def forward(self, c):
        return torch.sigmoid(self.lin3(F.relu(self.lin1(c))))


class D_net_gauss(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin1 = nn.Linear(n_z, 64)
        self.lin2 = nn.Linear(64, 64)
        self.lin3 = nn.Linear(64, 1)

    def forward(self, c):
        h = F.leaky_relu(self.lin1(c), 0.2)
        h = F.leaky_relu(self.lin2(h), 0.2)
        return self.lin3(h)


Q, P, D_gauss = Q_net(), P_net(), D_net_gauss()
# encode/decode, then regularise: the encoder has two optimisers
optim_P = torch.optim.Adam(P.parameters(), lr=2e-3)
optim_Q_gen = torch.optim.Adam(Q.parameters(), lr=2e-3, betas=(0.0, 0.99))
optim_D = torch.optim.Adam(D_gauss.parameters(), lr=4e-3, betas=(0.0, 0.99))
recon_weight = 2.0
X = data.glyphs(2048)[0].flatten(1) / 255
X_val = data.glyphs(500, "held")[0].flatten(1) / 255
prior = data.wreath(4000)


def with_noise(x):
    return torch.cat((x, torch.randn(len(x), noise_dim)), 1)


def bce(score, target):
    return F.binary_cross_entropy_with_logits(score, torch.full_like(score, target))


monitor = watch(
    Q,
    D_gauss,
    loss="non_saturating",
    optimizers=(optim_Q_gen, optim_D),
    sample=lambda: Q(with_noise(X_val)),
    held_out=data.wreath(500, "held"),
)
for step in range(steps):
    x = X[torch.randperm(len(X))[:batch_size]]
    z_real = prior[torch.randperm(len(prior))[:batch_size]]
    inp = with_noise(x)

    # discriminator of codes
    D_gauss.zero_grad()
    D_loss = bce(D_gauss(z_real), 1.0) + bce(D_gauss(Q(inp).detach()), 0.0)
    D_loss.backward()
    optim_D.step()

    # encoder as generator, and reconstruction
    Q.zero_grad()
    P.zero_grad()
    code = Q(inp)
    G_loss = bce(D_gauss(code), 1.0)
    recon_loss = recon_weight * F.mse_loss(P(code), x)
    (G_loss + recon_loss).backward()
    optim_Q_gen.step()
    optim_P.step()
    monitor.step(z_real, inp)
