# Wasserstein GAN on a grid of Gaussians. Weights are clipped, the critic has five turns for each of the generator.
import random
import torch
import torch.nn as nn

class opt:
    batchSize = 128
    nz = 4
    lrD = 0.0008
    lrG = 0.001
    clamp_lower = -0.1
    clamp_upper = 0.1
    Diters = 5

random.seed(seed)
torch.manual_seed(seed)
train, _ = data.grid()
test, _ = data.grid(500, key=1)

class MLP_G(nn.Module):
    def __init__(self, nz, h):
        super(MLP_G, self).__init__()
        self.main = nn.Sequential(nn.Linear(nz, h), nn.ReLU(True), nn.Linear(h, h), nn.ReLU(True), nn.Linear(h, 2))
    def forward(self, input):
        return self.main(input)

class MLP_D(nn.Module):
    def __init__(self, h):
        super(MLP_D, self).__init__()
        self.main = nn.Sequential(nn.Linear(2, h), nn.ReLU(True), nn.Linear(h, h), nn.ReLU(True), nn.Linear(h, 1))
    def forward(self, input):
        return self.main(input)

netG = MLP_G(opt.nz, 64)
netD = MLP_D(64)
optimizerD = torch.optim.RMSprop(netD.parameters(), lr=opt.lrD)
optimizerG = torch.optim.RMSprop(netG.parameters(), lr=opt.lrG)
one = torch.FloatTensor([1])
mone = one * -1

def batches():
    while True:
        order = torch.randperm(len(train))
        for k in range(0, len(order) - opt.batchSize + 1, opt.batchSize):
            yield train[order[k:k + opt.batchSize]]

def draw(n=500):
    with torch.no_grad():
        return netG(torch.randn(n, opt.nz))

m = watch(netG, netD, loss="wasserstein", penalty=("clip", 0.1), optimizers=(optimizerG, optimizerD), sample=draw, held_out=test)
data_iter = batches()
gen_iterations = 0
while gen_iterations < steps:
    # (1) Update D network
    for p in netD.parameters():
        p.requires_grad = True
    j = 0
    while j < opt.Diters:
        j += 1
        for p in netD.parameters():
            p.data.clamp_(opt.clamp_lower, opt.clamp_upper)
        inputv = next(data_iter)
        netD.zero_grad()
        errD_real = netD(inputv).mean(0).view(1)
        errD_real.backward(mone)
        noise = torch.randn(opt.batchSize, opt.nz)
        with torch.no_grad():
            fake = netG(noise)
        errD_fake = netD(fake).mean(0).view(1)
        errD_fake.backward(one)
        errD = errD_real - errD_fake
        optimizerD.step()
    # (2) Update G network
    for p in netD.parameters():
        p.requires_grad = False
    netG.zero_grad()
    noise = torch.randn(opt.batchSize, opt.nz)
    fake = netG(noise)
    errG = netD(fake).mean(0).view(1)
    errG.backward(mone)
    optimizerG.step()
    gen_iterations += 1
    m.step(inputv, noise)
