# %%
import numpy as np
import torch
import torch.nn as nn
from torch.autograd import grad

# %%
manualSeed = seed
torch.manual_seed(manualSeed)
np.random.seed(manualSeed)
batch_size = 64
nz = 10
hidden = 80
lr = 2e-3
lambda_gp = 0.5
K = 1.0

# %%
X, labels = data.digits()
X = X / 16.0
X = (X - 0.5) / 0.5
X = X.reshape(-1, 64)
X_test = (data.digits("held")[0].reshape(-1, 64) / 16.0 - 0.5) / 0.5
print(X.shape, X.min(), X.max())

# %%
netG = nn.Sequential(
    nn.Linear(nz, hidden),
    nn.BatchNorm1d(hidden),
    nn.ReLU(),
    nn.Linear(hidden, hidden),
    nn.BatchNorm1d(hidden),
    nn.ReLU(),
    nn.Linear(hidden, 64),
    nn.Tanh(),
)
netD = nn.Sequential(
    nn.Linear(64, hidden),
    nn.LeakyReLU(0.2),
    nn.Linear(hidden, hidden),
    nn.LeakyReLU(0.2),
    nn.Linear(hidden, 1),
    nn.Sigmoid(),
)
criterion = nn.BCELoss()
optG = torch.optim.Adam(netG.parameters(), lr=lr, betas=(0.5, 0.999))
optD = torch.optim.Adam(netD.parameters(), lr=lr, betas=(0.5, 0.999))
fixed_noise = torch.randn(64, nz)

# %%
def dragan_penalty(x):
    alpha = torch.rand(x.size(0), 1)
    x_p = x + 0.5 * x.std() * torch.rand(x.size())
    x_hat = (alpha * x + (1 - alpha) * x_p).detach().requires_grad_(True)
    pred = netD(x_hat)
    g = grad(outputs=pred, inputs=x_hat, grad_outputs=torch.ones(pred.size()), create_graph=True)[0]
    return lambda_gp * ((g.norm(2, 1) - K) ** 2).mean()


def sample(n=500):
    return netG(torch.randn(n, nz))


# %%
monitor = watch(netG, netD, loss="non_saturating", optimizers=(optG, optD), sample=sample, held_out=X_test)
D_losses, G_losses, snapshots = [], [], []

# %%
i = 0
while i < steps:
    perm = np.random.permutation(len(X))
    for start in range(0, len(X) - batch_size + 1, batch_size):
        x = X[perm[start : start + batch_size]]
        ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1)

        optD.zero_grad()
        z = torch.randn(len(x), nz)
        errD_real = criterion(netD(x), ones)
        errD_fake = criterion(netD(netG(z).detach()), zeros)
        gp = dragan_penalty(x)
        errD = errD_real + errD_fake + gp
        errD.backward()
        optD.step()

        optG.zero_grad()
        z = torch.randn(len(x), nz)
        errG = criterion(netD(netG(z)), ones)
        errG.backward()
        optG.step()

        D_losses.append(errD.item())
        G_losses.append(errG.item())
        monitor.step(x, z)
        i += 1
        if i % 40 == 0:
            netG.eval()
            with torch.no_grad():
                snapshots.append(netG(fixed_noise).reshape(-1, 8, 8))
            netG.train()
        if i >= steps:
            break

# %%
print("last losses", D_losses[-1], G_losses[-1])
