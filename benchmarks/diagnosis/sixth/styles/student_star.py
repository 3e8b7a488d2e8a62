# a small student, taught by a frozen teacher's map and by a critic
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(seed)
dim, bs = 4, 96


class Teacher(nn.Module):
    """The map a large network has learned: latents to rays."""

    def forward(self, z):
        ray = torch.atan2(z[:, 1], z[:, 0]).div(2 * torch.pi / 5).round() * 2 * torch.pi / 5
        r = 0.2 + 0.5 * (1 + torch.erf(z[:, 2] / 2**0.5))
        return torch.stack((r * ray.cos(), r * ray.sin()), 1) + 0.04 * z[:, 3:]


def small(i, o):
    return nn.Sequential(nn.Linear(i, 48), nn.Softplus(), nn.Linear(48, 48), nn.Softplus(), nn.Linear(48, o))


class Distiller:
    def __init__(self):
        self.teacher = Teacher().eval()
        self.student = small(dim, 2)
        self.critic = small(2, 1)
        self.opt_s = torch.optim.RAdam(self.student.parameters(), lr=4e-3, betas=(0.5, 0.99))
        self.opt_c = torch.optim.RAdam(self.critic.parameters(), lr=4e-3, betas=(0.5, 0.99))
        self.warm_s = torch.optim.lr_scheduler.LinearLR(self.opt_s, 0.5, 1.0, total_iters=20)
        self.alpha = 1.0
        self.beta = 1.0
        self.gamma = 0.3

    def real(self, rows):
        return rows[torch.randperm(len(rows))[:bs]]

    def latents(self, n=bs):
        return torch.randn(n, dim)

    def grad_pen(self, *batches):
        total = 0.0
        for x in batches:
            x = x.detach().requires_grad_(True)
            g = torch.autograd.grad(self.critic(x).sum(), x, create_graph=True)[0]
            total = total + g.square().sum(1).mean()
        return self.gamma / 2 * total

    def critic_step(self, x):
        fake = self.student(self.latents()).detach()
        loss = F.softplus(-self.critic(x)).mean() + F.softplus(self.critic(fake)).mean()
        loss = loss + self.grad_pen(x)
        self.opt_c.zero_grad()
        loss.backward()
        self.opt_c.step()

    def student_step(self):
        z = self.latents()
        with torch.no_grad():
            wanted = self.teacher(z)
        made = self.student(z)
        adversarial = F.softplus(-self.critic(made)).mean()
        distance = F.mse_loss(made, wanted)
        loss = self.alpha * adversarial + self.beta * distance
        self.opt_s.zero_grad()
        loss.backward()
        self.opt_s.step()
        self.warm_s.step()
        return z


run = Distiller()
rows = data.star(4000)
watch = watch(
    run.student,
    run.critic,
    loss="non_saturating",
    penalty=("r1", run.gamma),
    optimizers=(run.opt_s, run.opt_c),
    sample=lambda: run.student(run.latents(500)),
    held_out=data.star(500, "held"),
)
for _ in range(steps):
    x = run.real(rows)
    run.critic_step(x)
    z = run.student_step()
    watch.step(x, z)
