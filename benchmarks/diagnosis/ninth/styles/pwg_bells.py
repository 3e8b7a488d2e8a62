import torch
import torch.nn.functional as F
from tightrope.losses import least_squares
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(seed)

config = {
    "generator_params": {"layers": 3, "channels": 16, "aux_channels": 2},
    "discriminator_params": {"layers": 3, "channels": 16},
    "stft_loss_params": {"fft_sizes": [8, 16], "hop_sizes": [4, 8]},
    "lambda_aux": 0.3,
    "lambda_mel": 1.5,
    "lambda_adv": 1.0,
    "batch_size": 24,
    "generator_optimizer_params": {"lr": 0.006, "betas": (0.5, 0.99)},
    "generator_scheduler_params": {"step_size": 100, "gamma": 0.7},
    "generator_grad_norm": 10.0,
    "discriminator_optimizer_params": {"lr": 0.004, "betas": (0.5, 0.99)},
    "discriminator_scheduler_params": {"step_size": 100, "gamma": 0.7},
    "discriminator_grad_norm": 10.0,
    "discriminator_train_start_steps": 0,
    "train_max_steps": steps,
}


class ParallelWaveGANGenerator(torch.nn.Module):
    def __init__(self, layers, channels, aux_channels):
        super().__init__()
        self.first_conv = torch.nn.Conv1d(1, channels, 3, padding=1)
        self.aux = torch.nn.ModuleList([torch.nn.Conv1d(aux_channels, 2 * channels, 1) for _ in range(layers)])
        self.conv_layers = torch.nn.ModuleList(
            [torch.nn.Conv1d(channels, 2 * channels, 3, padding=2**i, dilation=2**i) for i in range(layers)]
        )
        self.last_conv = torch.nn.Conv1d(channels, 1, 3, padding=1)

    def forward(self, x):
        noise, c = x[:, :1], x[:, 1:]
        h = self.first_conv(noise)
        for conv, aux in zip(self.conv_layers, self.aux):
            a, b = (conv(h) + aux(c)).chunk(2, dim=1)
            h = h + torch.tanh(a) * torch.sigmoid(b)
        return torch.tanh(self.last_conv(h))


class ParallelWaveGANDiscriminator(torch.nn.Module):
    def __init__(self, layers, channels):
        super().__init__()
        self.convs = torch.nn.ModuleList([torch.nn.Conv1d(1, channels, 3, padding=1)])
        for i in range(1, layers):
            self.convs += [torch.nn.Conv1d(channels, channels, 3, padding=2**i, dilation=2**i)]
        self.last = torch.nn.Conv1d(channels, 1, 3, padding=1)

    def forward(self, x):
        for f in self.convs:
            x = F.leaky_relu(f(x), 0.2)
        return self.last(x)


class MultiResolutionSTFTLoss(torch.nn.Module):
    def __init__(self, fft_sizes, hop_sizes):
        super().__init__()
        self.sizes = list(zip(fft_sizes, hop_sizes))

    @staticmethod
    def magnitude(x, fft_size, hop_size):
        frames = x.squeeze(1).unfold(1, fft_size, hop_size) * torch.hann_window(fft_size)
        return torch.sqrt(torch.fft.rfft(frames).abs().square() + 1e-5)

    def forward(self, x, y):
        sc_loss, mag_loss = 0.0, 0.0
        for fft_size, hop_size in self.sizes:
            x_mag, y_mag = self.magnitude(x, fft_size, hop_size), self.magnitude(y, fft_size, hop_size)
            sc_loss += torch.linalg.norm(y_mag - x_mag) / torch.linalg.norm(y_mag)
            mag_loss += F.l1_loss(torch.log(y_mag), torch.log(x_mag))
        return sc_loss / len(self.sizes), mag_loss / len(self.sizes)


class AudioMelDataset(Dataset):
    def __init__(self, n, part):
        self.audio, self.mel = data.bells(n, part)

    def __len__(self):
        return len(self.audio)

    def __getitem__(self, idx):
        return self.audio[idx], self.mel[idx]


def collate(batch):
    y, c = (torch.stack(items) for items in zip(*batch))
    return y, upsampled(c)


def upsampled(c):
    c = c.repeat_interleave(4, dim=2)
    return torch.cat((torch.randn(len(c), 1, c.shape[2]), c), 1)


class Trainer:
    def __init__(self, steps, data_loader, model, criterion, optimizer, scheduler, config):
        self.steps, self.data_loader, self.model, self.criterion = steps, data_loader, model, criterion
        self.optimizer, self.scheduler, self.config = optimizer, scheduler, config
        self.finish_train = False

    def run(self):
        dev_y, dev_c = data.bells(500, "held")
        self.monitor = watch(
            self.model["generator"],
            self.model["discriminator"],
            loss=least_squares(targets=(0.0, 1.0)),
            optimizers=(self.optimizer["generator"], self.optimizer["discriminator"]),
            sample=lambda: self.model["generator"](upsampled(dev_c)),
            held_out=dev_y,
        )
        while not self.finish_train:
            self._train_epoch()

    def _train_step(self, batch):
        y, x = batch
        y_ = self.model["generator"](x)
        sc_loss, mag_loss = self.criterion["stft"](y_, y)
        gen_loss = self.config["lambda_aux"] * (sc_loss + mag_loss)
        gen_loss = gen_loss + self.config["lambda_mel"] * self.criterion["mel"](data.coarse(y_), data.coarse(y))
        if self.steps >= self.config["discriminator_train_start_steps"]:
            p_ = self.model["discriminator"](y_)
            adv_loss = self.criterion["mse"](p_, p_.new_ones(p_.size()))
            gen_loss = gen_loss + self.config["lambda_adv"] * adv_loss
        self.optimizer["generator"].zero_grad()
        gen_loss.backward()
        if self.config["generator_grad_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(self.model["generator"].parameters(), self.config["generator_grad_norm"])
        self.optimizer["generator"].step()
        self.scheduler["generator"].step()

        if self.steps >= self.config["discriminator_train_start_steps"]:
            # re-compute y_ which leads better quality
            with torch.no_grad():
                y_ = self.model["generator"](x)
            p = self.model["discriminator"](y)
            p_ = self.model["discriminator"](y_.detach())
            real_loss = self.criterion["mse"](p, p.new_ones(p.size()))
            fake_loss = self.criterion["mse"](p_, p_.new_zeros(p_.size()))
            dis_loss = real_loss + fake_loss
            self.optimizer["discriminator"].zero_grad()
            dis_loss.backward()
            if self.config["discriminator_grad_norm"] > 0:
                torch.nn.utils.clip_grad_norm_(
                    self.model["discriminator"].parameters(), self.config["discriminator_grad_norm"]
                )
            self.optimizer["discriminator"].step()
            self.scheduler["discriminator"].step()
        self.steps += 1
        self.monitor.step(y, x)
        if self.steps >= self.config["train_max_steps"]:
            self.finish_train = True

    def _train_epoch(self):
        for batch in self.data_loader["train"]:
            self._train_step(batch)
            if self.finish_train:
                return


model = {
    "generator": ParallelWaveGANGenerator(**config["generator_params"]),
    "discriminator": ParallelWaveGANDiscriminator(**config["discriminator_params"]),
}
criterion = {"stft": MultiResolutionSTFTLoss(**config["stft_loss_params"]), "mel": torch.nn.L1Loss(), "mse": torch.nn.MSELoss()}
optimizer = {
    "generator": torch.optim.RAdam(model["generator"].parameters(), **config["generator_optimizer_params"]),
    "discriminator": torch.optim.RAdam(model["discriminator"].parameters(), **config["discriminator_optimizer_params"]),
}
scheduler = {
    k: torch.optim.lr_scheduler.StepLR(optimizer=optimizer[k], **config[f"{k}_scheduler_params"])
    for k in ("generator", "discriminator")
}
data_loader = {
    "train": DataLoader(
        AudioMelDataset(1536, "train"), batch_size=config["batch_size"], shuffle=True, drop_last=True, collate_fn=collate
    )
}
Trainer(0, data_loader, model, criterion, optimizer, scheduler, config).run()
