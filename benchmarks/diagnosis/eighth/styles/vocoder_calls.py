import itertools

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader, TensorDataset

import tightrope

torch.manual_seed(seed)
LRELU_SLOPE = 0.1


class AttrDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self


h = AttrDict(batch_size=24, learning_rate=0.004, adam_b1=0.8, adam_b2=0.99, lr_decay=0.999, lambda_mel=10.0, lambda_fm=1.0)


class Generator(nn.Module):
    def __init__(self, h, width=32):
        super().__init__()
        self.conv_pre = weight_norm(nn.Conv1d(3, width, 3, 1, padding=1))
        self.ups = nn.ModuleList(
            [
                weight_norm(nn.ConvTranspose1d(width, width // 2, 4, 2, 1)),
                weight_norm(nn.ConvTranspose1d(width // 2, width // 4, 4, 2, 1)),
            ]
        )
        self.conv_post = weight_norm(nn.Conv1d(width // 4, 1, 5, 1, padding=2))

    def forward(self, x):
        x = self.conv_pre(x)
        for up in self.ups:
            x = up(F.leaky_relu(x, LRELU_SLOPE))
        return torch.tanh(self.conv_post(F.leaky_relu(x)))


class DiscriminatorS(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.convs = nn.ModuleList(
            [
                weight_norm(nn.Conv1d(1, width, 7, 2, padding=3)),
                weight_norm(nn.Conv1d(width, 2 * width, 5, 2, padding=2)),
            ]
        )
        self.conv_post = weight_norm(nn.Conv1d(2 * width, 1, 3, 1, padding=1))

    def forward(self, x):
        fmap = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), LRELU_SLOPE)
            fmap.append(x)
        x = self.conv_post(x)
        fmap.append(x)
        return torch.flatten(x, 1, -1), fmap


class MultiScaleDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.discriminators = nn.ModuleList([DiscriminatorS(), DiscriminatorS()])
        self.meanpool = nn.AvgPool1d(4, 2, padding=1)

    def forward(self, y):
        outs, fmaps = [], []
        for i, d in enumerate(self.discriminators):
            if i != 0:
                y = self.meanpool(y)
            out, fmap = d(y)
            outs.append(out)
            fmaps.append(fmap)
        return outs, fmaps


def feature_loss(fmap_r, fmap_g):
    loss = 0
    for dr, dg in zip(fmap_r, fmap_g):
        for rl, gl in zip(dr, dg):
            loss += torch.mean(torch.abs(rl - gl))
    return loss * h.lambda_fm


def discriminator_loss(disc_real_outputs, disc_generated_outputs):
    loss = 0
    for dr, dg in zip(disc_real_outputs, disc_generated_outputs):
        r_loss = torch.mean((1 - dr) ** 2)
        g_loss = torch.mean(dg**2)
        loss += r_loss + g_loss
    return loss


def generator_loss(disc_outputs):
    loss = 0
    for dg in disc_outputs:
        loss += torch.mean((1 - dg) ** 2)
    return loss


generator = Generator(h)
msd = MultiScaleDiscriminator()
optim_g = torch.optim.AdamW(generator.parameters(), h.learning_rate, betas=(h.adam_b1, h.adam_b2))
optim_d = torch.optim.AdamW(itertools.chain(msd.parameters()), h.learning_rate, betas=(h.adam_b1, h.adam_b2))
scheduler_g = torch.optim.lr_scheduler.ExponentialLR(optim_g, gamma=h.lr_decay)
scheduler_d = torch.optim.lr_scheduler.ExponentialLR(optim_d, gamma=h.lr_decay)
waves, mels = data.calls(2048)
val_wave, val_mel = data.calls(500, "held")
train_loader = DataLoader(TensorDataset(mels, waves), h.batch_size, shuffle=True, drop_last=True)


def with_phase(mel):
    return torch.cat((mel, torch.randn(len(mel), 1, mel.shape[2])), 1)


monitor = watch(
    generator,
    tightrope.View(msd, scores=lambda out: out[0]),
    loss=tightrope.losses.least_squares(targets=(0.0, 1.0)),
    optimizers=(optim_g, optim_d),
    sample=lambda: generator(with_phase(val_mel)),
    held_out=val_wave,
)
done = 0
for epoch in itertools.count():
    if done >= steps:
        break
    for i, batch in enumerate(train_loader):
        x, y = batch
        inp = with_phase(x)
        y_g_hat = generator(inp)
        y_g_hat_mel = data.bands(y_g_hat)

        # Discriminator
        optim_d.zero_grad()
        y_ds_hat_r, _ = msd(y)
        y_ds_hat_g, _ = msd(y_g_hat.detach())
        loss_disc_all = discriminator_loss(y_ds_hat_r, y_ds_hat_g)
        loss_disc_all.backward()
        optim_d.step()

        # Generator
        optim_g.zero_grad()
        loss_mel = F.l1_loss(x, y_g_hat_mel) * h.lambda_mel
        y_ds_hat_r, fmap_s_r = msd(y)
        y_ds_hat_g, fmap_s_g = msd(y_g_hat)
        loss_fm_s = feature_loss(fmap_s_r, fmap_s_g)
        loss_gen_s = generator_loss(y_ds_hat_g)
        loss_gen_all = loss_gen_s + loss_fm_s + loss_mel
        loss_gen_all.backward()
        optim_g.step()
        monitor.step(y, inp)
        done += 1
        if done >= steps:
            break
    scheduler_g.step()
    scheduler_d.step()
