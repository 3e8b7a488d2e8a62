import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import spectral_norm

torch.manual_seed(seed)


def SNConv2d(*args, **kwargs):
    return spectral_norm(nn.Conv2d(*args, **kwargs))


def SNLinear(*args, **kwargs):
    return spectral_norm(nn.Linear(*args, **kwargs))


class BaseGenerator(nn.Module):
    def __init__(self, nz, ngf, bottom_width):
        super().__init__()
        self.nz, self.ngf, self.bottom_width = nz, ngf, bottom_width

    def generate_images(self, num_images):
        self.noise = torch.randn((num_images, self.nz))
        return self.forward(self.noise)

    def compute_gan_loss(self, output):
        return -torch.mean(output)

    def train_step(self, real_batch, netD, optG, log_data):
        self.zero_grad()
        fake_images = self.generate_images(num_images=real_batch.shape[0])
        output = netD(fake_images)
        errG = self.compute_gan_loss(output=output)
        errG.backward()
        optG.step()
        log_data["errG"] = errG.item()
        return log_data


class BaseDiscriminator(nn.Module):
    def compute_gan_loss(self, output_real, output_fake):
        errD = F.relu(1.0 - output_real).mean()
        errD = errD + F.relu(1.0 + output_fake).mean()
        return errD

    def train_step(self, real_batch, netG, optD, log_data):
        self.zero_grad()
        output_real = self.forward(real_batch)
        fake_images = netG.generate_images(num_images=real_batch.shape[0]).detach()
        output_fake = self.forward(fake_images)
        errD = self.compute_gan_loss(output_real=output_real, output_fake=output_fake)
        errD.backward()
        optD.step()
        log_data["errD"] = errD.item()
        return log_data


class GBlock(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.c1 = nn.Conv2d(in_channels, out_channels, 3, 1, padding=1)
        self.b1 = nn.BatchNorm2d(in_channels)
        self.c_sc = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x):
        h = F.interpolate(F.relu(self.b1(x)), scale_factor=2)
        return self.c1(h) + self.c_sc(F.interpolate(x, scale_factor=2))


class SNGANGenerator(BaseGenerator):
    def __init__(self, nz=12, ngf=12, bottom_width=2):
        super().__init__(nz=nz, ngf=ngf, bottom_width=bottom_width)
        self.l1 = nn.Linear(self.nz, (self.bottom_width**2) * self.ngf)
        self.block2 = GBlock(self.ngf, self.ngf)
        self.block3 = GBlock(self.ngf, self.ngf)
        self.b5 = nn.BatchNorm2d(self.ngf)
        self.c5 = nn.Conv2d(self.ngf, 1, 3, 1, padding=1)

    def forward(self, x):
        h = self.l1(x).view(x.shape[0], -1, self.bottom_width, self.bottom_width)
        h = self.block3(self.block2(h))
        return torch.tanh(self.c5(F.relu(self.b5(h))))


class SNGANDiscriminator(BaseDiscriminator):
    def __init__(self, ndf=12):
        super().__init__()
        self.block1 = SNConv2d(1, ndf, 3, 1, padding=1)
        self.block2 = SNConv2d(ndf, ndf, 4, 2, padding=1)
        self.block3 = SNConv2d(ndf, ndf, 4, 2, padding=1)
        self.l5 = SNLinear(ndf, 1)

    def forward(self, x):
        h = F.relu(self.block1(x))
        h = F.relu(self.block2(h))
        h = F.relu(self.block3(h))
        output = torch.sum(h, dim=(2, 3))
        return self.l5(output)


class LRScheduler:
    def __init__(self, optD, optG, num_steps, start_step):
        self.opts, self.num_steps, self.start_step = (optD, optG), num_steps, start_step
        self.init = [opt.param_groups[0]["lr"] for opt in self.opts]

    def step(self, log_data, global_step):
        gamma = max(0.0, 1 - max(0, global_step - self.start_step) / (self.num_steps - self.start_step + 1))
        for opt, lr in zip(self.opts, self.init):
            for group in opt.param_groups:
                group["lr"] = lr * gamma
        log_data["lr"] = self.init[0] * gamma
        return log_data


class Trainer:
    def __init__(self, netD, netG, optD, optG, dataloader, num_steps, n_dis=2, lr_decay="linear"):
        self.netD, self.netG, self.optD, self.optG = netD, netG, optD, optG
        self.dataloader, self.num_steps, self.n_dis = dataloader, num_steps, n_dis
        self.scheduler = LRScheduler(optD, optG, num_steps, start_step=num_steps // 2)

    def _fetch_data(self, iter_dataloader):
        try:
            real_batch = next(iter_dataloader)
        except StopIteration:
            iter_dataloader = iter(self.dataloader)
            real_batch = next(iter_dataloader)
        return iter_dataloader, real_batch[0]

    def train(self):
        monitor = watch(
            self.netG,
            self.netD,
            loss="hinge",
            penalty="spectral_norm",
            optimizers=(self.optG, self.optD),
            sample=self.sample,
            held_out=data.chevrons(500, "held"),
        )
        global_step, log_data = 0, {}
        iter_dataloader = iter(self.dataloader)
        while global_step < self.num_steps:
            for i in range(self.n_dis):
                iter_dataloader, real_batch = self._fetch_data(iter_dataloader)
                log_data = self.netD.train_step(real_batch, netG=self.netG, optD=self.optD, log_data=log_data)
                if i == self.n_dis - 1:
                    log_data = self.netG.train_step(real_batch, netD=self.netD, optG=self.optG, log_data=log_data)
            log_data = self.scheduler.step(log_data, global_step)
            global_step += 1
            monitor.step(real_batch, self.netG.noise)

    def sample(self, n=500):
        self.netG.eval()
        with torch.no_grad():
            images = self.netG(torch.randn(n, self.netG.nz))
        self.netG.train()
        return images


dataset = torch.utils.data.TensorDataset(data.chevrons(2048))
dataloader = torch.utils.data.DataLoader(dataset, batch_size=20, shuffle=True, drop_last=True)
netG, netD = SNGANGenerator(), SNGANDiscriminator()
optD = torch.optim.Adam(netD.parameters(), 2e-3, betas=(0.0, 0.9))
optG = torch.optim.Adam(netG.parameters(), 2e-3, betas=(0.0, 0.9))
trainer = Trainer(netD=netD, netG=netG, optD=optD, optG=optG, dataloader=dataloader, num_steps=steps)
trainer.train()
