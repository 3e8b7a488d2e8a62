import torch
import torch.nn as nn
from torch.nn.utils import spectral_norm


class SelfAttn(nn.Module):
    def __init__(self, ch, sn):
        super().__init__()
        self.f, self.g, self.h = sn(nn.Conv2d(ch, ch // 4, 1)), sn(nn.Conv2d(ch, ch // 4, 1)), sn(nn.Conv2d(ch, ch, 1))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        b, c, h, w = x.shape
        beta = torch.softmax(self.f(x).flatten(2).transpose(1, 2) @ self.g(x).flatten(2), dim=1)
        return self.gamma * (self.h(x).flatten(2) @ beta).view(b, c, h, w) + x


class SAGenerator(nn.Module):
    def __init__(self, z_dim=16, ch=16):
        super().__init__()
        self.l1 = nn.Linear(z_dim, 2 * ch * 4)
        self.body = nn.Sequential(
            nn.BatchNorm2d(2 * ch), nn.ReLU(), nn.ConvTranspose2d(2 * ch, 2 * ch, 4, 2, 1), nn.BatchNorm2d(2 * ch), nn.ReLU(),
            SelfAttn(2 * ch, lambda m: m), nn.ConvTranspose2d(2 * ch, ch, 4, 2, 1), nn.BatchNorm2d(ch), nn.ReLU(),
            nn.Conv2d(ch, 3, 3, 1, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.body(self.l1(z).view(len(z), -1, 2, 2))


class SADiscriminator(nn.Module):
    def __init__(self, ch=16):
        super().__init__()
        sn = spectral_norm
        self.conv1 = sn(nn.Conv2d(3, ch, 4, 2, 1))
        self.attn = SelfAttn(ch, sn)
        self.conv2 = sn(nn.Conv2d(ch, 2 * ch, 4, 2, 1))
        self.conv3 = sn(nn.Conv2d(2 * ch, 4 * ch, 2, 1, 0))
        self.fc = sn(nn.Linear(4 * ch, 1))
        self.act = nn.LeakyReLU(0.1)

    def forward(self, x):
        h = self.act(self.conv1(x))
        h = self.attn(h)
        h = self.act(self.conv2(h))
        h = self.act(self.conv3(h))
        return self.fc(h.flatten(1)).squeeze()


class Trainer:
    def __init__(self, g_lr=2e-3, d_lr=4e-3, batch_size=32, z_dim=16):
        torch.manual_seed(seed)
        self.g_lr, self.d_lr, self.batch_size, self.z_dim = g_lr, d_lr, batch_size, z_dim
        self.data = data.flags(1024)[0] / 127.5 - 1
        self.build_model()

    def build_model(self):
        self.G, self.D = SAGenerator(self.z_dim), SADiscriminator()
        self.g_optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, self.G.parameters()), self.g_lr, (0.0, 0.9))
        self.d_optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, self.D.parameters()), self.d_lr, (0.0, 0.9))

    def tensor2var(self, x, grad=False):
        return x.clone().requires_grad_(grad)

    def reset_grad(self):
        self.d_optimizer.zero_grad()
        self.g_optimizer.zero_grad()

    def sample(self):
        return self.G(torch.randn(400, self.z_dim))

    def train(self, watch):
        watch = watch(
            self.G,
            self.D,
            loss="hinge",
            penalty="spectral_norm",
            optimizers=(self.g_optimizer, self.d_optimizer),
            sample=self.sample,
            held_out=data.flags(400, "held")[0] / 127.5 - 1,
        )
        for step in range(steps):
            self.D.train()
            self.G.train()
            real_images = self.data[torch.randint(0, len(self.data), (self.batch_size,))]
            d_out_real = self.D(self.tensor2var(real_images))
            d_loss_real = torch.nn.ReLU()(1.0 - d_out_real).mean()
            z = self.tensor2var(torch.randn(real_images.size(0), self.z_dim))
            fake_images = self.G(z)
            d_out_fake = self.D(fake_images)
            d_loss_fake = torch.nn.ReLU()(1.0 + d_out_fake).mean()
            d_loss = d_loss_real + d_loss_fake
            self.reset_grad()
            d_loss.backward()
            self.d_optimizer.step()

            z = self.tensor2var(torch.randn(real_images.size(0), self.z_dim))
            fake_images = self.G(z)
            g_out_fake = self.D(fake_images)
            g_loss_fake = -g_out_fake.mean()
            self.reset_grad()
            g_loss_fake.backward()
            self.g_optimizer.step()
            watch.step(real_images, z)


Trainer().train(watch)
