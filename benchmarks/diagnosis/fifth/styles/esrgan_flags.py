# super-resolution 4x4 -> 8x8, relativistic average critic, warm-up by pixels first
import torch
import torch.nn as nn
import torch.nn.functional as F


class DenseResidualBlock(nn.Module):
    def __init__(self, filters, res_scale=0.2):
        super().__init__()
        self.res_scale = res_scale
        self.b1 = nn.Sequential(nn.Conv2d(filters, filters, 3, 1, 1), nn.LeakyReLU())
        self.b2 = nn.Conv2d(2 * filters, filters, 3, 1, 1)

    def forward(self, x):
        return self.b2(torch.cat([x, self.b1(x)], 1)).mul(self.res_scale) + x


class GeneratorRRDB(nn.Module):
    def __init__(self, filters=16):
        super().__init__()
        self.conv1 = nn.Conv2d(3, filters, 3, 1, 1)
        self.res_blocks = nn.Sequential(DenseResidualBlock(filters), DenseResidualBlock(filters))
        self.upsampling = nn.Sequential(nn.Conv2d(filters, filters * 4, 3, 1, 1), nn.LeakyReLU(), nn.PixelShuffle(2))
        self.conv3 = nn.Sequential(nn.Conv2d(filters, filters, 3, 1, 1), nn.LeakyReLU(), nn.Conv2d(filters, 3, 3, 1, 1))

    def forward(self, x):
        out = self.conv1(x)
        return self.conv3(self.upsampling(out + self.res_blocks(out)))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 1, 3, 1, 1)
        )

    def forward(self, img):
        return self.model(img).mean((1, 2, 3))


def main():
    torch.manual_seed(seed)
    warmup_batches, lambda_adv, lambda_pixel, batch_size = 5, 0.3, 1.0, 16
    generator, discriminator = GeneratorRRDB(), Discriminator()
    bce, l1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
    optimizer_G = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.9, 0.999))
    optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=5e-4, betas=(0.9, 0.999))
    mean, std = 100.0, 70.0
    hr = (data.flags(1024)[0] - mean) / std
    hr_held = (data.flags(400, "held")[0] - mean) / std

    def shrink(x):
        return F.avg_pool2d(x, 2)

    def relativistic(real, fake):
        valid, wrong = torch.ones_like(real), torch.zeros_like(fake)
        d = (bce(real - fake.mean(0, keepdim=True), valid) + bce(fake - real.mean(0, keepdim=True), wrong)) / 2
        g = lambda_adv * bce(fake - real.mean(0, keepdim=True), valid)
        return d, g

    # pixels alone
    for _ in range(warmup_batches):
        imgs = hr[torch.randint(0, len(hr), (batch_size,))]
        optimizer_G.zero_grad()
        l1(generator(shrink(imgs)), imgs).backward()
        optimizer_G.step()

    w = watch(
        generator,
        discriminator,
        loss=relativistic,
        optimizers=(optimizer_G, optimizer_D),
        sample=lambda: generator(shrink(hr_held)),
        held_out=hr_held,
    )
    for _ in range(steps):
        imgs_hr = hr[torch.randint(0, len(hr), (batch_size,))]
        imgs_lr = shrink(imgs_hr)
        valid = torch.ones(batch_size)
        wrong = torch.zeros(batch_size)

        # generators
        optimizer_G.zero_grad()
        gen_hr = generator(imgs_lr)
        loss_pixel = l1(gen_hr, imgs_hr)
        pred_real = discriminator(imgs_hr).detach()
        pred_fake = discriminator(gen_hr)
        loss_GAN = bce(pred_fake - pred_real.mean(0, keepdim=True), valid)
        loss_G = lambda_adv * loss_GAN + lambda_pixel * loss_pixel
        loss_G.backward()
        optimizer_G.step()

        # discriminator
        optimizer_D.zero_grad()
        pred_real = discriminator(imgs_hr)
        pred_fake = discriminator(gen_hr.detach())
        loss_real = bce(pred_real - pred_fake.mean(0, keepdim=True), valid)
        loss_fake = bce(pred_fake - pred_real.mean(0, keepdim=True), wrong)
        loss_D = (loss_real + loss_fake) / 2
        loss_D.backward()
        optimizer_D.step()
        w.step(imgs_hr, imgs_lr)


main()
