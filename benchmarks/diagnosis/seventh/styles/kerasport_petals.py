from __future__ import print_function, division

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(seed)
np.random.seed(seed)


class GAN():
    def __init__(self):
        self.shape = 2
        self.latent_dim = 10

        # Build and compile the discriminator
        self.discriminator = self.build_discriminator()
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=0.002, betas=(0.5, 0.999))
        self.loss = nn.BCELoss()

        # Build the generator
        self.generator = self.build_generator()
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=0.002, betas=(0.5, 0.999))

    def build_generator(self):
        model = nn.Sequential(
            nn.Linear(self.latent_dim, 64),
            nn.LeakyReLU(0.2),
            nn.BatchNorm1d(64, momentum=0.2),
            nn.Linear(64, 64),
            nn.LeakyReLU(0.2),
            nn.BatchNorm1d(64, momentum=0.2),
            nn.Linear(64, self.shape),
            nn.Tanh(),
        )
        return model

    def build_discriminator(self):
        model = nn.Sequential(
            nn.Linear(self.shape, 64),
            nn.LeakyReLU(0.2),
            nn.Linear(64, 64),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.1),
            nn.Linear(64, 1),
            nn.Sigmoid(),
        )
        return model

    def predict(self, n):
        self.generator.eval()
        gen = self.generator(torch.randn(n, self.latent_dim))
        self.generator.train()
        return gen

    def losses(self, p_real, p_fake):
        valid, fake = torch.ones_like(p_fake), torch.zeros_like(p_fake)
        return 0.5 * (self.loss(p_real, torch.ones_like(p_real)) + self.loss(p_fake, fake)), self.loss(p_fake, valid)

    def train(self, epochs, batch_size=64):
        X_train = data.petals(3000)
        X_train = X_train / 1.0
        valid = torch.ones(batch_size, 1)
        fake = torch.zeros(batch_size, 1)
        monitor = watch(
            self.generator,
            self.discriminator,
            loss=self.losses,
            optimizers=(self.optimizer_g, self.optimizer_d),
            sample=lambda: self.predict(500),
            held_out=data.petals(500, "held"),
        )
        for epoch in range(epochs):
            # ---------------------
            #  Train Discriminator
            # ---------------------
            idx = np.random.randint(0, X_train.shape[0], batch_size)
            imgs = X_train[idx]
            noise = torch.randn(batch_size, self.latent_dim)
            gen_imgs = self.generator(noise)
            d_loss_real = self.loss(self.discriminator(imgs), valid)
            d_loss_fake = self.loss(self.discriminator(gen_imgs.detach()), fake)
            d_loss = 0.5 * (d_loss_real + d_loss_fake)
            self.optimizer_d.zero_grad()
            d_loss.backward()
            self.optimizer_d.step()

            # ---------------------
            #  Train Generator
            # ---------------------
            noise = torch.randn(batch_size, self.latent_dim)
            validity = self.discriminator(self.generator(noise))
            g_loss = self.loss(validity, valid)
            self.optimizer_g.zero_grad()
            g_loss.backward()
            self.optimizer_g.step()
            monitor.step(imgs, noise)


gan = GAN()
gan.train(epochs=steps)
