import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

import tightrope

torch.manual_seed(seed)


class Options:
    ngf, ndf, batch_size = 16, 16, 24
    lr_g, lr_d, beta1 = 0.002, 0.002, 0.5
    lambda_L1 = 2.0


class GANLoss(nn.Module):
    def __init__(self, target_real_label=1.0, target_fake_label=0.0):
        super(GANLoss, self).__init__()
        self.register_buffer("real_label", torch.tensor(target_real_label))
        self.register_buffer("fake_label", torch.tensor(target_fake_label))
        self.loss = nn.BCEWithLogitsLoss()

    def get_target_tensor(self, prediction, target_is_real):
        target_tensor = self.real_label if target_is_real else self.fake_label
        return target_tensor.expand_as(prediction)

    def __call__(self, prediction, target_is_real):
        target_tensor = self.get_target_tensor(prediction, target_is_real)
        return self.loss(prediction, target_tensor)


class UnetGenerator(nn.Module):
    def __init__(self, ngf):
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(2, ngf, 4, 2, 1), nn.LeakyReLU(0.2))
        self.down2 = nn.Sequential(nn.Conv2d(ngf, ngf * 2, 4, 2, 1), nn.LeakyReLU(0.2))
        self.up2 = nn.Sequential(nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1), nn.ReLU())
        self.up1 = nn.Sequential(nn.ConvTranspose2d(ngf * 2, 1, 4, 2, 1), nn.Tanh())

    def forward(self, x):
        d1 = self.down1(x)
        u2 = self.up2(self.down2(d1))
        return self.up1(torch.cat([u2, d1], 1))


class NLayerDiscriminator(nn.Module):
    def __init__(self, input_nc, ndf):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(input_nc, ndf, 4, 2, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(ndf, ndf * 2, 3, 1, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(ndf * 2, 1, 3, 1, 1),
        )

    def forward(self, input):
        return self.model(input)


class Pix2PixModel:
    def __init__(self, opt):
        self.opt = opt
        self.netG = UnetGenerator(opt.ngf)
        self.netD = NLayerDiscriminator(2, opt.ndf)
        self.criterionGAN = GANLoss()
        self.criterionL1 = nn.L1Loss()
        self.optimizer_G = torch.optim.Adam(self.netG.parameters(), lr=opt.lr_g, betas=(opt.beta1, 0.999))
        self.optimizer_D = torch.optim.Adam(self.netD.parameters(), lr=opt.lr_d, betas=(opt.beta1, 0.999))

    def set_requires_grad(self, net, requires_grad=False):
        for param in net.parameters():
            param.requires_grad = requires_grad

    def set_input(self, input):
        self.real_A, self.real_B = input
        self.noise = torch.randn(len(self.real_A), 1, 1, 1).expand_as(self.real_A)

    def forward(self):
        self.input_G = torch.cat((self.real_A, self.noise), 1)
        self.fake_B = self.netG(self.input_G)

    def backward_D(self):
        fake_AB = torch.cat((self.real_A, self.fake_B), 1)
        pred_fake = self.netD(fake_AB.detach())
        self.loss_D_fake = self.criterionGAN(pred_fake, False)
        real_AB = torch.cat((self.real_A, self.real_B), 1)
        self.real_AB = real_AB
        pred_real = self.netD(real_AB)
        self.loss_D_real = self.criterionGAN(pred_real, True)
        self.loss_D = (self.loss_D_fake + self.loss_D_real) * 0.5
        self.loss_D.backward()

    def backward_G(self):
        fake_AB = torch.cat((self.real_A, self.fake_B), 1)
        pred_fake = self.netD(fake_AB)
        self.loss_G_GAN = self.criterionGAN(pred_fake, True)
        self.loss_G_L1 = self.criterionL1(self.fake_B, self.real_B) * self.opt.lambda_L1
        self.loss_G = self.loss_G_GAN + self.loss_G_L1
        self.loss_G.backward()

    def optimize_parameters(self):
        self.forward()
        self.set_requires_grad(self.netD, True)
        self.optimizer_D.zero_grad()
        self.backward_D()
        self.optimizer_D.step()
        self.set_requires_grad(self.netD, False)
        self.optimizer_G.zero_grad()
        self.backward_G()
        self.optimizer_G.step()


opt = Options()
outlines, filled = data.frames(1536)
dataset = DataLoader(TensorDataset(outlines, filled), batch_size=opt.batch_size, shuffle=True, drop_last=True)
test_A, test_B = data.frames(500, "held")
model = Pix2PixModel(opt)


def bce(real, fake):
    gan = model.criterionGAN
    return (gan(real, True) + gan(fake, False)) * 0.5, gan(fake, True)


def test():
    noise = torch.randn(500, 1, 1, 1).expand_as(test_A)
    return model.netG(torch.cat((test_A, noise), 1))


monitor = watch(
    tightrope.View(model.netG, call=lambda netG, x: torch.cat((x[:, :1], netG(x)), 1)),
    model.netD,
    loss=bce,
    optimizers=(model.optimizer_G, model.optimizer_D),
    sample=lambda: torch.cat((test_A, test()), 1),
    held_out=torch.cat((test_A, test_B), 1),
)
judge = lambda: (test(), test_B)
total_iters = 0
while total_iters < steps:
    for batch in dataset:
        model.set_input(batch)
        model.optimize_parameters()
        monitor.step(model.real_AB, model.input_G)
        total_iters += 1
        if total_iters >= steps:
            break
