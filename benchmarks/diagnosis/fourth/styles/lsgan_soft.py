import argparse
import os

import torch
import torch.nn as nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--n_epochs", type=int, default=1 + steps // 25)
parser.add_argument("--batch_size", type=int, default=48)
parser.add_argument("--lr", type=float, default=0.002)
parser.add_argument("--b1", type=float, default=0.5)
parser.add_argument("--b2", type=float, default=0.999)
parser.add_argument("--latent_dim", type=int, default=20)
parser.add_argument("--channels", type=int, default=1)
parser.add_argument("--valid", type=float, default=0.9)
parser.add_argument("--fake", type=float, default=0.1)
opt = parser.parse_args([])


def weights_init_normal(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        torch.nn.init.normal_(m.weight.data, 0.0, 0.08)
    elif classname.find("BatchNorm") != -1:
        torch.nn.init.normal_(m.weight.data, 1.0, 0.02)
        torch.nn.init.constant_(m.bias.data, 0.0)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Sequential(nn.Linear(opt.latent_dim, 32 * 2 * 2))
        self.conv_blocks = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(32, 32, 3, stride=1, padding=1),
            nn.BatchNorm2d(32),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(32, 16, 3, stride=1, padding=1),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(16, opt.channels, 3, stride=1, padding=1),
            nn.Tanh(),
        )

    def forward(self, z):
        out = self.l1(z)
        out = out.view(out.shape[0], 32, 2, 2)
        return self.conv_blocks(out)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()

        def discriminator_block(in_filters, out_filters, bn=True):
            block = [nn.Conv2d(in_filters, out_filters, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
            if bn:
                block.append(nn.BatchNorm2d(out_filters))
            return block

        self.model = nn.Sequential(*discriminator_block(opt.channels, 16, bn=False), *discriminator_block(16, 32))
        self.adv_layer = nn.Linear(32 * 2 * 2, 1)

    def forward(self, img):
        out = self.model(img)
        out = out.view(out.shape[0], -1)
        return self.adv_layer(out)


torch.manual_seed(seed)
adversarial_loss = torch.nn.MSELoss()
generator = Generator()
discriminator = Discriminator()
generator.apply(weights_init_normal)
discriminator.apply(weights_init_normal)
ema_generator = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.9))

images, targets = data.digits()
images = (images / 16 - 0.5) / 0.5
dataloader = DataLoader(TensorDataset(images, targets), batch_size=opt.batch_size, shuffle=True, drop_last=True)

optimizer_G = torch.optim.Adam(generator.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))


def claimed(d_real, d_fake):
    d_loss = 0.5 * ((d_real - opt.valid) ** 2).mean() + 0.5 * ((d_fake - opt.fake) ** 2).mean()
    return d_loss, ((d_fake - opt.valid) ** 2).mean()


def sample():
    ema_generator.eval()
    return ema_generator(torch.randn(500, opt.latent_dim))


monitor = watch(
    generator,
    discriminator,
    loss=claimed,
    optimizers=(optimizer_G, optimizer_D),
    sample=sample,
    ema=ema_generator,
    held_out=(data.digits("held")[0] / 16 - 0.5) / 0.5,
)
batches_done = 0
for epoch in range(opt.n_epochs):
    for i, (imgs, _) in enumerate(dataloader):
        valid = torch.full((imgs.shape[0], 1), opt.valid)
        fake = torch.full((imgs.shape[0], 1), opt.fake)
        real_imgs = imgs

        optimizer_G.zero_grad()
        z = torch.randn(imgs.shape[0], opt.latent_dim)
        gen_imgs = generator(z)
        g_loss = adversarial_loss(discriminator(gen_imgs), valid)
        g_loss.backward()
        optimizer_G.step()

        optimizer_D.zero_grad()
        real_loss = adversarial_loss(discriminator(real_imgs), valid)
        fake_loss = adversarial_loss(discriminator(gen_imgs.detach()), fake)
        d_loss = 0.5 * (real_loss + fake_loss)
        d_loss.backward()
        optimizer_D.step()

        ema_generator.update_parameters(generator)
        monitor.step(real_imgs, z)
        batches_done += 1
        if batches_done >= steps:
            break
    if batches_done >= steps:
        break
