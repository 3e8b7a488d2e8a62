"""Relativistic average hinge loss, two time scales, orthogonal weights; everything is a plain script."""
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

torch.manual_seed(seed)
LR_G, LR_D, B1, B2 = 1e-3, 4e-3, 0.0, 0.9
Z, H, BATCH, TOTAL = 8, 64, 48, steps


class ResBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.a, self.b = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.scale = nn.Parameter(torch.full((1,), 0.3))

    def forward(self, x):
        return x + self.scale * self.b(torch.relu(self.a(torch.relu(x))))


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(Z, H)
        self.res = nn.Sequential(ResBlock(H), ResBlock(H))
        self.out = nn.Linear(H, 3)

    def forward(self, z):
        return self.out(torch.relu(self.res(self.inp(z))))


class D(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(3, H)
        self.res = nn.Sequential(ResBlock(H), ResBlock(H))
        self.out = nn.Linear(H, 1)

    def forward(self, x):
        return self.out(torch.relu(self.res(self.inp(x)))).view(-1)


def weights_init(m):
    if isinstance(m, nn.Linear):
        nn.init.orthogonal_(m.weight)
        nn.init.constant_(m.bias, 0)


class RaHinge:
    @staticmethod
    def relative(r, f):
        return r - f.mean(), f - r.mean()

    def dis(self, r, f):
        r_rel, f_rel = self.relative(r, f)
        return (torch.relu(1 - r_rel).mean() + torch.relu(1 + f_rel).mean()) / 2

    def gen(self, r, f):
        r_rel, f_rel = self.relative(r, f)
        return (torch.relu(1 + r_rel).mean() + torch.relu(1 - f_rel).mean()) / 2

    def __call__(self, r, f):
        return self.dis(r, f), self.gen(r, f)


gen, dis = G().apply(weights_init), D().apply(weights_init)
criterion = RaHinge()
g_optim = torch.optim.Adam(gen.parameters(), lr=LR_G, betas=(B1, B2))
d_optim = torch.optim.Adam(dis.parameters(), lr=LR_D, betas=(B1, B2))
decay = lambda it: 1.0 if it < TOTAL // 2 else max(0.1, 2 - 2 * it / TOTAL)
g_sched, d_sched = LambdaLR(g_optim, decay), LambdaLR(d_optim, decay)
ds = TensorDataset(data.knots(4000))
dl = DataLoader(ds, batch_sampler=BatchSampler(RandomSampler(ds), BATCH, drop_last=True))
monitor = watch(
    gen,
    dis,
    loss=criterion,
    optimizers=(g_optim, d_optim),
    sample=lambda: gen(torch.randn(500, Z)),
    held_out=data.knots(500, "held"),
)
it = 0
while it < TOTAL:
    for (x_real,) in dl:
        z = torch.randn(BATCH, Z)
        x_fake = gen(z)

        # -- discriminator
        d_optim.zero_grad()
        d_loss = criterion.dis(dis(x_real), dis(x_fake.detach()))
        d_loss.backward()
        d_optim.step()

        # -- generator, on the same batch
        g_optim.zero_grad()
        with torch.no_grad():
            r_scores = dis(x_real)
        g_loss = criterion.gen(r_scores, dis(x_fake))
        g_loss.backward()
        g_optim.step()

        g_sched.step()
        d_sched.step()
        monitor.step(x_real, z)
        it += 1
        if it >= TOTAL:
            break
