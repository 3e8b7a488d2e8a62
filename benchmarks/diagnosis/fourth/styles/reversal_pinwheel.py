import torch
from torch import nn
from torch.autograd import Function
from torch.nn.functional import binary_cross_entropy_with_logits as bce


class GradientReversal(Function):
    @staticmethod
    def forward(ctx, x, alpha):
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return -ctx.alpha * grad_output, None


def revgrad(x, alpha=1.0):
    return GradientReversal.apply(x, alpha)


class Net(nn.Module):
    def __init__(self, n_in, n_out, hidden=80):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(n_in, hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ELU())
        self.head = nn.Linear(hidden, n_out)

    def forward(self, x):
        return self.head(self.stem(x))


def batches(points, size):
    while True:
        order = torch.randperm(len(points))
        for part in order.split(size):
            if len(part) == size:
                yield points[part]


torch.manual_seed(seed)
points = data.pinwheel(3000)
points = (points - points.mean(0)) / points.std(0)
test = data.pinwheel(500, "held")
test = (test - test.mean(0)) / test.std(0)
source = batches(points, 96)
latent = 6
generator, domain_classifier = Net(latent, 2), Net(2, 1)
opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
opt_d = torch.optim.Adam(domain_classifier.parameters(), lr=2e-3, betas=(0.5, 0.9))

monitor = watch(
    generator,
    domain_classifier,
    loss="minimax",
    penalty=("r1", 0.2),
    optimizers=(opt_g, opt_d),
    sample=lambda: generator(torch.randn(500, latent)),
    held_out=test,
)
for step in range(steps):
    real = next(source)
    z = torch.randn(len(real), latent)
    real = real.requires_grad_()
    fake = revgrad(generator(z))
    on_real = domain_classifier(real)
    on_fake = domain_classifier(fake)
    loss = bce(on_real, torch.ones_like(on_real)) + bce(on_fake, torch.zeros_like(on_fake))
    slope = torch.autograd.grad(on_real.sum(), real, create_graph=True)[0]
    loss = loss + 0.1 * slope.pow(2).sum(1).mean()
    opt_g.zero_grad()
    opt_d.zero_grad()
    loss.backward()
    opt_g.step()
    opt_d.step()
    monitor.step(real.detach(), z)
