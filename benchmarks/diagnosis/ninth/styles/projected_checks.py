import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm

torch.manual_seed(seed)


class F_RandomProj(nn.Module):
    """Features of a network that is never trained, mixed at random across scales."""

    def __init__(self, width=12):
        super().__init__()
        keep = torch.get_rng_state()
        torch.manual_seed(0)
        self.layer0 = nn.Conv2d(3, width, 3, 1, 1)
        self.layer1 = nn.Conv2d(width, width, 3, 2, 1)
        self.layer2 = nn.Conv2d(width, width, 3, 2, 1)
        self.mix = nn.ModuleList([nn.Conv2d(width, width, 1) for _ in range(3)])
        for conv in (self.layer0, self.layer1, self.layer2, *self.mix):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)
        torch.set_rng_state(keep)
        self.requires_grad_(False)

    def forward(self, x):
        f0 = F.leaky_relu(self.layer0(x), 0.3)
        f1 = F.leaky_relu(self.layer1(f0), 0.3)
        f2 = F.leaky_relu(self.layer2(f1), 0.3)
        f1 = self.mix[1](f1 + F.interpolate(self.mix[2](f2), scale_factor=2))
        f0 = self.mix[0](f0 + F.interpolate(f1, scale_factor=2))
        return {"0": f0, "1": f1, "2": f2}


class SingleDisc(nn.Module):
    def __init__(self, nc=12, ndf=12):
        super().__init__()
        self.main = nn.Sequential(
            spectral_norm(nn.Conv2d(nc, ndf, 3, 1, 1)), nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(ndf, 1, 2, 1, 0))
        )

    def forward(self, x):
        return self.main(x)


class MultiScaleD(nn.Module):
    def __init__(self, num_discs=3):
        super().__init__()
        self.mini_discs = nn.ModuleDict({str(i): SingleDisc() for i in range(num_discs)})

    def forward(self, features):
        all_logits = []
        for k, disc in self.mini_discs.items():
            all_logits.append(disc(features[k]).view(features[k].size(0), -1))
        return torch.cat(all_logits, dim=1)


class ProjectedDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.feature_network = F_RandomProj()
        self.discriminator = MultiScaleD()

    def train(self, mode=True):
        self.feature_network.train(False)
        self.discriminator.train(mode)
        return self

    def forward(self, x):
        return self.discriminator(self.feature_network(x))


class LightGenerator(nn.Module):
    def __init__(self, z_dim=16, nf=24):
        super().__init__()
        self.fc = nn.Linear(z_dim, nf * 4)
        self.up1, self.up2 = nn.Conv2d(nf, nf, 3, 1, 1), nn.Conv2d(nf, nf, 3, 1, 1)
        self.bn0, self.bn1, self.bn2 = nn.BatchNorm2d(nf), nn.BatchNorm2d(nf), nn.BatchNorm2d(nf)
        self.to_rgb = nn.Conv2d(nf, 3, 3, 1, 1)

    def forward(self, z):
        x = F.relu(self.bn0(self.fc(z).view(len(z), -1, 2, 2)))
        x = F.relu(self.bn1(self.up1(F.interpolate(x, scale_factor=2))))
        x = F.relu(self.bn2(self.up2(F.interpolate(x, scale_factor=2))))
        return torch.tanh(self.to_rgb(x))


def set_requires_grad(modules, flag):
    for module in modules:
        for p in module.parameters():
            p.requires_grad_(flag)


kwargs = dict(batch_size=24, g_lr=2e-3, d_lr=1e-2, betas=(0.0, 0.99))
G, D = LightGenerator().train(), ProjectedDiscriminator().train()
g_opt = torch.optim.Adam(G.parameters(), lr=kwargs["g_lr"], betas=kwargs["betas"])
d_opt = torch.optim.Adam(D.discriminator.parameters(), lr=kwargs["d_lr"], betas=kwargs["betas"])
training_set = data.checks(2048)
training_set_iterator = iter(
    torch.utils.data.DataLoader(
        training_set,
        batch_size=kwargs["batch_size"],
        sampler=torch.utils.data.RandomSampler(training_set, replacement=True, num_samples=10**6),
    )
)


def generate(n=500):
    G.eval()
    images = G(torch.randn(n, 16))
    G.train()
    return images


monitor = watch(
    G, D, loss="hinge", optimizers=(g_opt, d_opt), sample=generate, held_out=data.checks(500, "held")
)
for cur_tick in range(steps):
    phase_real_img = next(training_set_iterator)
    gen_z = torch.randn(len(phase_real_img), 16)

    # generator: maximize logits for generated images
    set_requires_grad([D.discriminator], False)
    g_opt.zero_grad(set_to_none=True)
    gen_logits = D(G(gen_z))
    loss_Gmain = (-gen_logits).mean()
    loss_Gmain.backward()
    g_opt.step()

    # discriminator: generated images, then real ones
    set_requires_grad([D.discriminator], True)
    d_opt.zero_grad(set_to_none=True)
    with torch.no_grad():
        gen_img = G(torch.randn(len(phase_real_img), 16))
    gen_logits = D(gen_img)
    loss_Dgen = F.relu(torch.ones_like(gen_logits) + gen_logits).mean()
    loss_Dgen.backward()
    real_logits = D(phase_real_img)
    loss_Dreal = F.relu(torch.ones_like(real_logits) - real_logits).mean()
    loss_Dreal.backward()
    d_opt.step()
    monitor.step(phase_real_img, gen_z)
