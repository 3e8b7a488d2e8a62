import numpy as np
import torch
from torch import optim
from torch.nn import BatchNorm1d, Dropout, LeakyReLU, Linear, Module, ReLU, Sequential, functional

import tightrope

torch.manual_seed(seed)
np.random.seed(seed)


class Discriminator(Module):
    def __init__(self, input_dim, discriminator_dim, pac=4):
        super().__init__()
        dim = input_dim * pac
        self.pac = pac
        self.pacdim = dim
        seq = []
        for item in list(discriminator_dim):
            seq += [Linear(dim, item), LeakyReLU(0.2), Dropout(0.1)]
            dim = item
        seq += [Linear(dim, 1)]
        self.seq = Sequential(*seq)

    def calc_gradient_penalty(self, real_data, fake_data, pac=4, lambda_=10):
        alpha = torch.rand(real_data.size(0) // pac, 1, 1)
        alpha = alpha.repeat(1, pac, real_data.size(1))
        alpha = alpha.view(-1, real_data.size(1))
        interpolates = alpha * real_data + ((1 - alpha) * fake_data)
        interpolates.requires_grad_(True)
        disc_interpolates = self(interpolates)
        gradients = torch.autograd.grad(
            outputs=disc_interpolates,
            inputs=interpolates,
            grad_outputs=torch.ones(disc_interpolates.size()),
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
        self.fc = Linear(i, o)
        self.bn = BatchNorm1d(o)
        self.relu = ReLU()

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
        return self._apply_activate(self.seq(input_))

    def _apply_activate(self, out):
        number, channel, state = out.split((2, 4, 3), 1)
        soft = functional.gumbel_softmax
        return torch.cat((torch.tanh(number) * 1.5, soft(channel, tau=0.2), soft(state, tau=0.2)), dim=1)


class CTGAN:
    def __init__(self, embedding_dim=12, generator_dim=(40, 40), discriminator_dim=(48, 48), batch_size=64):
        self._embedding_dim, self._batch_size, self.pac = embedding_dim, batch_size, 4
        self._generator = Generator(embedding_dim + 4, generator_dim, 9)
        self._discriminator = Discriminator(9 + 4, discriminator_dim, pac=self.pac)
        self._generator_lr, self._discriminator_lr, self._discriminator_steps = 2e-3, 2e-3, 2
        self._lambda = 10

    def sample_condvec(self, batch):
        channel = np.random.choice(4, batch, p=self.frequencies)
        return np.eye(4, dtype="float32")[channel], channel

    def sample_data(self, col):
        return np.array([np.random.choice(self.rows_of[c]) for c in col])

    def _cond_loss(self, output, c1):
        return functional.cross_entropy(output[:, 2:6] * 4, c1.argmax(1))

    def fit(self, train_data, channel, epochs):
        self.frequencies = np.bincount(channel, minlength=4) / len(channel)
        self.rows_of = [np.flatnonzero(channel == c) for c in range(4)]
        optimizerG = optim.Adam(
            self._generator.parameters(), lr=self._generator_lr, betas=(0.5, 0.9), weight_decay=1e-6
        )
        optimizerD = optim.Adam(
            self._discriminator.parameters(), lr=self._discriminator_lr, betas=(0.5, 0.9), weight_decay=1e-6
        )
        held, held_channel = data.orders(500, "held")
        self.monitor = watch(
            tightrope.View(self._generator, call=lambda g, z: torch.cat((g(z), z[:, -4:]), 1)),
            tightrope.View(self._discriminator, rows=self.pac),
            loss="wasserstein",
            penalty=("gp", 10.0),
            optimizers=(optimizerG, optimizerD),
            sample=lambda: self.sample(500),
            held_out=torch.cat((held, functional.one_hot(held_channel, 4).float()), 1),
        )
        for i in range(epochs):
            for n in range(self._discriminator_steps):
                fakez = torch.randn(self._batch_size, self._embedding_dim)
                c1, col = self.sample_condvec(self._batch_size)
                c1 = torch.from_numpy(c1)
                perm = np.arange(self._batch_size)
                np.random.shuffle(perm)
                real = torch.from_numpy(train_data[self.sample_data(col[perm])].astype("float32"))
                c2 = c1[perm]
                fake = self._generator(torch.cat([fakez, c1], dim=1))
                fake_cat = torch.cat([fake, c1], dim=1)
                real_cat = torch.cat([real, c2], dim=1)
                y_fake = self._discriminator(fake_cat)
                y_real = self._discriminator(real_cat)
                pen = self._discriminator.calc_gradient_penalty(real_cat, fake_cat, self.pac, self._lambda)
                loss_d = -(torch.mean(y_real) - torch.mean(y_fake))
                optimizerD.zero_grad(set_to_none=False)
                pen.backward(retain_graph=True)
                loss_d.backward()
                optimizerD.step()

            fakez = torch.randn(self._batch_size, self._embedding_dim)
            c1 = torch.from_numpy(self.sample_condvec(self._batch_size)[0])
            fakez = torch.cat([fakez, c1], dim=1)
            fake = self._generator(fakez)
            y_fake = self._discriminator(torch.cat([fake, c1], dim=1))
            cross_entropy = self._cond_loss(fake, c1)
            loss_g = -torch.mean(y_fake) + 0.1 * cross_entropy
            optimizerG.zero_grad(set_to_none=False)
            loss_g.backward()
            optimizerG.step()
            self.monitor.step(real_cat, fakez)

    def sample(self, n):
        c1 = torch.from_numpy(self.sample_condvec(n)[0])
        z = torch.randn(n, self._embedding_dim)
        return torch.cat((self._generator(torch.cat([z, c1], dim=1)), c1), 1)


table, channels = data.orders(3000)
model = CTGAN()
model.fit(table.numpy(), channels.numpy(), steps)
