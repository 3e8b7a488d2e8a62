import argparse

import numpy as np
import torch
import torch.nn as nn

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=64)
parser.add_argument("--lr_g", type=float, default=0.0015)
parser.add_argument("--lr_d", type=float, default=0.003)
parser.add_argument("--latent_dim", type=int, default=8)
parser.add_argument("--n_classes", type=int, default=6)
opt = parser.parse_args([])
torch.manual_seed(seed)
np.random.seed(seed)


class Generator(nn.Module):
    def __init__(self):
        super(Generator, self).__init__()
        self.label_emb = nn.Embedding(opt.n_classes, opt.n_classes)
        self.model = nn.Sequential(
            nn.Linear(opt.latent_dim + opt.n_classes, 64),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(64, 64),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(64, 2),
        )

    def forward(self, noise, labels):
        # Concatenate label embedding and noise
        gen_input = torch.cat((self.label_emb(labels), noise), -1)
        return self.model(gen_input)


class Discriminator(nn.Module):
    def __init__(self):
        super(Discriminator, self).__init__()
        self.label_embedding = nn.Embedding(opt.n_classes, opt.n_classes)
        self.model = nn.Sequential(
            nn.Linear(2 + opt.n_classes, 96),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(96, 96),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(96, 1),
        )

    def forward(self, points, labels):
        d_in = torch.cat((points, self.label_embedding(labels)), -1)
        return self.model(d_in)


adversarial_loss = torch.nn.MSELoss()
generator = Generator()
discriminator = Discriminator()
optimizer_G = torch.optim.Adam(generator.parameters(), lr=opt.lr_g, betas=(0.0, 0.99))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=opt.lr_d, betas=(0.0, 0.99))
X, Y = data.spokes(3000)
X_test, Y_test = data.spokes(500, "held")
hot = lambda y: torch.nn.functional.one_hot(y, opt.n_classes).float()


def draw(n, labels):
    noise = torch.tensor(np.random.normal(0, 1, (n, opt.latent_dim)), dtype=torch.float32)
    return generator(noise, labels)


def judge():
    return torch.cat((draw(500, Y_test), hot(Y_test)), 1), torch.cat((X_test, hot(Y_test)), 1)


def ls_loss(real_pred, fake_pred):
    one, zero = torch.ones_like(fake_pred), torch.zeros_like(fake_pred)
    return (adversarial_loss(real_pred, one) + adversarial_loss(fake_pred, zero)) / 2, adversarial_loss(fake_pred, one)


monitor = watch(
    generator,
    discriminator,
    loss=ls_loss,
    optimizers=(optimizer_G, optimizer_D),
    sample=lambda: draw(500, Y_test),
    held_out=X_test,
)
for i in range(steps):
    idx = np.random.randint(0, len(X), opt.batch_size)
    real_imgs, labels = X[idx], Y[idx]
    valid = torch.ones(opt.batch_size, 1)
    fake = torch.zeros(opt.batch_size, 1)

    # -----------------
    #  Train Generator
    # -----------------
    optimizer_G.zero_grad()
    z = torch.tensor(np.random.normal(0, 1, (opt.batch_size, opt.latent_dim)), dtype=torch.float32)
    gen_labels = labels
    gen_imgs = generator(z, gen_labels)
    validity = discriminator(gen_imgs, gen_labels)
    g_loss = adversarial_loss(validity, valid)
    g_loss.backward()
    optimizer_G.step()

    # ---------------------
    #  Train Discriminator
    # ---------------------
    optimizer_D.zero_grad()
    validity_real = discriminator(real_imgs, labels)
    d_real_loss = adversarial_loss(validity_real, valid)
    validity_fake = discriminator(gen_imgs.detach(), gen_labels)
    d_fake_loss = adversarial_loss(validity_fake, fake)
    d_loss = (d_real_loss + d_fake_loss) / 2
    d_loss.backward()
    optimizer_D.step()
    monitor.step(real_imgs, z, labels)
