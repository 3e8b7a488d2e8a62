import torch
import torch.nn as nn
from torch.utils.data import DataLoader


class RecurrentGenerator(nn.Module):
    def __init__(self, noise_dim=4, hidden=24, features=2):
        super().__init__()
        self.noise_dim = noise_dim
        self.rnn = nn.GRU(noise_dim, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, features)

    def forward(self, noise):
        h, _ = self.rnn(noise)
        return torch.sigmoid(self.linear(h))


class ConvCritic(nn.Module):
    def __init__(self, features=2, hidden=32):
        super().__init__()
        self.conv1 = nn.Conv1d(features, hidden, 5, padding=2)
        self.conv2 = nn.Conv1d(hidden, hidden, 5, stride=2, padding=2)
        self.fc = nn.Linear(hidden * 8, 1)

    def forward(self, x):
        h = torch.relu(self.conv1(x.transpose(1, 2)))
        h = torch.relu(self.conv2(h))
        return self.fc(h.flatten(1))


class RCWGAN:
    def __init__(self, params):
        self.p = params
        self.gen = RecurrentGenerator(params["noise_dim"])
        self.crit = ConvCritic()
        self.gen_opt = torch.optim.RMSprop(self.gen.parameters(), lr=params["lr_g"])
        self.crit_opt = torch.optim.RMSprop(self.crit.parameters(), lr=params["lr_c"])

    def noise(self, n):
        shared = torch.randn(n, 1, self.p["noise_dim"]).expand(-1, self.p["seq_len"], -1)
        return shared + 0.1 * torch.randn(n, self.p["seq_len"], self.p["noise_dim"])

    def clip(self):
        with torch.no_grad():
            for w in self.crit.parameters():
                w.clamp_(-self.p["clip"], self.p["clip"])

    def critic_step(self, x):
        self.crit_opt.zero_grad()
        fake = self.gen(self.noise(len(x))).detach()
        loss = -self.crit(x).mean() + self.crit(fake).mean()
        loss.backward()
        self.crit_opt.step()
        self.clip()
        return loss.item()

    def generator_step(self, n):
        z = self.noise(n)
        self.gen_opt.zero_grad()
        loss = -self.crit(self.gen(z)).mean()
        loss.backward()
        self.gen_opt.step()
        return loss.item(), z

    def fit(self, X, steps, monitor):
        loader = DataLoader(X, batch_size=self.p["batch_size"], shuffle=True, drop_last=True)
        n_updates, n_gen = 0, 0
        while n_gen < steps:
            for x in loader:
                c_loss = self.critic_step(x)
                n_updates += 1
                if n_updates % self.p["critic_iters"] == 0:
                    g_loss, z = self.generator_step(len(x))
                    n_gen += 1
                    monitor.step(x, z)
                    if n_gen >= steps:
                        break
        return self


torch.manual_seed(seed)
params = {"noise_dim": 4, "seq_len": 16, "batch_size": 32, "lr_g": 3e-3, "lr_c": 1e-3, "clip": 0.05, "critic_iters": 2}
X = data.series(2000)
model = RCWGAN(params)
monitor = watch(
    model.gen,
    model.crit,
    loss="wasserstein",
    penalty=("clip", params["clip"]),
    optimizers=(model.gen_opt, model.crit_opt),
    sample=lambda: model.gen(model.noise(500)),
    held_out=data.series(500, "held"),
)
model.fit(X, steps, monitor)
