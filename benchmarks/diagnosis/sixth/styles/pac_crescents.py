# two samples judged together, torch's older spectral norm
import torch
from torch import nn
from torch.nn.utils import spectral_norm

from tightrope import View

torch.manual_seed(seed)
PAC, BATCH, Z = 2, 128, 4


class PackedD(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.a = spectral_norm(nn.Linear(2 * PAC, width))
        self.b = spectral_norm(nn.Linear(width, width))
        self.c = spectral_norm(nn.Linear(width, 1))
        self.act = nn.LeakyReLU(0.1)

    def forward(self, x):
        x = x.reshape(-1, 2 * PAC)
        return 4 * self.c(self.act(self.b(self.act(self.a(x)))))


class G(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(Z, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, 2)

    def forward(self, z):
        return self.head(self.body(z))


g, d = G(), PackedD()
og = torch.optim.Adam(g.parameters(), lr=1e-3, betas=(0.0, 0.9))
od = torch.optim.Adam(d.parameters(), lr=4e-3, betas=(0.0, 0.9))
bce = nn.functional.binary_cross_entropy_with_logits
X = data.crescents(4096)[0]
watch = watch(
    g,
    View(d, rows=PAC),
    loss="non_saturating",
    penalty="spectral_norm",
    optimizers=(og, od),
    sample=lambda: g(torch.randn(500, Z)),
    held_out=data.crescents(500, "held")[0],
)
loader = torch.utils.data.DataLoader(X, BATCH, shuffle=True, drop_last=True)
it = iter(loader)
k = 0
while k < steps:
    try:
        real = next(it)
    except StopIteration:
        it = iter(loader)
        continue
    # d
    z = torch.randn(BATCH, Z)
    fake = g(z)
    lr_, lf_ = d(real), d(fake.detach())
    loss = bce(lr_, torch.ones_like(lr_)) + bce(lf_, torch.zeros_like(lf_))
    od.zero_grad()
    loss.backward()
    od.step()
    # g, on the same fakes
    out = d(fake)
    loss = bce(out, torch.ones_like(out))
    og.zero_grad()
    loss.backward()
    og.step()
    watch.step(real, z)
    k += 1
