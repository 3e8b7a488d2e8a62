from contextlib import contextmanager

import torch
import torch.nn as nn
import torch.nn.functional as F
from tightrope import View
from torch.utils.data import DataLoader, TensorDataset


class Fabric:
    """Sets up what is trained and takes the backward pass over."""

    def __init__(self, devices=1, precision="32-true", accumulate=1):
        self.devices, self.precision, self.accumulate = devices, precision, accumulate

    def seed_everything(self, value):
        torch.manual_seed(value)
        return value

    def setup(self, module, *optimizers):
        return (module.train(), *optimizers)

    def setup_dataloaders(self, loader):
        while True:
            yield from loader

    def backward(self, loss):
        (loss / self.accumulate).backward()

    def clip_gradients(self, module, optimizer, max_norm):
        return nn.utils.clip_grad_norm_(module.parameters(), max_norm)

    @contextmanager
    def frozen(self, module):
        for p in module.parameters():
            p.requires_grad_(False)
        yield
        for p in module.parameters():
            p.requires_grad_(True)


class GatedConv(nn.Module):
    def __init__(self, cin, cout, dilation=1, act=F.elu):
        super().__init__()
        self.conv = nn.Conv1d(cin, 2 * cout, 3, padding=dilation, dilation=dilation)
        self.act = act

    def forward(self, x):
        h, gate = self.conv(x).chunk(2, dim=1)
        return self.act(h) * torch.sigmoid(gate)


class Inpainter(nn.Module):
    """Fills the gap; what is known stays. Takes ``[n, 3, length]``: level outside the gap, mask, noise."""

    def __init__(self, width=20):
        super().__init__()
        self.net = nn.Sequential(
            GatedConv(3, width), GatedConv(width, width, 2), GatedConv(width, width, 4), GatedConv(width, width, 8)
        )
        self.out = nn.Conv1d(width, 1, 3, padding=1)

    def forward(self, inp):
        known, mask = inp[:, :1], inp[:, 1:2]
        raw = self.out(self.net(inp))
        return mask * known + (1 - mask) * raw


class Critic(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(2, width, 5, 2, padding=2), nn.LeakyReLU(0.2),
            nn.Conv1d(width, width, 5, 2, padding=2), nn.LeakyReLU(0.2),
        )
        self.head = nn.Linear(width * 6, 1)

    def forward(self, x):
        return self.head(self.convs(x).flatten(1)).squeeze(1)


def prepare(level, mask):
    return torch.cat((level * mask, mask, torch.randn_like(level)), 1)


def with_mask(level, mask):
    return torch.cat((level, mask), 1)


def critic_loss(on_real, on_fake):
    return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()


def main(batch_size=32, lr=2e-3, l1_weight=2.0, max_norm=5.0):
    fabric = Fabric(devices=1)
    fabric.seed_everything(seed)
    inpainter, critic = Inpainter(), Critic()
    opt_g = torch.optim.AdamW(inpainter.parameters(), lr=lr, betas=(0.5, 0.9), weight_decay=1e-4)
    opt_d = torch.optim.AdamW(critic.parameters(), lr=lr, betas=(0.5, 0.9), weight_decay=1e-4)
    inpainter, opt_g = fabric.setup(inpainter, opt_g)
    critic, opt_d = fabric.setup(critic, opt_d)
    levels, masks = data.tides(2048)
    loader = fabric.setup_dataloaders(DataLoader(TensorDataset(levels, masks), batch_size, shuffle=True, drop_last=True))
    val_level, val_mask = data.tides(500, "held")

    def filled():
        inp = prepare(val_level, val_mask)
        return with_mask(inpainter(inp), val_mask)

    monitor = watch(
        View(inpainter, call=lambda net, inp: torch.cat((net(inp), inp[:, 1:2]), 1)),
        critic,
        loss="non_saturating",
        optimizers=(opt_g, opt_d),
        sample=filled,
        held_out=with_mask(val_level, val_mask),
    )
    for step, (level, mask) in enumerate(loader):
        if step == steps:
            break
        inp = prepare(level, mask)
        fake = inpainter(inp)
        # critic
        real_scores = critic(with_mask(level, mask))
        fake_scores = critic(with_mask(fake.detach(), mask))
        loss_d = critic_loss(real_scores, fake_scores)
        opt_d.zero_grad()
        fabric.backward(loss_d)
        fabric.clip_gradients(critic, opt_d, max_norm)
        opt_d.step()
        # inpainter
        with fabric.frozen(critic):
            loss_adv = F.softplus(-critic(with_mask(fake, mask))).mean()
        loss_l1 = F.l1_loss(fake, level)
        opt_g.zero_grad()
        fabric.backward(loss_adv + l1_weight * loss_l1)
        fabric.clip_gradients(inpainter, opt_g, max_norm)
        opt_g.step()
        monitor.step(with_mask(level, mask), inp)


main()
