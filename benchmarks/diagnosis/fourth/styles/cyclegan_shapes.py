import itertools
import random

import torch
from torch import nn


class ImagePool:
    def __init__(self, pool_size):
        self.pool_size, self.images = pool_size, []

    def query(self, images):
        out = []
        for image in images:
            image = image.detach()[None]
            if len(self.images) < self.pool_size:
                self.images.append(image)
                out.append(image)
            elif random.uniform(0, 1) > 0.5:
                k = random.randint(0, self.pool_size - 1)
                out.append(self.images[k].clone())
                self.images[k] = image
            else:
                out.append(image)
        return torch.cat(out, 0)


class ResidualBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.block = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3), nn.InstanceNorm2d(dim), nn.ReLU(True))

    def forward(self, x):
        return x + self.block(x)


def define_G(cin, cout, ngf=12):
    return nn.Sequential(
        nn.Conv2d(cin, ngf, 5, padding=2), nn.InstanceNorm2d(ngf), nn.ReLU(True),
        nn.Conv2d(ngf, 2 * ngf, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * ngf), nn.ReLU(True),
        ResidualBlock(2 * ngf),
        nn.ConvTranspose2d(2 * ngf, ngf, 4, 2, 1), nn.InstanceNorm2d(ngf), nn.ReLU(True),
        nn.Conv2d(ngf, cout, 5, padding=2), nn.Tanh(),
    )  # fmt: skip


def define_D(cin, ndf=12):
    return nn.Sequential(
        nn.Conv2d(cin, ndf, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(ndf, 2 * ndf, 4, 2, 1), nn.InstanceNorm2d(2 * ndf),
        nn.LeakyReLU(0.2), nn.Conv2d(2 * ndf, 1, 3, 1, 1),
    )  # fmt: skip


class GANLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("real_label", torch.tensor(1.0))
        self.register_buffer("fake_label", torch.tensor(0.0))

    def __call__(self, prediction, target_is_real):
        target = self.real_label if target_is_real else self.fake_label
        return nn.functional.mse_loss(prediction, target.expand_as(prediction))


torch.manual_seed(seed)
random.seed(seed)
netG_A, netG_B = define_G(1, 3), define_G(3, 1)
netD_A, netD_B = define_D(3), define_D(1)
criterionGAN, criterionCycle = GANLoss(), nn.L1Loss()
lambda_A = lambda_B = 4.0
optimizer_G = torch.optim.Adam(itertools.chain(netG_A.parameters(), netG_B.parameters()), lr=0.002, betas=(0.5, 0.999))
optimizer_D = torch.optim.Adam(itertools.chain(netD_A.parameters(), netD_B.parameters()), lr=0.002, betas=(0.5, 0.999))
fake_A_pool, fake_B_pool = ImagePool(24), ImagePool(24)

photos = data.shapes(900).permute(0, 3, 1, 2).float() / 127.5 - 1
trainB, trainA = photos[:450], data.outline(photos[450:])
held = data.shapes(400, "held").permute(0, 3, 1, 2).float() / 127.5 - 1
testA = data.outline(held)


def set_requires_grad(nets, requires_grad=False):
    for net in nets:
        for param in net.parameters():
            param.requires_grad = requires_grad


def backward_D_basic(netD, real, fake):
    pred_real = netD(real)
    loss_D_real = criterionGAN(pred_real, True)
    pred_fake = netD(fake.detach())
    loss_D_fake = criterionGAN(pred_fake, False)
    loss_D = (loss_D_real + loss_D_fake) * 0.5
    loss_D.backward()
    return loss_D


def loss(d_real, d_fake):
    return 0.5 * ((d_real - 1) ** 2).mean() + 0.5 * (d_fake**2).mean(), ((d_fake - 1) ** 2).mean()


monitor = watch(
    netG_A,
    netD_A,
    loss=loss,
    optimizers=(optimizer_G, optimizer_D),
    sample=lambda: netG_A(testA),
    held_out=held,
)
for total_iters in range(steps):
    real_A = trainA[torch.randperm(len(trainA))[:8]]
    real_B = trainB[torch.randperm(len(trainB))[:8]]

    fake_B = netG_A(real_A)
    rec_A = netG_B(fake_B)
    fake_A = netG_B(real_B)
    rec_B = netG_A(fake_A)

    set_requires_grad([netD_A, netD_B], False)
    optimizer_G.zero_grad()
    loss_G_A = criterionGAN(netD_A(fake_B), True)
    loss_G_B = criterionGAN(netD_B(fake_A), True)
    loss_cycle_A = criterionCycle(rec_A, real_A) * lambda_A
    loss_cycle_B = criterionCycle(rec_B, real_B) * lambda_B
    loss_G = loss_G_A + loss_G_B + loss_cycle_A + loss_cycle_B
    loss_G.backward()
    optimizer_G.step()

    set_requires_grad([netD_A, netD_B], True)
    optimizer_D.zero_grad()
    loss_D_A = backward_D_basic(netD_A, real_B, fake_B_pool.query(fake_B))
    loss_D_B = backward_D_basic(netD_B, real_A, fake_A_pool.query(fake_A))
    optimizer_D.step()
    monitor.step(real_B, real_A)
