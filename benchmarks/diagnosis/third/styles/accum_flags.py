import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm as sn
import torch.nn.functional as F


def toggle_grad(model, on_or_off):
    for param in model.parameters():
        param.requires_grad = on_or_off


class Generator(nn.Module):
    def __init__(self, dim_z=12, ch=9):
        super().__init__()
        self.dim_z, self.ch = dim_z, ch
        self.linear = nn.Linear(dim_z, ch * 4 * 4)
        self.gn1, self.gn2 = nn.GroupNorm(3, ch), nn.GroupNorm(3, ch)
        self.conv1 = nn.Conv2d(ch, ch, 3, 1, 1)
        self.out = nn.Conv2d(ch, 3, 3, 1, 1)

    def forward(self, z):
        h = self.linear(z).view(z.size(0), self.ch, 4, 4)
        h = F.interpolate(F.relu(self.gn1(h)), scale_factor=2)
        h = F.relu(self.gn2(self.conv1(h)))
        return torch.tanh(self.out(h))


class Discriminator(nn.Module):
    def __init__(self, ch=8):
        super().__init__()
        self.conv1 = sn(nn.Conv2d(3, ch, 3, 1, 1))
        self.conv2 = sn(nn.Conv2d(ch, ch * 2, 4, 2, 1))
        self.conv3 = sn(nn.Conv2d(ch * 2, ch * 2, 4, 2, 1))
        self.linear = sn(nn.Linear(ch * 2, 1))

    def forward(self, x):
        h = F.leaky_relu(self.conv1(x), 0.1)
        h = F.leaky_relu(self.conv2(h), 0.1)
        h = F.leaky_relu(self.conv3(h), 0.1)
        return self.linear(h.sum([2, 3]))


config = {"batch_size": 16, "num_accumulations": 2, "num_D_steps": 1, "G_lr": 2e-3, "D_lr": 3e-3}
torch.manual_seed(seed)
flags, flags_held = data.flags(), data.flags(500, key=1)
G, D = Generator(), Discriminator()
G.optim = torch.optim.Adam(G.parameters(), lr=config["G_lr"], betas=(0.0, 0.99))
D.optim = torch.optim.Adam(D.parameters(), lr=config["D_lr"], betas=(0.0, 0.99))


def loss_hinge_dis(dis_fake, dis_real):
    return F.relu(1.0 - dis_real).mean(), F.relu(1.0 + dis_fake).mean()


def loss_hinge_gen(dis_fake):
    return -dis_fake.mean()


def train(x):
    G.optim.zero_grad()
    D.optim.zero_grad()
    x = torch.split(x, config["batch_size"])
    counter = 0
    toggle_grad(D, True)
    toggle_grad(G, False)
    for step_index in range(config["num_D_steps"]):
        D.optim.zero_grad()
        for accumulation_index in range(config["num_accumulations"]):
            z = torch.randn(config["batch_size"], G.dim_z)
            D_real, D_fake = D(x[counter]), D(G(z))
            D_loss_real, D_loss_fake = loss_hinge_dis(D_fake, D_real)
            D_loss = (D_loss_real + D_loss_fake) / float(config["num_accumulations"])
            D_loss.backward()
            counter += 1
        D.optim.step()
    toggle_grad(D, False)
    toggle_grad(G, True)
    G.optim.zero_grad()
    for accumulation_index in range(config["num_accumulations"]):
        z = torch.randn(config["batch_size"], G.dim_z)
        G_loss = loss_hinge_gen(D(G(z))) / float(config["num_accumulations"])
        G_loss.backward()
    G.optim.step()
    return z


@torch.no_grad()
def sample(n=500):
    return G(torch.randn(n, G.dim_z))


monitor = watch(G, D, loss="hinge", penalty="spectral_norm", optimizers=(G.optim, D.optim), sample=sample, held_out=flags_held)
itr, n = 0, config["batch_size"] * config["num_accumulations"] * config["num_D_steps"]
while itr < steps:
    for idx in torch.randperm(len(flags)).split(n)[:-1]:
        x = flags[idx]
        z = train(x)
        itr += 1
        monitor.step(x, z)
        if itr >= steps:
            break
