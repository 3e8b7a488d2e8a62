import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, random_split


class LightningModule(nn.Module):
    """The part of it that this script needs."""

    trainer = None

    def optimizers(self):
        return self.trainer.optimizers

    def lr_schedulers(self):
        return self.trainer.schedulers

    def manual_backward(self, loss):
        loss.backward()

    def toggle_optimizer(self, optimizer):
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self._kept = {p: p.requires_grad for p in self.parameters()}
        for p in self.parameters():
            p.requires_grad = id(p) in own

    def untoggle_optimizer(self, optimizer):
        for p, flag in self._kept.items():
            p.requires_grad = flag

    def log_dict(self, values, prog_bar=False):
        self.logged = {k: float(v) for k, v in values.items()}


class Trainer:
    def __init__(self, max_steps):
        self.max_steps, self.global_step = max_steps, 0

    def fit(self, module, datamodule, ckpt=None):
        module.trainer = self
        self.optimizers, self.schedulers = module.configure_optimizers()
        if ckpt is not None:
            module.load_state_dict(ckpt["state_dict"])
            for opt, state in zip(self.optimizers, ckpt["optimizers"]):
                opt.load_state_dict(state)
            for sch, state in zip(self.schedulers, ckpt["schedulers"]):
                sch.load_state_dict(state)
        module.train()
        module.on_fit_start()
        while self.global_step < self.max_steps:
            for index, batch in enumerate(datamodule.train_dataloader()):
                module.training_step(batch, index)
                self.global_step += 1
                if self.global_step >= self.max_steps:
                    break
        return copy.deepcopy(
            {
                "state_dict": module.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
                "schedulers": [s.state_dict() for s in self.schedulers],
            }
        )


class ShapesDataModule:
    def __init__(self, batch_size=24):
        self.batch_size = batch_size
        images = data.shapes(1100).permute(0, 3, 1, 2).float()
        images = images / 255.0
        images = (images - 0.5) / 0.5
        self.train, self.val = random_split(images, [1000, 100], torch.Generator().manual_seed(0))

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True, drop_last=True)


class Generator(nn.Module):
    def __init__(self, latent_dim, ch=16):
        super().__init__()
        self.init = nn.Linear(latent_dim, ch * 16)
        self.ch = ch
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(ch), nn.Upsample(scale_factor=2), nn.Conv2d(ch, ch, 3, 1, 1), nn.BatchNorm2d(ch),
            nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), nn.Conv2d(ch, ch, 3, 1, 1), nn.BatchNorm2d(ch),
            nn.LeakyReLU(0.2), nn.Conv2d(ch, 3, 3, 1, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.conv_blocks(self.init(z).view(-1, self.ch, 4, 4))


class Discriminator(nn.Module):
    def __init__(self, ch=16):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(3, ch, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(ch, 2 * ch, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(32 * ch, 1),
        )  # fmt: skip

    def forward(self, img):
        return self.model(img)


class GAN(LightningModule):
    def __init__(self, latent_dim=24, lr=0.002, b1=0.0, b2=0.9):
        super().__init__()
        self.latent_dim, self.lr, self.b1, self.b2 = latent_dim, lr, b1, b2
        self.generator = Generator(latent_dim)
        self.discriminator = Discriminator()
        self.monitor = None

    def forward(self, z):
        return self.generator(z)

    def adversarial_loss(self, y_hat, y):
        return F.binary_cross_entropy_with_logits(y_hat, y)

    def configure_optimizers(self):
        opt_g = torch.optim.Adam(self.generator.parameters(), lr=self.lr, betas=(self.b1, self.b2))
        opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=self.lr, betas=(self.b1, self.b2))
        schedulers = [torch.optim.lr_scheduler.StepLR(o, step_size=30, gamma=0.8) for o in (opt_g, opt_d)]
        return [opt_g, opt_d], schedulers

    def sample(self):
        return self.generator(torch.randn(500, self.latent_dim))

    def on_fit_start(self):
        if self.monitor is None:
            held = data.shapes(500, "held").permute(0, 3, 1, 2).float() / 127.5 - 1
            self.monitor = watch(
                self.generator,
                self.discriminator,
                loss="non_saturating",
                optimizers=tuple(self.optimizers()),
                sample=self.sample,
                held_out=held,
            )

    def training_step(self, batch, batch_idx):
        imgs = batch
        optimizer_g, optimizer_d = self.optimizers()
        z = torch.randn(imgs.shape[0], self.latent_dim)

        self.toggle_optimizer(optimizer_g)
        valid = torch.ones(imgs.size(0), 1)
        g_loss = self.adversarial_loss(self.discriminator(self(z)), valid)
        self.manual_backward(g_loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)

        self.toggle_optimizer(optimizer_d)
        real_loss = self.adversarial_loss(self.discriminator(imgs), torch.ones(imgs.size(0), 1))
        fake_loss = self.adversarial_loss(self.discriminator(self(z).detach()), torch.zeros(imgs.size(0), 1))
        d_loss = real_loss + fake_loss
        self.manual_backward(d_loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

        for sch in self.lr_schedulers():
            sch.step()
        self.log_dict({"g_loss": g_loss, "d_loss": d_loss}, prog_bar=True)
        self.monitor.step(imgs, z)


torch.manual_seed(seed)
dm = ShapesDataModule()
model = GAN()
trainer = Trainer(max_steps=steps)
trainer.fit(model, dm)
