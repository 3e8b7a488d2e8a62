#!/usr/bin/env python
import argparse

import torch
from torch import nn


def get_args(argv=None):
    p = argparse.ArgumentParser(description="tables by WGAN")
    p.add_argument("--lrD", type=float, default=2e-3)
    p.add_argument("--lrG", type=float, default=2e-3)
    p.add_argument("--clip_value", type=float, default=0.1)
    p.add_argument("--Diters", type=int, default=3)
    p.add_argument("--bs", type=int, default=64)
    p.add_argument("--nz", type=int, default=10)
    p.add_argument("--hidden", type=int, default=64)
    p.add_argument("--tau", type=float, default=0.5, help="temperature of the categories")
    return p.parse_args(argv or [])


class TableGenerator(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.tau = args.tau
        self.body = nn.Sequential(nn.Linear(args.nz, args.hidden), nn.ReLU(), nn.Linear(args.hidden, args.hidden), nn.ReLU())
        self.numbers = nn.Linear(args.hidden, 3)
        self.grade = nn.Linear(args.hidden, 3)
        self.home = nn.Linear(args.hidden, 2)

    def forward(self, z):
        h = self.body(z)
        parts = [self.numbers(h), (self.grade(h) / self.tau).softmax(1), (self.home(h) / self.tau).softmax(1)]
        return torch.cat(parts, 1)


def make_critic(args):
    return nn.Sequential(
        nn.Linear(8, args.hidden), nn.LeakyReLU(0.2), nn.Linear(args.hidden, args.hidden), nn.LeakyReLU(0.2), nn.Linear(args.hidden, 1)
    )


def main(args):
    torch.manual_seed(seed)
    netG, netD = TableGenerator(args), make_critic(args)
    optD = torch.optim.RMSprop(netD.parameters(), lr=args.lrD)
    optG = torch.optim.RMSprop(netG.parameters(), lr=args.lrG)
    table = data.credit(4000)
    mon = watch(
        netG,
        netD,
        loss="wasserstein",
        penalty=("clip", args.clip_value),
        optimizers=(optG, optD),
        sample=lambda: netG(torch.randn(500, args.nz)),
        held_out=data.credit(500, "held"),
    )
    for gen_iterations in range(steps):
        for j in range(args.Diters):
            batch = table[torch.randint(len(table), (args.bs,))]
            netD.zero_grad()
            errD_real = netD(batch).mean()
            noise = torch.randn(args.bs, args.nz)
            errD_fake = netD(netG(noise).data).mean()
            errD = errD_fake - errD_real
            errD.backward()
            optD.step()
            for p in netD.parameters():
                p.data.clamp_(-args.clip_value, args.clip_value)
        netG.zero_grad()
        noise = torch.randn(args.bs, args.nz)
        errG = -netD(netG(noise)).mean()
        errG.backward()
        optG.step()
        mon.step(batch, noise)


main(get_args())
