import random

import torch
from torch import nn

torch.manual_seed(seed)
random.seed(seed)

cfg = dict(batch_size=32, delta=0.15, r_lr=1e-3, d_lr=1e-3, k_d=1, k_r=1, r_pretrain=10, d_pretrain=5)


class ImageHistoryBuffer:
    """Half of every batch that the discriminator sees comes from refined images of before."""

    def __init__(self, max_size):
        self.max_size = max_size
        self.images = []

    def exchange(self, images):
        n = len(images) // 2
        old = [self.images.pop(random.randrange(len(self.images))) for _ in range(min(n, len(self.images)))]
        room = self.max_size - len(self.images)
        self.images += [image.clone() for image in images[:n][:room]]
        if not old:
            return images
        return torch.cat((torch.stack(old), images[len(old) :]))


class ResnetBlock(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(features, features, 3, 1, 1), nn.ReLU(), nn.Conv2d(features, features, 3, 1, 1)
        )

    def forward(self, x):
        return torch.relu(x + self.convs(x))


class Refiner(nn.Module):
    def __init__(self, features=12):
        super().__init__()
        self.conv_1 = nn.Conv2d(2, features, 3, 1, 1)
        self.blocks = nn.Sequential(ResnetBlock(features), ResnetBlock(features))
        self.conv_2 = nn.Sequential(nn.Conv2d(features, 1, 1), nn.Tanh())

    def forward(self, x):
        # simulators have no camera noise: a second channel brings it
        noise = torch.randn(len(x), 1, 8, 8)
        return self.conv_2(self.blocks(torch.relu(self.conv_1(torch.cat((x, noise), 1)))))


class Discriminator(nn.Module):
    def __init__(self, features=16):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(1, features, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(features, 2 * features, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(2 * features, 2, 1),
        )

    def forward(self, x):
        # two classes at every place: 0 is real, 1 is refined
        return self.convs(x).permute(0, 2, 3, 1).reshape(-1, 2)


R, D = Refiner(), Discriminator()
opt_R = torch.optim.Adam(R.parameters(), lr=cfg["r_lr"], betas=(0.5, 0.999))
opt_D = torch.optim.Adam(D.parameters(), lr=cfg["d_lr"], betas=(0.5, 0.999))
local_adversarial_loss = nn.CrossEntropyLoss()
self_regularization_loss = nn.L1Loss()
buffer = ImageHistoryBuffer(256)
synthetic, real_images = data.pupils(2048)
test_syn, test_real = data.pupils(500, "held")


def real_class(pred):
    return torch.zeros(len(pred), dtype=torch.long)


def refined_class(pred):
    return torch.ones(len(pred), dtype=torch.long)


def batch_of(images):
    return images[torch.randint(len(images), (cfg["batch_size"],))]


def scores(logits):
    """What tells real from refined: one number per place."""
    return logits[:, 0] - logits[:, 1]


def claimed(d_real, d_fake):
    soft = nn.functional.softplus
    return soft(-d_real).mean() + soft(d_fake).mean(), soft(-d_fake).mean()


# the refiner learns to leave images alone first
for _ in range(cfg["r_pretrain"]):
    opt_R.zero_grad()
    syn = batch_of(synthetic)
    self_regularization_loss(R(syn), syn).backward()
    opt_R.step()

import tightrope

monitor = watch(
    R,
    tightrope.View(D, scores=scores),
    loss=claimed,
    optimizers=(opt_R, opt_D),
    sample=lambda: R(test_syn),
    held_out=test_real,
)
for step in range(steps):
    for _ in range(cfg["k_r"]):
        opt_R.zero_grad()
        syn = batch_of(synthetic)
        refined = R(syn)
        pred = D(refined)
        loss_adv = local_adversarial_loss(pred, real_class(pred))
        loss_reg = self_regularization_loss(refined, syn)
        loss_refiner = loss_adv + cfg["delta"] * loss_reg
        loss_refiner.backward()
        opt_R.step()

    for _ in range(cfg["k_d"]):
        opt_D.zero_grad()
        real = batch_of(real_images)
        with torch.no_grad():
            refined = R(batch_of(synthetic))
        refined = buffer.exchange(refined)
        pred_real = D(real)
        loss_real = local_adversarial_loss(pred_real, real_class(pred_real))
        pred_refined = D(refined)
        loss_refined = local_adversarial_loss(pred_refined, refined_class(pred_refined))
        loss_D = loss_real + loss_refined
        loss_D.backward()
        opt_D.step()
    monitor.step(real, syn)
