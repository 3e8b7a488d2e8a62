"""Training in parts: every part ends with a checkpoint, the next one begins from it (as on a cluster with short jobs)."""
import io
import torch
from torch import nn

Z_DIM, BATCH, PARTS = 6, 64, 3
torch.manual_seed(seed)
bank, bank_test = data.rings(), data.rings(500, key=1)


class Block(nn.Module):
    def __init__(self, i, o, drop=0.0):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(i, o), nn.LayerNorm(o), nn.ReLU(), nn.Dropout(drop))

    def forward(self, x):
        return self.f(x)


G = nn.Sequential(Block(Z_DIM, 80), Block(80, 80), nn.Linear(80, 2), nn.Hardtanh(-2.5, 2.5))
D = nn.Sequential(nn.Linear(2, 96), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(96, 96), nn.LeakyReLU(0.2), nn.Linear(96, 1))


def mse_gan(r, f):
    return (r - 1).pow(2).mean() + (f + 1).pow(2).mean(), (f - 1).pow(2).mean()


def rate(i):
    return 1.0 if i < steps // 4 else 0.3


opt = {"g": torch.optim.Adam(G.parameters(), 7e-4, (0.0, 0.99)), "d": torch.optim.Adam(D.parameters(), 2e-3, (0.0, 0.99))}
sched = {k: torch.optim.lr_scheduler.LambdaLR(o, rate) for k, o in opt.items()}


def save():
    f = io.BytesIO()
    torch.save({"G": G.state_dict(), "D": D.state_dict(), "opt": {k: o.state_dict() for k, o in opt.items()},
                "sched": {k: s.state_dict() for k, s in sched.items()}}, f)
    return f.getvalue()


def load(blob):
    state = torch.load(io.BytesIO(blob), weights_only=False)
    G.load_state_dict(state["G"])
    D.load_state_dict(state["D"])
    for k in opt:
        opt[k].load_state_dict(state["opt"][k])
        sched[k].load_state_dict(state["sched"][k])


@torch.no_grad()
def sample(n=500):
    return G(torch.randn(n, Z_DIM))


monitor = watch(G, D, loss=mse_gan, optimizers=(opt["g"], opt["d"]), sample=sample, held_out=bank_test)
blob, done = save(), 0
for part in range(PARTS):
    load(blob)
    while done < (part + 1) * steps // PARTS:
        x = bank[torch.randint(len(bank), (BATCH,))]
        z = torch.randn(BATCH, Z_DIM)
        fake = G(z)

        opt["d"].zero_grad()
        loss_d, _ = mse_gan(D(x), D(fake.detach()))
        loss_d.backward()
        opt["d"].step()

        opt["g"].zero_grad()
        _, loss_g = mse_gan(torch.zeros(()), D(fake))
        loss_g.backward()
        opt["g"].step()

        for s in sched.values():
            s.step()
        done += 1
        monitor.step(x, z)
    blob = save()
