import random

import torch
import torch.nn as nn
import torch.optim as optim
import torch.utils.data

manualSeed = seed
random.seed(manualSeed)
torch.manual_seed(manualSeed)

batch_size = 32  # Batch size during training
nc = 1  # Number of channels in the training images
nz = 16  # Size of z latent vector (i.e. size of generator input)
ngf = 16  # Size of feature maps in generator
ndf = 16  # Size of feature maps in discriminator
lr = 0.002  # Learning rate for optimizers
beta1 = 0.5  # Beta1 hyperparameter for Adam optimizers

dataset = torch.utils.data.TensorDataset(data.tiles(2048))
dataloader = torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=True)


# custom weights initialization called on netG and netD
def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.06)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


class Generator(nn.Module):
    def __init__(self):
        super(Generator, self).__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super(Discriminator, self).__init__()
        self.main = nn.Sequential(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 2, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input)


netG = Generator()
netG.apply(weights_init)
netD = Discriminator()
netD.apply(weights_init)

criterion = nn.BCELoss()
fixed_noise = torch.randn(500, nz, 1, 1)
real_label = 1.0
fake_label = 0.0
optimizerD = optim.Adam(netD.parameters(), lr=lr, betas=(beta1, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=lr, betas=(beta1, 0.999))


def claimed(real_out, fake_out):
    ones, zeros = torch.ones_like(fake_out), torch.zeros_like(fake_out)
    return nn.functional.binary_cross_entropy(real_out, ones) + nn.functional.binary_cross_entropy(
        fake_out, zeros
    ), nn.functional.binary_cross_entropy(fake_out, ones)


monitor = watch(
    netG,
    netD,
    loss=claimed,
    optimizers=(optimizerG, optimizerD),
    sample=lambda: netG(fixed_noise),
    held_out=data.tiles(500, "held"),
)
iters = 0
for epoch in range(1000):
    for i, batch in enumerate(dataloader, 0):
        ############################
        # (1) Update D network: maximize log(D(x)) + log(1 - D(G(z)))
        ###########################
        netD.zero_grad()
        real_cpu = batch[0]
        b_size = real_cpu.size(0)
        label = torch.full((b_size,), real_label, dtype=torch.float)
        output = netD(real_cpu).view(-1)
        errD_real = criterion(output, label)
        errD_real.backward()

        noise = torch.randn(b_size, nz, 1, 1)
        fake = netG(noise)
        label.fill_(fake_label)
        output = netD(fake.detach()).view(-1)
        errD_fake = criterion(output, label)
        errD_fake.backward()
        optimizerD.step()

        ############################
        # (2) Update G network: maximize log(D(G(z)))
        ###########################
        netG.zero_grad()
        label.fill_(real_label)  # fake labels are real for generator cost
        output = netD(fake).view(-1)
        errG = criterion(output, label)
        errG.backward()
        optimizerG.step()
        monitor.step(real_cpu, noise)
        iters += 1
        if iters >= steps:
            break
    if iters >= steps:
        break
