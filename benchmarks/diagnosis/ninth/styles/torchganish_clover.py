import torch
import torch.nn as nn
from torch.optim import Adam

torch.manual_seed(seed)


class GeneratorLoss(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction
        self.arg_map = {}

    def train_ops(self, generator, discriminator, optimizer_generator, batch_size):
        noise = generator.sampler(batch_size)
        optimizer_generator.zero_grad()
        dgz = discriminator(generator(noise))
        loss = self.forward(dgz)
        loss.backward()
        optimizer_generator.step()
        return loss.item(), noise


class DiscriminatorLoss(nn.Module):
    def __init__(self, reduction="mean", **kwargs):
        super().__init__()
        self.reduction = reduction
        for name, value in kwargs.items():
            setattr(self, name, value)

    def train_ops(self, generator, discriminator, optimizer_discriminator, real_inputs):
        noise = generator.sampler(real_inputs.size(0))
        optimizer_discriminator.zero_grad()
        dx = discriminator(real_inputs)
        fake = generator(noise)
        dgz = discriminator(fake.detach())
        loss = self.forward(dx, dgz)
        loss.backward()
        optimizer_discriminator.step()
        return loss.item()


class WassersteinGeneratorLoss(GeneratorLoss):
    def forward(self, fgz):
        return -1.0 * fgz.mean()


class WassersteinDiscriminatorLoss(DiscriminatorLoss):
    def forward(self, fx, fgz):
        return (fgz - fx).mean()


class WassersteinGradientPenalty(DiscriminatorLoss):
    def __init__(self, lambd=10.0):
        super().__init__(lambd=lambd)

    def forward(self, interpolate, d_interpolate):
        grad_outputs = torch.ones_like(d_interpolate)
        gradients = torch.autograd.grad(
            outputs=d_interpolate, inputs=interpolate, grad_outputs=grad_outputs, create_graph=True, retain_graph=True
        )[0]
        gradient_penalty = (gradients.norm(2, dim=1) - 1) ** 2
        return gradient_penalty.mean()

    def train_ops(self, generator, discriminator, optimizer_discriminator, real_inputs):
        batch_size = real_inputs.size(0)
        noise = generator.sampler(batch_size)
        optimizer_discriminator.zero_grad()
        fake = generator(noise).detach()
        eps = torch.rand(batch_size, 1)
        interpolate = (eps * real_inputs + (1 - eps) * fake).requires_grad_(True)
        loss = self.forward(interpolate, discriminator(interpolate))
        weighted_loss = self.lambd * loss
        weighted_loss.backward()
        optimizer_discriminator.step()
        return loss.item()


class Net(nn.Module):
    def __init__(self, encoding_dims, out, hidden=64):
        super().__init__()
        self.encoding_dims = encoding_dims
        self.model = nn.Sequential(
            nn.Linear(encoding_dims, hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus(), nn.Linear(hidden, out)
        )

    def sampler(self, sample_size):
        return torch.randn(sample_size, self.encoding_dims)

    def forward(self, x):
        return self.model(x)


class Joint(DiscriminatorLoss):
    """Both of the critic's losses in one step, as two steps of Adam would mix their moments."""

    def __init__(self, loss, penalty):
        super().__init__()
        self.loss, self.penalty = loss, penalty

    def train_ops(self, generator, discriminator, optimizer_discriminator, real_inputs):
        noise = generator.sampler(real_inputs.size(0))
        optimizer_discriminator.zero_grad()
        with torch.no_grad():
            fake = generator(noise)
        eps = torch.rand(real_inputs.size(0), 1)
        between = (eps * real_inputs + (1 - eps) * fake).requires_grad_(True)
        penalty = self.penalty.lambd * self.penalty(between, discriminator(between))
        total = self.loss(discriminator(real_inputs), discriminator(fake)) + penalty
        total.backward()
        optimizer_discriminator.step()
        return total.item()


network_params = {
    "generator": {"name": Net, "args": {"encoding_dims": 6, "out": 2}, "optimizer": {"name": Adam, "args": {"lr": 2e-3, "betas": (0.0, 0.9)}}},
    "discriminator": {"name": Net, "args": {"encoding_dims": 2, "out": 1}, "optimizer": {"name": Adam, "args": {"lr": 4e-3, "betas": (0.0, 0.9)}}},
}
losses_list = [WassersteinGeneratorLoss(), Joint(WassersteinDiscriminatorLoss(), WassersteinGradientPenalty(lambd=1.0))]


class Trainer:
    def __init__(self, models, losses_list, ncritic=3):
        self.losses = {type(loss).__name__: loss for loss in losses_list}
        self.ncritic, self.loss_logs = ncritic, {name: [] for name in self.losses}
        for name, spec in models.items():
            setattr(self, name, spec["name"](**spec["args"]))
            optimizer = spec["optimizer"]
            setattr(self, f"optimizer_{name}", optimizer["name"](getattr(self, name).parameters(), **optimizer["args"]))

    def train_iter(self, batches):
        for _ in range(self.ncritic):
            (self.real_inputs,) = next(batches)
            for name, loss in self.losses.items():
                if isinstance(loss, DiscriminatorLoss):
                    value = loss.train_ops(self.generator, self.discriminator, self.optimizer_discriminator, self.real_inputs)
                    self.loss_logs[name].append(value)
        for name, loss in self.losses.items():
            if isinstance(loss, GeneratorLoss):
                value, self.noise = loss.train_ops(
                    self.generator, self.discriminator, self.optimizer_generator, self.real_inputs.size(0)
                )
                self.loss_logs[name].append(value)

    def __call__(self, data_loader, iterations):
        self.monitor = watch(
            self.generator,
            self.discriminator,
            loss="wasserstein",
            penalty=("gp", 1.0),
            optimizers=(self.optimizer_generator, self.optimizer_discriminator),
            sample=lambda: self.generator(self.generator.sampler(500)),
            held_out=data.clover(500, "held"),
        )
        batches = (batch for _ in iter(int, 1) for batch in data_loader)
        for _ in range(iterations):
            self.train_iter(batches)
            self.monitor.step(self.real_inputs, self.noise)


loader = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(data.clover(4000)), batch_size=64, shuffle=True, drop_last=True
)
trainer = Trainer(network_params, losses_list)
trainer(loader, steps)
