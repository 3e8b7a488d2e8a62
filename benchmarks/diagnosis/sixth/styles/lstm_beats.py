# series by an LSTM, least squares, a rate that falls by epoch
import torch
import torch.nn as nn

torch.manual_seed(seed)
SEQ_LEN, NOISE_DIM, HIDDEN, BATCH = 16, 5, 32, 32
LR_G, LR_D = 4e-3, 1e-3
PER_EPOCH = 20


class LSTMGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(NOISE_DIM, HIDDEN, batch_first=True)
        self.linear = nn.Sequential(nn.Linear(HIDDEN, 1), nn.Tanh())

    def forward(self, x):
        h0 = torch.zeros(1, x.size(0), HIDDEN)
        c0 = torch.zeros(1, x.size(0), HIDDEN)
        out, _ = self.lstm(x, (h0, c0))
        return self.linear(out)


class ConvDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 24, 5, padding=2), nn.LeakyReLU(0.2), nn.Conv1d(24, 24, 5, 2, 2), nn.LeakyReLU(0.2))
        self.linear = nn.Linear(24 * 8, 1)

    def forward(self, x):
        return self.linear(self.conv(x.transpose(1, 2)).flatten(1))


netG = LSTMGenerator()
netD = ConvDiscriminator()
optimG = torch.optim.Adam(netG.parameters(), lr=LR_G, betas=(0.5, 0.999))
optimD = torch.optim.Adam(netD.parameters(), lr=LR_D, betas=(0.5, 0.999))
schedG = torch.optim.lr_scheduler.ExponentialLR(optimG, gamma=0.95)
schedD = torch.optim.lr_scheduler.ExponentialLR(optimD, gamma=0.95)
mse = nn.MSELoss()
series = data.beats(2048)


def noise(n):
    return torch.randn(n, SEQ_LEN, NOISE_DIM)


def targets(scores, real):
    return torch.ones_like(scores) if real else torch.zeros_like(scores)


def lsgan(d_real, d_fake):
    return mse(d_real, targets(d_real, True)) + mse(d_fake, targets(d_fake, False)), mse(d_fake, targets(d_fake, True))


watch = watch(
    netG,
    netD,
    loss=lsgan,
    optimizers=(optimG, optimD),
    sample=lambda: netG(noise(500)),
    held_out=data.beats(500, "held"),
)
for it in range(steps):
    order = torch.randperm(len(series))[:BATCH]
    real = series[order]
    # discriminator
    netD.zero_grad()
    out_real = netD(real)
    loss_real = mse(out_real, targets(out_real, True))
    loss_real.backward()
    with torch.no_grad():
        fake = netG(noise(BATCH))
    out_fake = netD(fake)
    loss_fake = mse(out_fake, targets(out_fake, False))
    loss_fake.backward()
    optimD.step()
    # generator
    netG.zero_grad()
    z = noise(BATCH)
    out = netD(netG(z))
    loss_g = mse(out, targets(out, True))
    loss_g.backward()
    optimG.step()
    if (it + 1) % PER_EPOCH == 0:
        schedG.step()
        schedD.step()
    watch.step(real, z)
