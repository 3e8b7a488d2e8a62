# little data: LeCam regularisation, the same augmentations on both sides, average weights
import torch
from torch import nn
from torch.nn.functional import pad, relu

torch.manual_seed(seed)


class EMA:
    """average of the scores for the regulariser"""

    def __init__(self, decay=0.9):
        self.decay, self.D_real, self.D_fake = decay, 0.0, 0.0

    def update(self, real, fake):
        self.D_real = self.decay * self.D_real + (1 - self.decay) * real.mean().item()
        self.D_fake = self.decay * self.D_fake + (1 - self.decay) * fake.mean().item()


class ExponentialMovingAverage:
    """of the parameters, as in the package of that name"""

    def __init__(self, module, decay):
        self.parameters, self.decay = list(module.parameters()), decay
        self.shadow = [p.clone().detach() for p in self.parameters]

    @torch.no_grad()
    def update(self):
        for s, p in zip(self.shadow, self.parameters):
            s.sub_((1 - self.decay) * (s - p))

    def __enter__(self):
        self.kept = [p.clone() for p in self.parameters]
        with torch.no_grad():
            for s, p in zip(self.shadow, self.parameters):
                p.copy_(s)

    def __exit__(self, *args):
        with torch.no_grad():
            for k, p in zip(self.kept, self.parameters):
                p.copy_(k)


def lecam_reg(d_real, d_fake, ema):
    return relu(d_real - ema.D_fake).pow(2).mean() + relu(ema.D_real - d_fake).pow(2).mean()


def diff_augment(x):
    x = x + (torch.rand(len(x), 1, 1, 1) - 0.5) * 0.2
    dx, dy = torch.randint(0, 2, (2,)).tolist()
    return pad(x, (dx, 1 - dx, dy, 1 - dy), value=-1.0)[..., :8, :8]


def G_block(i, o):
    return [nn.Upsample(scale_factor=2), nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU()]


def build_models():
    G = nn.Sequential(nn.Linear(16, 128), nn.Unflatten(1, (32, 2, 2)), *G_block(32, 32), *G_block(32, 16), nn.Conv2d(16, 1, 3, padding=1), nn.Tanh())
    D = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(16, 32, 3, 2, 1), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(128, 1)
    )
    return G, D


G, D = build_models()
opt_G = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.0, 0.9))
opt_D = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.0, 0.9))
weights = ExponentialMovingAverage(G, 0.9)
ema = EMA()
lecam_weight, start_at = 0.01, 10
images = data.digits()[0][:700] / 8 - 1


@torch.no_grad()
def sample(n=397):
    with weights:
        return G(torch.randn(n, 16))


monitor = watch(
    G,
    D,
    loss="hinge",
    optimizers=(opt_G, opt_D),
    sample=sample,
    held_out=data.digits("held")[0] / 8 - 1,
)

for step in range(steps):
    idx = torch.randint(len(images), (32,))
    x = images[idx]
    z = torch.randn(32, 16)
    d_fake = D(diff_augment(G(z).detach()))
    d_real = D(diff_augment(x))
    ema.update(d_real, d_fake)
    loss = relu(1 - d_real).mean() + relu(1 + d_fake).mean()
    if step > start_at:
        loss = loss + lecam_weight * lecam_reg(d_real, d_fake, ema)
    opt_D.zero_grad()
    loss.backward()
    opt_D.step()

    z = torch.randn(32, 16)
    opt_G.zero_grad()
    loss_G = -D(diff_augment(G(z))).mean()
    loss_G.backward()
    opt_G.step()
    weights.update()
    monitor.step(x, z)
