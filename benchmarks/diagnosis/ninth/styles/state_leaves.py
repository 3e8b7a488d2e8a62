import copy
from typing import Any, Callable, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_CLASSES, FEATURES, NOISE = 5, 4, 6


class Batch(NamedTuple):
    x: Tensor
    y: Tensor


class TrainState(NamedTuple):
    step: int
    model: nn.Module
    tx: torch.optim.Optimizer
    ema: Any = None

    def apply_gradients(self, loss: Tensor) -> "TrainState":
        self.tx.zero_grad()
        loss.backward()
        self.tx.step()
        return self._replace(step=self.step + 1)


class Generator(nn.Module):
    def __init__(self, width: int = 64):
        super().__init__()
        self.embed = nn.Embedding(NUM_CLASSES, 8)
        self.net = nn.Sequential(
            nn.Linear(NOISE + 8, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, FEATURES)
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat((z, self.embed(y)), 1))


class Discriminator(nn.Module):
    """One score per class, of which that of the row's class is taken."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(FEATURES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.heads = nn.Linear(width, NUM_CLASSES)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.heads(self.net(x)).gather(1, y[:, None]).squeeze(1)


def make_states(lr_g: float, lr_d: float, b1: float) -> tuple[TrainState, TrainState]:
    g, d = Generator(), Discriminator()
    ema = copy.deepcopy(g).requires_grad_(False)
    tx_g = torch.optim.NAdam(g.parameters(), lr_g, betas=(b1, 0.99))
    tx_d = torch.optim.NAdam(d.parameters(), lr_d, betas=(b1, 0.99))
    return TrainState(0, g, tx_g, ema), TrainState(0, d, tx_d)


def grad_penalty(d: Callable, x: Tensor, y: Tensor) -> Tensor:
    x = x.detach().requires_grad_(True)
    (grad,) = torch.autograd.grad(d(x, y).sum(), x, create_graph=True)
    return grad.square().sum(1).mean()


def make_train_step(gamma: float, decay: float) -> Callable:
    def d_loss(g: nn.Module, d: nn.Module, batch: Batch, z: Tensor) -> Tensor:
        fake = g(z, batch.y).detach()
        loss_real = F.softplus(-d(batch.x, batch.y)).mean()
        loss_fake = F.softplus(d(fake, batch.y)).mean()
        return loss_real + loss_fake + 0.5 * gamma * grad_penalty(d, batch.x, batch.y)

    def g_loss(g: nn.Module, d: nn.Module, y: Tensor, z: Tensor) -> Tensor:
        return F.softplus(-d(g(z, y), y)).mean()

    @torch.no_grad()
    def update_ema(ema: nn.Module, g: nn.Module) -> None:
        for old, new in zip(ema.parameters(), g.parameters()):
            old.lerp_(new, 1 - decay)

    def train_step(state_g: TrainState, state_d: TrainState, batch: Batch):
        z_d, z_g = torch.randn(2, len(batch.x), NOISE)
        state_d = state_d.apply_gradients(d_loss(state_g.model, state_d.model, batch, z_d))
        state_g = state_g.apply_gradients(g_loss(state_g.model, state_d.model, batch.y, z_g))
        update_ema(state_g.ema, state_g.model)
        return state_g, state_d, z_g

    return train_step


def balanced(x: Tensor, y: Tensor, per_class: int):
    """Batches with as many rows of each class."""
    where = [(y == k).nonzero().squeeze(1) for k in range(NUM_CLASSES)]
    while True:
        pick = torch.cat([w[torch.randint(len(w), (per_class,))] for w in where])
        pick = pick[torch.randperm(len(pick))]
        yield Batch(x[pick], y[pick])


torch.manual_seed(seed)
state_g, state_d = make_states(lr_g=2e-3, lr_d=2e-3, b1=0.5)
train_step = make_train_step(gamma=0.1, decay=0.9)
held_x, held_y = data.leaves(500, "held")


def judge():
    hot = F.one_hot(held_y, NUM_CLASSES).float()
    made = state_g.ema(torch.randn(500, NOISE), held_y)
    return torch.cat((made, hot), 1), torch.cat((held_x, hot), 1)


monitor = watch(
    state_g.model,
    state_d.model,
    loss="non_saturating",
    penalty=("r1", 0.1),
    optimizers=(state_g.tx, state_d.tx),
    sample=lambda: state_g.ema(torch.randn(500, NOISE), held_y),
    ema=state_g.ema,
    held_out=held_x,
)
for _, batch in zip(range(steps), balanced(*data.leaves(3000), per_class=12)):
    state_g, state_d, z = train_step(state_g, state_d, batch)
    monitor.step(batch.x, z, batch.y)
