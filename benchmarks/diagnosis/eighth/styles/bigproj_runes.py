import copy
import functools

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm

torch.manual_seed(seed)
config = {
    "batch_size": 24,
    "num_D_steps": 2,
    "num_G_accumulations": 1,
    "dim_z": 16,
    "shared_dim": 8,
    "n_classes": 5,
    "G_lr": 1e-3,
    "D_lr": 3e-3,
    "ema_decay": 0.9,
    "ema_start": 20,
    "G_ortho": 1e-4,
}


class ccbn(nn.Module):
    """Class-conditional batch norm."""

    def __init__(self, output_size, input_size):
        super().__init__()
        self.gain, self.bias = nn.Linear(input_size, output_size), nn.Linear(input_size, output_size)
        self.bn = nn.BatchNorm1d(output_size, affine=False, momentum=0.2)

    def forward(self, x, y):
        return self.bn(x) * (1 + self.gain(y)) + self.bias(y)


class Generator(nn.Module):
    def __init__(self, dim_z, shared_dim, n_classes, width=64):
        super().__init__()
        self.dim_z = dim_z
        self.shared = nn.Embedding(n_classes, shared_dim)
        self.linear = nn.Linear(dim_z + shared_dim, width)
        self.bn1, self.bn2 = ccbn(width, shared_dim), ccbn(width, shared_dim)
        self.block = nn.Linear(width, width)
        self.output_layer = nn.Linear(width, 64)

    def forward(self, z, y):
        y = self.shared(y)
        h = self.linear(torch.cat((z, y), 1))
        h = F.relu(self.bn1(h, y))
        h = h + F.relu(self.bn2(self.block(h), y))
        return torch.tanh(self.output_layer(h)).view(-1, 1, 8, 8)


class Discriminator(nn.Module):
    def __init__(self, n_classes, width=96):
        super().__init__()
        which_linear = lambda *a: spectral_norm(nn.Linear(*a))
        self.blocks = nn.Sequential(
            nn.Flatten(), which_linear(64, width), nn.ReLU(), which_linear(width, width), nn.ReLU()
        )
        self.linear = which_linear(width, 1)
        self.embed = spectral_norm(nn.Embedding(n_classes, width))

    def forward(self, x, y=None):
        h = self.blocks(x)
        out = self.linear(h)
        return out + torch.sum(self.embed(y) * h, 1, keepdim=True)


class ema:
    def __init__(self, source, target, decay=0.9999, start_itr=0):
        self.source, self.target, self.decay, self.start_itr = source, target, decay, start_itr
        self.source_dict, self.target_dict = source.state_dict(), target.state_dict()
        with torch.no_grad():
            for key in self.source_dict:
                self.target_dict[key].data.copy_(self.source_dict[key].data)

    def update(self, itr=None):
        decay = 0.0 if itr is not None and itr < self.start_itr else self.decay
        with torch.no_grad():
            for key in self.source_dict:
                if self.target_dict[key].is_floating_point():
                    self.target_dict[key].data.copy_(
                        self.target_dict[key].data * decay + self.source_dict[key].data * (1 - decay)
                    )


def loss_hinge_dis(dis_fake, dis_real):
    loss_real = torch.mean(F.relu(1.0 - dis_real))
    loss_fake = torch.mean(F.relu(1.0 + dis_fake))
    return loss_real, loss_fake


def loss_hinge_gen(dis_fake):
    return -torch.mean(dis_fake)


def ortho(model, strength=1e-4):
    with torch.no_grad():
        for param in model.parameters():
            if len(param.shape) < 2 or param.grad is None:
                continue
            w = param.view(param.shape[0], -1)
            grad = 2 * torch.mm(torch.mm(w, w.t()) * (1.0 - torch.eye(w.shape[0])), w)
            param.grad.data += strength * grad.view(param.shape)


def toggle_grad(model, on_or_off):
    for param in model.parameters():
        param.requires_grad = on_or_off


G = Generator(config["dim_z"], config["shared_dim"], config["n_classes"])
D = Discriminator(config["n_classes"])
G_ema = copy.deepcopy(G)
ema_ = ema(G, G_ema, config["ema_decay"], config["ema_start"])
optim_G = torch.optim.Adam(G.parameters(), lr=config["G_lr"], betas=(0.0, 0.99), eps=1e-6)
optim_D = torch.optim.Adam(D.parameters(), lr=config["D_lr"], betas=(0.0, 0.99), eps=1e-6)
images, classes = data.runes(2048)
test_images, test_classes = data.runes(500, "held")


def batches():
    n = config["batch_size"] * config["num_D_steps"]
    while True:
        pick = torch.randint(0, len(images), (n,))
        yield images[pick], classes[pick]


def draw(n, y):
    G_ema.eval()
    return G_ema(torch.randn(n, config["dim_z"]), y)


def judge():
    hot = F.one_hot(test_classes, 5).float()
    made = draw(500, test_classes).flatten(1)
    return torch.cat((made, hot), 1), torch.cat((test_images.flatten(1), hot), 1)


monitor = watch(
    G,
    D,
    loss="hinge",
    penalty="spectral_norm",
    optimizers=(optim_G, optim_D),
    sample=lambda: draw(500, test_classes),
    ema=G_ema,
    held_out=test_images,
)


def train(x, y, itr):
    optim_G.zero_grad()
    optim_D.zero_grad()
    x, y = torch.split(x, config["batch_size"]), torch.split(y, config["batch_size"])
    toggle_grad(D, True)
    toggle_grad(G, False)
    for step_index in range(config["num_D_steps"]):
        optim_D.zero_grad()
        z = torch.randn(config["batch_size"], config["dim_z"])
        gy = torch.randint(0, config["n_classes"], (config["batch_size"],))
        with torch.no_grad():
            G_z = G(z, gy)
        D_fake, D_real = D(G_z, gy), D(x[step_index], y[step_index])
        D_loss_real, D_loss_fake = loss_hinge_dis(D_fake, D_real)
        D_loss = D_loss_real + D_loss_fake
        D_loss.backward()
        optim_D.step()
    toggle_grad(D, False)
    toggle_grad(G, True)
    optim_G.zero_grad()
    z = torch.randn(config["batch_size"], config["dim_z"])
    gy = torch.randint(0, config["n_classes"], (config["batch_size"],))
    G_loss = loss_hinge_gen(D(G(z, gy), gy))
    G_loss.backward()
    ortho(G, config["G_ortho"])
    optim_G.step()
    ema_.update(itr)
    return x[-1], z, y[-1]


for itr, (x, y) in zip(range(steps), batches()):
    G.train()
    D.train()
    real, z, labels = train(x, y, itr)
    monitor.step(real, z, labels)
