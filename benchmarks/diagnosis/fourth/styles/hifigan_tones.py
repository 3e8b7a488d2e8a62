import itertools

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.data import DataLoader, Dataset

from tightrope import View
from tightrope.losses import least_squares

LRELU_SLOPE = 0.1


class AttrDict(dict):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__dict__ = self


h = AttrDict(batch_size=16, learning_rate=0.002, adam_b1=0.8, adam_b2=0.99, lr_decay=0.95, n_fft=16, hop=8, seed=seed)


def mel_spectrogram(y):
    spec = torch.stft(
        y.squeeze(1), h.n_fft, hop_length=h.hop, window=torch.hann_window(h.n_fft), center=True, return_complex=True
    )
    spec = torch.sqrt(spec.real.pow(2) + spec.imag.pow(2) + 1e-9)
    return torch.log(torch.clamp(spec, min=1e-2))


class MelDataset(Dataset):
    def __init__(self, audio):
        self.audio = audio

    def __getitem__(self, index):
        audio = self.audio[index]
        return mel_spectrogram(audio[None])[0], audio

    def __len__(self):
        return len(self.audio)


class ResBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.convs = nn.ModuleList(weight_norm(nn.Conv1d(channels, channels, 3, 1, d, d)) for d in (1, 3))

    def forward(self, x):
        for c in self.convs:
            x = c(F.leaky_relu(x, LRELU_SLOPE)) + x
        return x


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_pre = weight_norm(nn.Conv1d(9, 32, 3, 1, 1))
        self.ups = nn.ModuleList(
            [weight_norm(nn.ConvTranspose1d(32, 24, 8, 4, 2)), weight_norm(nn.ConvTranspose1d(24, 16, 4, 2, 1))]
        )
        self.resblocks = nn.ModuleList([ResBlock(24), ResBlock(16)])
        self.conv_post = weight_norm(nn.Conv1d(16, 1, 7, 1, 3))

    def forward(self, x):
        x = self.conv_pre(x[..., :12])
        for up, block in zip(self.ups, self.resblocks):
            x = block(up(F.leaky_relu(x, LRELU_SLOPE)))
        x = self.conv_post(F.leaky_relu(x))
        return torch.tanh(x)


class DiscriminatorP(nn.Module):
    def __init__(self, period):
        super().__init__()
        self.period = period
        self.convs = nn.ModuleList(
            [weight_norm(nn.Conv2d(1, 8, (5, 1), (3, 1), (2, 0))), weight_norm(nn.Conv2d(8, 16, (5, 1), (2, 1), (2, 0)))]
        )
        self.conv_post = weight_norm(nn.Conv2d(16, 1, (3, 1), 1, (1, 0)))

    def forward(self, x):
        fmap = []
        b, c, t = x.shape
        x = x.view(b, c, t // self.period, self.period)
        for l in self.convs:
            x = F.leaky_relu(l(x), LRELU_SLOPE)
            fmap.append(x)
        x = self.conv_post(x)
        fmap.append(x)
        return torch.flatten(x, 1, -1), fmap


class MultiPeriodDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.discriminators = nn.ModuleList([DiscriminatorP(2), DiscriminatorP(3), DiscriminatorP(4)])

    def forward(self, y, y_hat):
        y_d_rs, y_d_gs, fmap_rs, fmap_gs = [], [], [], []
        for d in self.discriminators:
            y_d_r, fmap_r = d(y)
            y_d_g, fmap_g = d(y_hat)
            y_d_rs.append(y_d_r)
            fmap_rs.append(fmap_r)
            y_d_gs.append(y_d_g)
            fmap_gs.append(fmap_g)
        return y_d_rs, y_d_gs, fmap_rs, fmap_gs


def feature_loss(fmap_r, fmap_g):
    loss = 0
    for dr, dg in zip(fmap_r, fmap_g):
        for rl, gl in zip(dr, dg):
            loss += torch.mean(torch.abs(rl - gl))
    return loss * 2


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


torch.manual_seed(h.seed)
generator = Generator()
mpd = MultiPeriodDiscriminator()
optim_g = torch.optim.AdamW(generator.parameters(), h.learning_rate, betas=(h.adam_b1, h.adam_b2))
optim_d = torch.optim.AdamW(mpd.parameters(), h.learning_rate, betas=(h.adam_b1, h.adam_b2))
scheduler_g = torch.optim.lr_scheduler.ExponentialLR(optim_g, gamma=h.lr_decay)
scheduler_d = torch.optim.lr_scheduler.ExponentialLR(optim_d, gamma=h.lr_decay)
trainset = MelDataset(data.tones(320))
train_loader = DataLoader(trainset, batch_size=h.batch_size, shuffle=True, drop_last=True)
held = data.tones(400, "held")
held_mel = mel_spectrogram(held)


def judge():
    return mel_spectrogram(generator(held_mel)), mel_spectrogram(held)


def sample():
    return generator(held_mel)


monitor = watch(
    generator,
    View(mpd, call=lambda d, y: d(y, y)[0]),
    loss=least_squares(targets=(0, 1)),
    optimizers=(optim_g, optim_d),
    sample=sample,
    held_out=held,
)
generator.train()
mpd.train()
done = 0
for epoch in itertools.count():
    for x, y in train_loader:
        y_g_hat = generator(x)
        y_g_hat_mel = mel_spectrogram(y_g_hat)
        y_mel = mel_spectrogram(y)

        optim_d.zero_grad()
        y_df_hat_r, y_df_hat_g, _, _ = mpd(y, y_g_hat.detach())
        loss_disc_all = discriminator_loss(y_df_hat_r, y_df_hat_g)
        loss_disc_all.backward()
        optim_d.step()

        optim_g.zero_grad()
        loss_mel = F.l1_loss(y_mel, y_g_hat_mel) * 5
        y_df_hat_r, y_df_hat_g, fmap_f_r, fmap_f_g = mpd(y, y_g_hat)
        loss_fm_f = feature_loss(fmap_f_r, fmap_f_g)
        loss_gen_f = generator_loss(y_df_hat_g)
        loss_gen_all = loss_gen_f + loss_fm_f + loss_mel
        loss_gen_all.backward()
        optim_g.step()

        monitor.step(y, x)
        done += 1
        if done == steps:
            break
    scheduler_g.step()
    scheduler_d.step()
    if done == steps:
        break
