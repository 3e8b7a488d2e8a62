import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset


def set_requires_grad(net, flag):
    for p in net.parameters():
        p.requires_grad_(flag)


class ConvG(nn.Module):
    def __init__(self, latent_dim=12, width=14):
        super().__init__()
        self.fc = nn.Linear(latent_dim, width * 16)
        self.blocks = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1), nn.Tanh(),
        )
        self.width = width

    def forward(self, z):
        return self.blocks(self.fc(z).view(-1, self.width, 4, 4))


class ConvD(nn.Module):
    def __init__(self, width=14):
        super().__init__()
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(1, width, 3, 1, 1)), nn.LeakyReLU(0.1),
            spectral_norm(nn.Conv2d(width, width * 2, 4, 2, 1)), nn.LeakyReLU(0.1),
            spectral_norm(nn.Conv2d(width * 2, width * 2, 4, 2, 1)), nn.LeakyReLU(0.1),
        )
        self.head = spectral_norm(nn.Linear(width * 8, 1))

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


class Trainer:
    def __init__(self, config):
        self.config = config
        torch.manual_seed(config["seed"])
        x, y = data.digits("train")
        self.loader = DataLoader(TensorDataset(x.float() / 255 * 2 - 1, y), config["batch"], shuffle=True, drop_last=True)
        self.valid = data.digits("test")[0].float() / 255 * 2 - 1
        self.build_model()
        self.step = 0

    def build_model(self):
        self.G = ConvG(self.config["latent_dim"])
        self.D = ConvD()
        self.g_optimizer = torch.optim.Adam(self.G.parameters(), self.config["g_lr"], (0.0, 0.9))
        self.d_optimizer = torch.optim.Adam(self.D.parameters(), self.config["d_lr"], (0.0, 0.9))

    def latent(self, n):
        return torch.randn(n, self.config["latent_dim"])

    def reset_grad(self):
        self.d_optimizer.zero_grad()
        self.g_optimizer.zero_grad()

    def train_discriminator(self, real, z):
        set_requires_grad(self.D, True)
        fake = self.G(z).detach()
        d_out_real = self.D(real)
        d_out_fake = self.D(fake)
        d_loss_real = torch.relu(1.0 - d_out_real).mean()
        d_loss_fake = torch.relu(1.0 + d_out_fake).mean()
        d_loss = d_loss_real + d_loss_fake
        self.reset_grad()
        d_loss.backward()
        self.d_optimizer.step()
        return d_loss.item()

    def train_generator(self, z):
        set_requires_grad(self.D, False)
        g_loss = -self.D(self.G(z)).mean()
        self.reset_grad()
        g_loss.backward()
        self.g_optimizer.step()
        return g_loss.item()

    @torch.no_grad()
    def sample(self, n=500):
        self.G.eval()
        out = self.G(self.latent(n))
        self.G.train()
        return out

    def train(self):
        cfg = self.config
        self.monitor = watch(self.G, self.D, loss="hinge", penalty="spectral_norm",
                             optimizers=(self.g_optimizer, self.d_optimizer), sample=self.sample, held_out=self.valid)
        while self.step < cfg["total_step"]:
            for real, _ in self.loader:
                z = self.latent(len(real))
                d_loss = self.train_discriminator(real, z)
                z = self.latent(len(real))
                g_loss = self.train_generator(z)
                self.monitor.step(real, z)
                self.step += 1
                if self.step % 50 == 10:
                    self.snapshot = self.sample(16)
                if self.step == cfg["total_step"]:
                    break


trainer = Trainer(dict(seed=seed, batch=48, latent_dim=12, g_lr=2e-3, d_lr=2e-3, total_step=steps))
trainer.train()
