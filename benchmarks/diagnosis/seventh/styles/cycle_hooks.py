# two domains of points, one turned into the other and back
import argparse
import itertools

import torch
import torch.nn as nn

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=64, help="size of the batches")
parser.add_argument("--lr", type=float, default=0.003, help="adam: learning rate")
parser.add_argument("--b1", type=float, default=0.5, help="adam: decay of first order momentum of gradient")
parser.add_argument("--b2", type=float, default=0.999, help="adam: decay of second order momentum of gradient")
parser.add_argument("--lambda_cyc", type=float, default=1.0, help="cycle loss weight")
opt = parser.parse_args([])

torch.manual_seed(seed)

criterion_GAN = torch.nn.MSELoss()
criterion_cycle = torch.nn.L1Loss()


class ResidualBlock(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, features))

    def forward(self, x):
        return x + self.block(x)


def GeneratorResNet():
    return nn.Sequential(nn.Linear(2, 48), nn.ReLU(), ResidualBlock(48), nn.Linear(48, 2))


def Discriminator():
    return nn.Sequential(nn.Linear(2, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2), nn.Linear(48, 1))


G_AB, G_BA = GeneratorResNet(), GeneratorResNet()
D_A, D_B = Discriminator(), Discriminator()

optimizer_G = torch.optim.Adam(itertools.chain(G_AB.parameters(), G_BA.parameters()), lr=opt.lr, betas=(opt.b1, opt.b2))
optimizer_D_A = torch.optim.Adam(D_A.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))
optimizer_D_B = torch.optim.Adam(D_B.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))

domain_A = data.petals(3000) * 1.2
domain_B = data.vees(3000)
test_A = data.petals(500, "held") * 1.2
test_B = data.vees(500, "held")


def lsgan(d_real, d_fake):
    return (
        0.5 * (criterion_GAN(d_real, torch.ones_like(d_real)) + criterion_GAN(d_fake, torch.zeros_like(d_fake))),
        criterion_GAN(d_fake, torch.ones_like(d_fake)),
    )


def loader(x):
    while True:
        yield x[torch.randint(len(x), (opt.batch_size,))]


monitor = watch(
    G_AB,
    D_B,
    loss=lsgan,
    optimizers=(optimizer_G, optimizer_D_B),
    sample=lambda: G_AB(test_A),
    held_out=test_B,
)
for i, (real_A, real_B) in enumerate(zip(loader(domain_A), loader(domain_B))):
    if i == steps:
        break
    valid = torch.ones(opt.batch_size, 1)
    fake = torch.zeros(opt.batch_size, 1)

    #  Train Generators
    optimizer_G.zero_grad()
    fake_B = G_AB(real_A)
    loss_GAN_AB = criterion_GAN(D_B(fake_B), valid)
    fake_A = G_BA(real_B)
    loss_GAN_BA = criterion_GAN(D_A(fake_A), valid)
    loss_cycle = criterion_cycle(G_BA(fake_B), real_A) + criterion_cycle(G_AB(fake_A), real_B)
    loss_G = loss_GAN_AB + loss_GAN_BA + opt.lambda_cyc * loss_cycle
    loss_G.backward()
    optimizer_G.step()

    #  Train Discriminator A
    optimizer_D_A.zero_grad()
    loss_D_A = (criterion_GAN(D_A(real_A), valid) + criterion_GAN(D_A(fake_A.detach()), fake)) / 2
    loss_D_A.backward()
    optimizer_D_A.step()

    #  Train Discriminator B
    optimizer_D_B.zero_grad()
    loss_real = criterion_GAN(D_B(real_B), valid)
    loss_fake = criterion_GAN(D_B(fake_B.detach()), fake)
    loss_D_B = (loss_real + loss_fake) / 2
    loss_D_B.backward()
    optimizer_D_B.step()
    monitor.step(real_B, real_A)
