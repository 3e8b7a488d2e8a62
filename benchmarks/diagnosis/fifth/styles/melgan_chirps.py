import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from tightrope import View

torch.manual_seed(seed)
hp = {"batch": 16, "lr_g": 2e-3, "lr_d": 1e-3, "betas": (0.5, 0.9), "lambda_adv": 1.0, "lambda_stft": 1.0, "lambda_feat": 1.0}


def WNConv1d(*args, **kwargs):
    return weight_norm(nn.Conv1d(*args, **kwargs))


def WNConvTranspose1d(*args, **kwargs):
    return weight_norm(nn.ConvTranspose1d(*args, **kwargs))


class Generator(nn.Module):
    def __init__(self, n_mel=8, ngf=16):
        super().__init__()
        self.model = nn.Sequential(
            WNConv1d(n_mel, ngf * 2, 3, padding=1),
            nn.LeakyReLU(0.2),
            WNConvTranspose1d(ngf * 2, ngf, 8, 4, 2),
            nn.LeakyReLU(0.2),
            WNConvTranspose1d(ngf, ngf, 4, 2, 1),
            nn.LeakyReLU(0.2),
            WNConv1d(ngf, 1, 7, padding=3),
            nn.Tanh(),
        )

    def forward(self, mel):
        return self.model(mel)


class NLayerDiscriminator(nn.Module):
    def __init__(self, ndf=12):
        super().__init__()
        self.model = nn.ModuleDict({
            "layer_0": nn.Sequential(WNConv1d(1, ndf, 9, padding=4), nn.LeakyReLU(0.2)),
            "layer_1": nn.Sequential(WNConv1d(ndf, ndf * 2, 9, 4, 4), nn.LeakyReLU(0.2)),
            "layer_2": WNConv1d(ndf * 2, 1, 3, padding=1),
        })

    def forward(self, x):
        results = []
        for layer in self.model.values():
            x = layer(x)
            results.append(x)
        return results


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.disc_0 = NLayerDiscriminator()
        self.disc_1 = NLayerDiscriminator()
        self.downsample = nn.AvgPool1d(4, stride=2, padding=1, count_include_pad=False)

    def forward(self, x):
        first = self.disc_0(x)
        return [first, self.disc_1(self.downsample(x))]


def mel_of(wave):
    spec = torch.stft(wave[:, 0], 14, 8, window=torch.hann_window(14), return_complex=True).abs()
    return torch.log(spec[..., :8] + 1e-2)


def stft_loss(x, y):
    loss = 0
    for n_fft in (16, 32):
        window = torch.hann_window(n_fft)
        a, b = (torch.stft(v[:, 0], n_fft, n_fft // 4, window=window, return_complex=True).abs() + 1e-4 for v in (x, y))
        loss = loss + (b - a).norm() / b.norm() + F.l1_loss(a.log(), b.log())
    return loss / 2


netG = Generator()
netD = Discriminator()
optG = torch.optim.Adam(netG.parameters(), lr=hp["lr_g"], betas=hp["betas"])
optD = torch.optim.Adam(netD.parameters(), lr=hp["lr_d"], betas=hp["betas"])
train_set = torch.utils.data.TensorDataset(data.chirps(1024))
loader = torch.utils.data.DataLoader(train_set, batch_size=hp["batch"], shuffle=True)
held = data.chirps(400, "held")


def vocode():
    return netG(mel_of(held))


def judge():
    return mel_of(netG(mel_of(held))), mel_of(held)


watch = watch(
    netG,
    View(netD, scores=lambda out: [scale[-1] for scale in out]),
    loss="hinge",
    optimizers=(optG, optD),
    sample=vocode,
    held_out=held,
)

count = 0
while count < steps:
    for (x_t,) in loader:
        s_t = mel_of(x_t)
        x_pred_t = netG(s_t)

        D_fake_det = netD(x_pred_t.detach())
        D_real = netD(x_t)
        loss_D = 0
        for scale in D_fake_det:
            loss_D += F.relu(1 + scale[-1]).mean()
        for scale in D_real:
            loss_D += F.relu(1 - scale[-1]).mean()
        netD.zero_grad()
        loss_D.backward()
        optD.step()

        D_fake = netD(x_pred_t)
        loss_G = 0
        for scale in D_fake:
            loss_G += -scale[-1].mean() * hp["lambda_adv"]
        loss_feat = 0
        for i in range(2):
            for j in range(2):
                loss_feat += F.l1_loss(D_fake[i][j], D_real[i][j].detach()) / 2
        loss_stft = stft_loss(x_pred_t, x_t)
        netG.zero_grad()
        (loss_G + hp["lambda_feat"] * loss_feat + hp["lambda_stft"] * loss_stft).backward()
        optG.step()

        count += 1
        watch.step(x_t, s_t)
        if count == steps:
            break
