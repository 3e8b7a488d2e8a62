import torch
import torch.nn as nn
from torch.nn.utils import spectral_norm

from tightrope import View

torch.manual_seed(seed)
n_class, nz, batchSize = 4, 16, 64


class _netG(nn.Module):
    def __init__(self):
        super(_netG, self).__init__()
        self.emb = nn.Embedding(n_class, nz)
        self.main = nn.Sequential(
            nn.Linear(nz, 96), nn.BatchNorm1d(96), nn.ReLU(True), nn.Linear(96, 96), nn.BatchNorm1d(96), nn.ReLU(True),
            nn.Linear(96, 64), nn.Tanh(),
        )

    def forward(self, noise, label):
        return self.main(noise * 0.7 + self.emb(label)).view(-1, 1, 8, 8)


class _netD(nn.Module):
    def __init__(self):
        super(_netD, self).__init__()
        self.trunk = nn.Sequential(
            spectral_norm(nn.Linear(64, 128)), nn.LeakyReLU(0.1), spectral_norm(nn.Linear(128, 128)), nn.LeakyReLU(0.1)
        )
        self.fc_dis = spectral_norm(nn.Linear(128, 1))
        self.fc_aux = spectral_norm(nn.Linear(128, n_class))

    def forward(self, input):
        h = self.trunk(input.flatten(1))
        return self.fc_dis(h).view(-1), 4 * self.fc_aux(h)


netG, netD = _netG(), _netD()
aux_criterion = nn.CrossEntropyLoss()
optimizerD = torch.optim.Adam(netD.parameters(), lr=0.002, betas=(0.0, 0.9))
optimizerG = torch.optim.Adam(netG.parameters(), lr=0.001, betas=(0.0, 0.9))
dataset, target = data.glyphs(2048)
dataset = dataset / 127.5 - 1
test, test_target = data.glyphs(500, "held")
test = test / 127.5 - 1


def generate(y):
    netG.eval()
    with torch.no_grad():
        x = netG(torch.randn(len(y), nz), y)
    netG.train()
    return x


def judge():
    one = lambda y: 3 * nn.functional.one_hot(y, n_class).float()
    return torch.cat((generate(test_target).flatten(1), one(test_target)), 1), torch.cat((test.flatten(1), one(test_target)), 1)


monitor = watch(
    netG,
    View(netD, scores=lambda out: out[0]),
    loss="hinge",
    penalty="spectral_norm",
    optimizers=(optimizerG, optimizerD),
    sample=lambda: generate(test_target),
    held_out=test,
)
for i in range(steps):
    ############################
    # (1) Update D network
    ###########################
    netD.zero_grad()
    pick = torch.randint(0, len(dataset), (batchSize,))
    real, label = dataset[pick], target[pick]
    dis_output, aux_output = netD(real)
    dis_errD_real = torch.relu(1 - dis_output).mean()
    aux_errD_real = aux_criterion(aux_output, label)
    errD_real = dis_errD_real + aux_errD_real
    errD_real.backward()

    noise = torch.randn(batchSize, nz)
    fake = netG(noise, label)
    dis_output, aux_output = netD(fake.detach())
    dis_errD_fake = torch.relu(1 + dis_output).mean()
    dis_errD_fake.backward()
    optimizerD.step()

    ############################
    # (2) Update G network
    ###########################
    netG.zero_grad()
    dis_output, aux_output = netD(fake)
    dis_errG = -dis_output.mean()
    aux_errG = 0.2 * aux_criterion(aux_output, label)
    errG = dis_errG + aux_errG
    errG.backward()
    optimizerG.step()
    monitor.step(real, noise, label)
