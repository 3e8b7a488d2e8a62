import numpy as np
import torch
from torch import optim
from torch.nn import BatchNorm1d, Dropout, LeakyReLU, Linear, Module, ReLU, Sequential, functional

from tightrope import View


class Discriminator(Module):
    def __init__(self, input_dim, discriminator_dim, pac=10):
        super().__init__()
        dim = input_dim * pac
        self.pac, self.pacdim = pac, dim
        seq = []
        for item in list(discriminator_dim):
            seq += [Linear(dim, item), LeakyReLU(0.2), Dropout(0.25)]
            dim = item
        seq += [Linear(dim, 1)]
        self.seq = Sequential(*seq)

    def calc_gradient_penalty(self, real_data, fake_data, device="cpu", pac=10, lambda_=10):
        alpha = torch.rand(real_data.size(0) // pac, 1, 1, device=device)
        alpha = alpha.repeat(1, pac, real_data.size(1))
        alpha = alpha.view(-1, real_data.size(1))
        interpolates = alpha * real_data + ((1 - alpha) * fake_data)
        disc_interpolates = self(interpolates)
        gradients = torch.autograd.grad(
            outputs=disc_interpolates,
            inputs=interpolates,
            grad_outputs=torch.ones(disc_interpolates.size(), device=device),
            create_graph=True,
            retain_graph=True,
            only_inputs=True,
        )[0]
        gradients_view = gradients.view(-1, pac * real_data.size(1)).norm(2, dim=1) - 1
        gradient_penalty = ((gradients_view) ** 2).mean() * lambda_
        return gradient_penalty

    def forward(self, input_):
        assert input_.size()[0] % self.pac == 0
        return self.seq(input_.view(-1, self.pacdim))


class Residual(Module):
    def __init__(self, i, o):
        super().__init__()
        self.fc, self.bn, self.relu = Linear(i, o), BatchNorm1d(o), ReLU()

    def forward(self, input_):
        out = self.relu(self.bn(self.fc(input_)))
        return torch.cat([out, input_], dim=1)


class Generator(Module):
    def __init__(self, embedding_dim, generator_dim, data_dim):
        super().__init__()
        dim = embedding_dim
        seq = []
        for item in list(generator_dim):
            seq += [Residual(dim, item)]
            dim += item
        seq.append(Linear(dim, data_dim))
        self.seq = Sequential(*seq)

    def forward(self, input_):
        return self.seq(input_)


class Activated(Module):
    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def forward(self, z):
        data = self.generator(z)
        numbers = torch.tanh(data[:, :3])
        kind = functional.gumbel_softmax(data[:, 3:], tau=0.5, hard=False)
        return torch.cat([numbers, kind], dim=1)


class CTGAN:
    def __init__(self, embedding_dim=16, generator_dim=(48, 48), discriminator_dim=(48, 48), batch_size=100, pac=10):
        self._embedding_dim, self._generator_dim, self._discriminator_dim = embedding_dim, generator_dim, discriminator_dim
        self._generator_lr, self._generator_decay = 2e-3, 1e-6
        self._discriminator_lr, self._discriminator_decay = 2e-3, 1e-6
        self._batch_size, self._discriminator_steps, self.pac = batch_size, 2, pac

    def transform(self, numbers, kind):
        numbers = (numbers - self.low) / (self.high - self.low) * 2 - 1
        return torch.cat([numbers.clamp(-1, 1), functional.one_hot(kind, 4).float()], dim=1)

    def fit(self, train_data, held):
        self.low, self.high = train_data[0].min(0).values, train_data[0].max(0).values
        rows = self.transform(*train_data)
        self._generator = Activated(Generator(self._embedding_dim, self._generator_dim, rows.shape[1]))
        discriminator = Discriminator(rows.shape[1], self._discriminator_dim, pac=self.pac)
        optimizerG = optim.Adam(
            self._generator.parameters(), lr=self._generator_lr, betas=(0.5, 0.9), weight_decay=self._generator_decay
        )
        optimizerD = optim.Adam(
            discriminator.parameters(), lr=self._discriminator_lr, betas=(0.5, 0.9), weight_decay=self._discriminator_decay
        )
        mean = torch.zeros(self._batch_size, self._embedding_dim)
        std = mean + 1
        monitor = watch(
            self._generator,
            View(discriminator, rows=self.pac),
            loss="wasserstein",
            penalty=("gp", 10.0),
            optimizers=(optimizerG, optimizerD),
            sample=self.sample,
            held_out=self.transform(*held),
        )
        for _ in range(steps):
            for n in range(self._discriminator_steps):
                fakez = torch.normal(mean=mean, std=std)
                real = rows[np.random.randint(len(rows), size=self._batch_size)]
                fake = self._generator(fakez)
                real_cat, fake_cat = real, fake
                y_fake = discriminator(fake_cat)
                y_real = discriminator(real_cat)
                pen = discriminator.calc_gradient_penalty(real_cat, fake_cat, "cpu", self.pac)
                loss_d = -(torch.mean(y_real) - torch.mean(y_fake))
                optimizerD.zero_grad(set_to_none=False)
                pen.backward(retain_graph=True)
                loss_d.backward()
                optimizerD.step()

            fakez = torch.normal(mean=mean, std=std)
            fake = self._generator(fakez)
            y_fake = discriminator(fake)
            loss_g = -torch.mean(y_fake)
            optimizerG.zero_grad(set_to_none=False)
            loss_g.backward()
            optimizerG.step()
            monitor.step(real, fakez)

    def sample(self, n=500):
        fakez = torch.normal(mean=torch.zeros(n, self._embedding_dim), std=torch.ones(n, self._embedding_dim))
        with torch.no_grad():
            return self._generator(fakez)


torch.manual_seed(seed)
np.random.seed(seed)
model = CTGAN()
model.fit(data.table(2000), data.table(500, "held"))
