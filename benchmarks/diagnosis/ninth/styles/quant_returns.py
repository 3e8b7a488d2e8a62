import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.nn.utils.parametrizations import weight_norm

torch.manual_seed(seed)
np.random.seed(seed)

batch_size, nz, seq_len, lr = 32, 3, 16, 2e-3
receptive = 12  # noise before the first day


class TemporalBlock(nn.Module):
    def __init__(self, n_inputs, n_hidden, n_outputs, kernel_size, dilation):
        super().__init__()
        self.conv1 = weight_norm(nn.Conv1d(n_inputs, n_hidden, kernel_size, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(n_hidden, n_outputs, 1))
        self.net = nn.Sequential(self.conv1, nn.PReLU(), self.conv2, nn.PReLU())
        self.cut = (kernel_size - 1) * dilation
        self.downsample = nn.Conv1d(n_inputs, n_outputs, 1) if n_inputs != n_outputs else None

    def forward(self, x):
        out = self.net(x)
        res = x if self.downsample is None else self.downsample(x)
        return out + res[:, :, self.cut :]


class Generator(nn.Module):
    def __init__(self, hidden=12):
        super().__init__()
        self.tcn = nn.ModuleList(
            [TemporalBlock(nz, hidden, hidden, 2, 1), *[TemporalBlock(hidden, hidden, hidden, 2, i) for i in (2, 3, 6)]]
        )
        self.last = nn.Conv1d(hidden, 1, 1)

    def forward(self, x):
        for layer in self.tcn:
            x = layer(x)
        return self.last(x)


class Discriminator(nn.Module):
    def __init__(self, hidden=12):
        super().__init__()
        self.tcn = nn.ModuleList([TemporalBlock(1, hidden, hidden, 2, 1), TemporalBlock(hidden, hidden, hidden, 2, 2)])
        self.last = nn.Conv1d(hidden, 1, 1)
        self.to_prob = nn.Linear(seq_len - 3, 1)

    def forward(self, x):
        for layer in self.tcn:
            x = layer(x)
        return torch.sigmoid(self.to_prob(self.last(x).squeeze(1)))


log_returns = data.returns(3000).numpy()
mean, std = log_returns.mean(), log_returns.std()
log_returns_preprocessed = (log_returns - mean) / std
held_out = (data.returns(500, "held") - float(mean)) / float(std)

netG, netD = Generator(), Discriminator()
criterion = nn.BCELoss()
optD = optim.Adam(netD.parameters(), lr=lr, betas=(0.5, 0.999))
optG = optim.Adam(netG.parameters(), lr=lr / 4, betas=(0.5, 0.99))


def bce(p_real, p_fake):
    ones, zeros = torch.ones_like(p_real), torch.zeros_like(p_fake)
    return criterion(p_real, ones) + criterion(p_fake, zeros), criterion(p_fake, torch.ones_like(p_fake))


def get_noise(n):
    return torch.randn(n, nz, seq_len + receptive)


monitor = watch(
    netG, netD, loss=bce, optimizers=(optG, optD), sample=lambda: netG(get_noise(500)), held_out=held_out
)
update, epoch = 0, 0
while update < steps:
    np.random.shuffle(log_returns_preprocessed)
    for i in range(len(log_returns_preprocessed) // batch_size):
        netD.zero_grad()
        real = torch.from_numpy(log_returns_preprocessed[i * batch_size : (i + 1) * batch_size])
        noise = get_noise(batch_size)
        fake = netG(noise)

        disc_loss = criterion(netD(real), torch.full((batch_size, 1), 1.0)) + criterion(
            netD(fake.detach()), torch.full((batch_size, 1), 0.0)
        )
        disc_loss.backward()
        optD.step()

        netG.zero_grad()
        gen_loss = criterion(netD(fake), torch.full((batch_size, 1), 1.0))
        gen_loss.backward()
        optG.step()
        update += 1
        monitor.step(real.clone(), noise)
        if update == steps:
            break
    epoch += 1
