# class beside the latents and as planes beside the image; compiled, channels last
import torch
from torch import nn

torch.manual_seed(seed)


class CGen(nn.Module):
    def __init__(self, nz=12):
        super().__init__()
        self.emb = nn.Embedding(10, 6)
        self.fc = nn.Linear(nz + 6, 32 * 2 * 2)
        self.up = nn.Sequential(
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 24, 4, 2, 1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.ConvTranspose2d(24, 1, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z, y):
        h = self.fc(torch.cat([z, self.emb(y)], 1))
        return self.up(h.view(-1, 32, 2, 2))


class CDisc(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(10, 64)
        self.conv1 = nn.Conv2d(2, 24, 3, 2, 1)
        self.conv2 = nn.Conv2d(24, 32, 3, 2, 1)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(32 * 4, 1)

    def forward(self, x, y):
        plane = self.emb(y).view(-1, 1, 8, 8)
        h = nn.functional.leaky_relu(self.conv1(torch.cat([x, plane], 1)), 0.2)
        h = nn.functional.leaky_relu(self.conv2(h), 0.2)
        return self.out(self.drop(h.flatten(1)))


netG = CGen().to(memory_format=torch.channels_last)
netD = CDisc().to(memory_format=torch.channels_last)
stepG = torch.compile(netG, backend="eager")
stepD = torch.compile(netD, backend="eager")
optG = torch.optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.999))
optD = torch.optim.Adam(netD.parameters(), lr=1e-3, betas=(0.5, 0.999))
crit = nn.BCEWithLogitsLoss()
img, lab = data.digits("train")
img = img / 8 - 1
val, val_y = data.digits("held")
val = val / 8 - 1
dl = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(img, lab), batch_size=50, shuffle=True, drop_last=True)


def endless():
    while True:
        yield from dl


def judge():
    x = netG(torch.randn(len(val_y), 12), val_y)
    one = lambda v: 2 * nn.functional.one_hot(v, 10).float()
    return torch.cat((x.flatten(1), one(val_y)), 1), torch.cat((val.flatten(1), one(val_y)), 1)


watch = watch(
    netG,
    netD,
    loss="non_saturating",
    optimizers=(optG, optD),
    sample=lambda: netG(torch.randn(397, 12), torch.randint(0, 10, (397,))),
    held_out=val,
)
for n, (x, y) in enumerate(endless()):
    if n == steps:
        break
    x = x.contiguous(memory_format=torch.channels_last)
    one, zero = torch.ones(len(x), 1), torch.zeros(len(x), 1)
    z = torch.randn(len(x), 12)
    x_hat = stepG(z, y)
    optD.zero_grad()
    loss_d = (crit(stepD(x, y), one) + crit(stepD(x_hat.detach(), y), zero)) / 2
    (2 * loss_d).backward()
    optD.step()
    optG.zero_grad()
    loss_g = crit(stepD(x_hat, y), one)
    loss_g.backward()
    optG.step()
    watch.step(x, z, y)
