import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--lrD", type=float, default=1e-3)
parser.add_argument("--lrG", type=float, default=1e-3)
parser.add_argument("--clamp", type=float, default=0.1)
parser.add_argument("--Diters", type=int, default=5)
parser.add_argument("--batchSize", type=int, default=64)
parser.add_argument("--nz", type=int, default=4)
parser.add_argument("--adam", action="store_true")
opt = parser.parse_args([])

torch.manual_seed(seed)


class MLP_G(nn.Module):
    def __init__(self, nz, ngf):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(nz, ngf), nn.ReLU(True), nn.Linear(ngf, ngf), nn.ReLU(True), nn.Linear(ngf, 2))

    def forward(self, input):
        return self.main(input)


class MLP_D(nn.Module):
    def __init__(self, ndf):
        super().__init__()
        main = nn.Sequential(
            nn.Linear(2, ndf), nn.ReLU(True), nn.Linear(ndf, ndf), nn.ReLU(True), nn.Linear(ndf, 1)
        )
        self.main = main

    def forward(self, input):
        output = self.main(input)
        return output.mean(0).view(1)


netG, netD = MLP_G(opt.nz, 64), MLP_D(64)
points = data.rings(2048)
input = torch.FloatTensor(opt.batchSize, 2)
noise = torch.FloatTensor(opt.batchSize, opt.nz)
one = torch.FloatTensor([1])
mone = one * -1

if opt.adam:
    optimizerD = torch.optim.Adam(netD.parameters(), lr=opt.lrD, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=opt.lrG, betas=(0.5, 0.999))
else:
    optimizerD = torch.optim.RMSprop(netD.parameters(), lr=opt.lrD)
    optimizerG = torch.optim.RMSprop(netG.parameters(), lr=opt.lrG)


def sample():
    return netG(torch.randn(500, opt.nz))


watch = watch(
    netG,
    netD,
    loss="wasserstein",
    penalty=("clip", opt.clamp),
    optimizers=(optimizerG, optimizerD),
    sample=sample,
    held_out=data.rings(500, "held"),
)

gen_iterations = 0
epoch = 0
while gen_iterations < steps:
    order = torch.randperm(len(points))
    batches = iter(order.split(opt.batchSize))
    i = 0
    while i < len(points) // opt.batchSize and gen_iterations < steps:
        # update D network
        for p in netD.parameters():
            p.requires_grad = True
        j = 0
        while j < opt.Diters and i < len(points) // opt.batchSize:
            j += 1
            for p in netD.parameters():
                p.data.clamp_(-opt.clamp, opt.clamp)
            rows = points[next(batches)]
            i += 1
            netD.zero_grad()
            input.resize_as_(rows).copy_(rows)
            errD_real = netD(input)
            errD_real.backward(mone)
            noise.resize_(len(rows), opt.nz).normal_(0, 1)
            with torch.no_grad():
                fake = netG(noise)
            errD_fake = netD(fake)
            errD_fake.backward(one)
            errD = errD_real - errD_fake
            optimizerD.step()
        for p in netD.parameters():
            p.data.clamp_(-opt.clamp, opt.clamp)

        # update G network
        for p in netD.parameters():
            p.requires_grad = False
        netG.zero_grad()
        noise.resize_(opt.batchSize, opt.nz).normal_(0, 1)
        fake = netG(noise)
        errG = netD(fake)
        errG.backward(mone)
        optimizerG.step()
        gen_iterations += 1
        watch.step(rows, noise)
    epoch += 1
