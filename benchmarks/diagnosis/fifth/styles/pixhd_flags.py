# edges to flags with critics at two scales, after pix2pixHD
import functools

import torch
import torch.nn as nn
import torch.nn.functional as F
from tightrope import View, losses


class Opt:
    lambda_feat = 1.0
    niter_decay = 1000
    lr = 2e-3
    beta1 = 0.5
    num_D = 2
    batchSize = 16
    norm = "instance"


opt = Opt()
torch.manual_seed(seed)
norm_layer = functools.partial(nn.InstanceNorm2d, affine=False)


class GlobalGenerator(nn.Module):
    def __init__(self, nf=16):
        super().__init__()
        self.model = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(2, nf, 3), norm_layer(nf), nn.ReLU(True),
            nn.Conv2d(nf, 2 * nf, 3, 2, 1), norm_layer(2 * nf), nn.ReLU(True),
            nn.ConvTranspose2d(2 * nf, nf, 3, 2, 1, output_padding=1), norm_layer(nf), nn.ReLU(True),
            nn.Conv2d(nf, 3, 3, padding=1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, input):
        return self.model(input)


class NLayerDiscriminator(nn.Module):
    def __init__(self, nf=16):
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Sequential(nn.Conv2d(5, nf, 4, 2, 1), nn.LeakyReLU(0.2, True)),
            nn.Sequential(nn.Conv2d(nf, 2 * nf, 3, 1, 1), nn.LeakyReLU(0.2, True)),
            nn.Sequential(nn.Conv2d(2 * nf, 1, 3, 1, 1)),
        ])

    def forward(self, input):
        res = [input]
        for layer in self.layers:
            res.append(layer(res[-1]))
        return res[1:]


class MultiscaleDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.nets = nn.ModuleList(NLayerDiscriminator() for _ in range(opt.num_D))

    def forward(self, input):
        result = []
        for net in self.nets:
            result.append(net(input))
            input = F.avg_pool2d(input, 2)
        return result


class GANLoss(nn.Module):
    def __call__(self, preds, target_is_real):
        loss = 0
        for pred in preds:
            target = torch.ones_like(pred[-1]) if target_is_real else torch.zeros_like(pred[-1])
            loss += F.mse_loss(pred[-1], target)
        return loss


def encode(images):
    x = images / 127.5 - 1
    grey = x.mean(1, keepdim=True)
    edges = torch.cat([(grey - grey.roll(1, 2)), (grey - grey.roll(1, 3))], 1)
    return edges, x


class Pix2PixHDModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.netG = GlobalGenerator()
        self.netD = MultiscaleDiscriminator()
        self.criterionGAN = GANLoss()
        self.criterionFeat = nn.L1Loss()
        self.optimizer_G = torch.optim.Adam(self.netG.parameters(), lr=opt.lr, betas=(opt.beta1, 0.999))
        self.optimizer_D = torch.optim.Adam(self.netD.parameters(), lr=opt.lr, betas=(opt.beta1, 0.999))

    def discriminate(self, label, image):
        return self.netD(torch.cat((label, image), 1))

    def forward(self, label, real):
        fake = self.netG(label)
        pred_fake_pool = self.discriminate(label, fake.detach())
        loss_D_fake = self.criterionGAN(pred_fake_pool, False)
        pred_real = self.discriminate(label, real)
        loss_D_real = self.criterionGAN(pred_real, True)
        pred_fake = self.discriminate(label, fake)
        loss_G_GAN = self.criterionGAN(pred_fake, True)
        loss_G_feat = 0
        for i in range(opt.num_D):
            for j in range(len(pred_fake[i]) - 1):
                loss_G_feat += self.criterionFeat(pred_fake[i][j], pred_real[i][j].detach()) / opt.num_D
        return loss_G_GAN, loss_G_feat * opt.lambda_feat, loss_D_real, loss_D_fake


model = Pix2PixHDModel()
labels, reals = encode(data.flags(1024)[0])
held_labels, held = encode(data.flags(400, "held")[0])
current = {"label": labels[: opt.batchSize]}


def inference():
    return model.netG(held_labels)


watch = watch(
    model.netG,
    View(
        model.netD,
        call=lambda net, x: net(torch.cat((current["label"] if len(x) == opt.batchSize else held_labels, x), 1)),
        scores=lambda out: [one[-1] for one in out],
    ),
    loss=losses.least_squares(targets=(0.0, 1.0)),
    optimizers={"generator": model.optimizer_G, "critic": model.optimizer_D},
    sample=inference,
    held_out=held,
)

total_steps = 0
while total_steps < steps:
    for idx in torch.randperm(len(reals)).split(opt.batchSize):
        total_steps += 1
        label, real = labels[idx], reals[idx]
        current["label"] = label
        loss_G_GAN, loss_G_feat, loss_D_real, loss_D_fake = model(label, real)
        loss_D = (loss_D_fake + loss_D_real) * 1.0
        loss_G = loss_G_GAN + loss_G_feat
        model.optimizer_G.zero_grad()
        loss_G.backward()
        model.optimizer_G.step()
        model.optimizer_D.zero_grad()
        loss_D.backward()
        model.optimizer_D.step()
        watch.step(real, label)
        if total_steps == steps:
            break
