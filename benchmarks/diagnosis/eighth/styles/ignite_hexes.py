from collections import defaultdict
from copy import deepcopy
from enum import Enum
from types import SimpleNamespace

import torch
import torch.nn as nn
from torch import optim

torch.manual_seed(seed)


class Events(Enum):
    STARTED, ITERATION_COMPLETED, EPOCH_COMPLETED = "started", "iteration", "epoch"


class Engine:
    """A loop with handlers, as small as can be."""

    def __init__(self, process_function):
        self.process_function, self.handlers = process_function, defaultdict(list)
        self.state = SimpleNamespace(iteration=0, epoch=0, output=None, batch=None)

    def on(self, event, every=1):
        def decorator(handler):
            self.handlers[event].append((every, handler))
            return handler

        return decorator

    def fire(self, event, count):
        for every, handler in self.handlers[event]:
            if count % every == 0:
                handler(self)

    def run(self, loader, max_iterations):
        self.fire(Events.STARTED, 0)
        while self.state.iteration < max_iterations:
            for batch in loader:
                if self.state.iteration >= max_iterations:
                    return
                self.state.batch = batch
                self.state.output = self.process_function(self, batch)
                self.state.iteration += 1
                self.fire(Events.ITERATION_COMPLETED, self.state.iteration)
            self.state.epoch += 1
            self.fire(Events.EPOCH_COMPLETED, self.state.epoch)


class Generator(nn.Module):
    def __init__(self, z_dim=4, width=48):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(z_dim, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, x):
        return self.net(x)


class Critic(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
        )

    def forward(self, x):
        return self.net(x).squeeze(1)


z_dim, batch_size, clip, critic_turns = 4, 64, 0.15, 3
netG, netC = Generator(z_dim), Critic()
optG = optim.RMSprop(netG.parameters(), lr=1e-3)
optC = optim.RMSprop(netC.parameters(), lr=2e-3)
schedG = optim.lr_scheduler.CosineAnnealingLR(optG, T_max=20, eta_min=2e-4)
schedC = optim.lr_scheduler.CosineAnnealingLR(optC, T_max=20, eta_min=2e-4)
points = data.hexes(4000)


class Loader:
    """As many batches for the critic as its turns, in one go; an epoch has twenty."""

    def __iter__(self):
        for _ in range(20):
            yield points[torch.randint(len(points), (critic_turns, batch_size))]


def step(engine, batch):
    for real in batch:
        netC.zero_grad()
        noise = torch.randn(batch_size, z_dim)
        fake = netG(noise)
        loss_c = netC(fake.detach()).mean() - netC(real).mean()
        loss_c.backward()
        optC.step()
        for p in netC.parameters():
            p.data.clamp_(-clip, clip)
    netG.zero_grad()
    noise = torch.randn(batch_size, z_dim)
    loss_g = -netC(netG(noise)).mean()
    loss_g.backward()
    optG.step()
    return {"errC": loss_c.item(), "errG": loss_g.item(), "real": real, "noise": noise}


trainer = Engine(step)
checkpoints = {}


def to_save():
    return {"netG": netG, "netC": netC, "optG": optG, "optC": optC, "schedG": schedG, "schedC": schedC}


@trainer.on(Events.STARTED)
def begin(engine):
    engine.monitor = watch(
        netG,
        netC,
        loss="wasserstein",
        penalty=("clip", 0.15),
        optimizers=(optG, optC),
        sample=lambda: netG(torch.randn(500, z_dim)),
        held_out=data.hexes(500, "held"),
    )


@trainer.on(Events.ITERATION_COMPLETED)
def look(engine):
    engine.monitor.step(engine.state.output["real"], engine.state.output["noise"])


@trainer.on(Events.EPOCH_COMPLETED)
def schedule(engine):
    schedG.step()
    schedC.step()


@trainer.on(Events.EPOCH_COMPLETED, every=5)
def save(engine):
    checkpoints["last"] = {k: deepcopy(v.state_dict()) for k, v in to_save().items()}


@trainer.on(Events.EPOCH_COMPLETED, every=6)
def preempted(engine):
    # the machine is taken away and comes back: go on from the last checkpoint
    for k, v in to_save().items():
        v.load_state_dict(checkpoints["last"][k])


trainer.run(Loader(), steps)
