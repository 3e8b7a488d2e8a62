import torch
import torch.nn as nn

torch.manual_seed(seed)
SEQ, NOISE, HIDDEN, BATCH = 10, 3, 32, 48
LR_G, LR_D, CLIP = 4e-3, 4e-3, 5.0


class GRUGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Linear(NOISE, HIDDEN)
        self.cell = nn.GRUCell(2 + NOISE, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, z):
        h = torch.tanh(self.start(z[:, 0]))
        y = torch.zeros(len(z), 2)
        series = []
        for t in range(SEQ):
            h = self.cell(torch.cat((y, z[:, t]), 1), h)
            y = self.out(h)
            series.append(y)
        return torch.stack(series, 1)


class GRUDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, HIDDEN, batch_first=True)
        self.local = nn.Conv1d(2, HIDDEN, 3, padding=1)
        self.out = nn.Linear(2 * HIDDEN, 1)

    def forward(self, x):
        _, h = self.rnn(x)
        near = torch.relu(self.local(x.transpose(1, 2))).mean(2)
        return self.out(torch.cat((h[0], near), 1))


def sample_noise(n):
    return torch.randn(n, SEQ, NOISE)


class SequenceGAN:
    """fit / sample, as in scikit-learn"""

    def __init__(self):
        self.g, self.d = GRUGenerator(), GRUDiscriminator()
        self.g_opt = torch.optim.Adam(self.g.parameters(), lr=LR_G, betas=(0.5, 0.9))
        self.d_opt = torch.optim.Adam(self.d.parameters(), lr=LR_D, betas=(0.5, 0.9))
        self.mse = nn.MSELoss()

    def d_objective(self, real, fake):
        return self.mse(real, torch.ones_like(real)) + self.mse(fake, torch.zeros_like(fake))

    def g_objective(self, fake):
        return self.mse(fake, torch.ones_like(fake))

    def sample(self, n):
        with torch.no_grad():
            return self.g(sample_noise(n))

    def fit(self, series, n_iter):
        monitor = watch(
            self.g,
            self.d,
            loss=lambda real, fake: (self.d_objective(real, fake), self.g_objective(fake)),
            optimizers={"generator": self.g_opt, "critic": self.d_opt},
            sample=lambda: self.sample(500),
            held_out=data.ticks(500, "held"),
        )
        for _ in range(n_iter):
            real = series[torch.randint(0, len(series), (BATCH,))]
            self.d_opt.zero_grad()
            loss_d = self.d_objective(self.d(real), self.d(self.sample(BATCH)))
            loss_d.backward()
            nn.utils.clip_grad_norm_(self.d.parameters(), CLIP)
            self.d_opt.step()

            noise = sample_noise(BATCH)
            self.g_opt.zero_grad()
            loss_g = self.g_objective(self.d(self.g(noise)))
            loss_g.backward()
            nn.utils.clip_grad_norm_(self.g.parameters(), CLIP)
            self.g_opt.step()
            monitor.step(real, noise)
        return self


model = SequenceGAN().fit(data.ticks(3000), steps)
