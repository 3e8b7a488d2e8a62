import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

from tightrope import View


class UNetDown(nn.Module):
    def __init__(self, in_size, out_size, normalize=True, dropout=0.0):
        super().__init__()
        layers = [nn.Conv2d(in_size, out_size, 4, 2, 1, bias=False)]
        if normalize:
            layers.append(nn.BatchNorm2d(out_size))
        layers.append(nn.LeakyReLU(0.2))
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class UNetUp(nn.Module):
    def __init__(self, in_size, out_size, dropout=0.0):
        super().__init__()
        layers = [nn.ConvTranspose2d(in_size, out_size, 4, 2, 1, bias=False), nn.BatchNorm2d(out_size), nn.ReLU(True)]
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*layers)

    def forward(self, x, skip_input):
        return torch.cat((self.model(x), skip_input), 1)


class GeneratorUNet(nn.Module):
    def __init__(self, in_channels=1, out_channels=3):
        super().__init__()
        self.down1 = UNetDown(in_channels, 12, normalize=False)
        self.down2 = UNetDown(12, 24)
        self.down3 = UNetDown(24, 32, dropout=0.2)
        self.up1 = UNetUp(32, 24, dropout=0.2)
        self.up2 = UNetUp(48, 12)
        self.final = nn.Sequential(nn.ConvTranspose2d(24, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, out_channels, 3, 1, 1), nn.Tanh())

    def forward(self, x):
        d1 = self.down1(x)
        d2 = self.down2(d1)
        d3 = self.down3(d2)
        return self.final(self.up2(self.up1(d3, d2), d1))


class Discriminator(nn.Module):
    def __init__(self, in_channels=3, condition=1):
        super().__init__()

        def block(in_filters, out_filters, normalization=True):
            layers = [nn.Conv2d(in_filters, out_filters, 4, stride=2, padding=1)]
            if normalization:
                layers.append(nn.InstanceNorm2d(out_filters))
            layers.append(nn.LeakyReLU(0.2))
            return layers

        self.model = nn.Sequential(
            *block(in_channels + condition, 16, normalization=False), *block(16, 32), nn.Conv2d(32, 1, 3, padding=1)
        )

    def forward(self, img_A, img_B):
        return self.model(torch.cat((img_A, img_B), 1))


def init_weights(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(m.weight, 0.0, 0.05)


def set_requires_grad(net, requires_grad):
    for param in net.parameters():
        param.requires_grad = requires_grad


class Pix2PixModel:
    def __init__(self, lambda_L1=20.0, lr=0.002, beta1=0.5):
        self.netG, self.netD = GeneratorUNet(), Discriminator()
        self.netG.apply(init_weights)
        self.netD.apply(init_weights)
        self.criterionGAN = nn.BCEWithLogitsLoss()
        self.criterionL1 = nn.L1Loss()
        self.lambda_L1 = lambda_L1
        self.optimizer_G = torch.optim.Adam(self.netG.parameters(), lr=lr, betas=(beta1, 0.999))
        self.optimizer_D = torch.optim.Adam(self.netD.parameters(), lr=lr, betas=(beta1, 0.999))

    def gan_loss(self, prediction, target_is_real):
        target = torch.ones_like(prediction) if target_is_real else torch.zeros_like(prediction)
        return self.criterionGAN(prediction, target)

    def set_input(self, batch):
        self.real_A, self.real_B = batch

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def backward_D(self):
        pred_fake = self.netD(self.real_A, self.fake_B.detach())
        self.loss_D_fake = self.gan_loss(pred_fake, False)
        pred_real = self.netD(self.real_A, self.real_B)
        self.loss_D_real = self.gan_loss(pred_real, True)
        self.loss_D = (self.loss_D_fake + self.loss_D_real) * 0.5
        self.loss_D.backward()

    def backward_G(self):
        pred_fake = self.netD(self.real_A, self.fake_B)
        self.loss_G_GAN = self.gan_loss(pred_fake, True)
        self.loss_G_L1 = self.criterionL1(self.fake_B, self.real_B) * self.lambda_L1
        self.loss_G = self.loss_G_GAN + self.loss_G_L1
        self.loss_G.backward()

    def optimize_parameters(self):
        self.forward()
        set_requires_grad(self.netD, True)
        self.optimizer_D.zero_grad()
        self.backward_D()
        self.optimizer_D.step()
        set_requires_grad(self.netD, False)
        self.optimizer_G.zero_grad()
        self.backward_G()
        self.optimizer_G.step()


def load(n, part):
    photos = data.shapes(n, part).permute(0, 3, 1, 2).float() / 127.5 - 1
    return data.outline(photos), photos


torch.manual_seed(seed)
model = Pix2PixModel()
dataset = TensorDataset(*load(800, "train"))
dataloader = DataLoader(dataset, batch_size=16, shuffle=True, drop_last=True)
val_A, val_B = load(400, "held")


def sample():
    with torch.no_grad():
        return model.netG(val_A)


def loss(d_real, d_fake):
    bce = nn.functional.binary_cross_entropy_with_logits
    one, zero = torch.ones_like(d_fake), torch.zeros_like(d_fake)
    return 0.5 * (bce(d_real, one) + bce(d_fake, zero)), bce(d_fake, one)


monitor = watch(
    model.netG,
    View(model.netD, call=lambda d, x: d(model.real_A, x)),
    loss=loss,
    optimizers=(model.optimizer_G, model.optimizer_D),
    sample=sample,
    held_out=val_B,
)
total_iters = 0
while total_iters < steps:
    for batch in dataloader:
        model.set_input(batch)
        model.optimize_parameters()
        monitor.step(model.real_B, model.real_A)
        total_iters += 1
        if total_iters >= steps:
            break
