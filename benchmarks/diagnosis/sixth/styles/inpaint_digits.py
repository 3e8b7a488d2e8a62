# the lower half of a digit from the upper one
import torch
import torch.nn as nn

torch.manual_seed(seed)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(32, 96), nn.BatchNorm1d(96), nn.LeakyReLU(0.2), nn.Linear(96, 32), nn.LeakyReLU(0.2))

    def forward(self, top):
        return self.model(top.flatten(1))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(32 + 4, 96), nn.ReLU(), nn.Linear(96, 32), nn.Sigmoid())

    def forward(self, code, noise):
        return self.model(torch.cat((code, noise), 1)).view(-1, 1, 4, 8)


class Inpainter(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def forward(self, top, noise):
        return self.decoder(self.encoder(top), noise)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(32, 96), nn.LeakyReLU(0.2), nn.Linear(96, 96), nn.LeakyReLU(0.2))
        self.score = nn.Linear(96, 1)

    def forward(self, bottom):
        return self.score(self.features(bottom.flatten(1)))


model, critic = Inpainter(), Critic()
adversarial_loss, pixelwise_loss = nn.BCEWithLogitsLoss(), nn.L1Loss()
lambda_adv, lambda_pix = 1.0, 5.0
optimizer_G = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.5, 0.999))
optimizer_D = torch.optim.Adam(critic.parameters(), lr=3e-4, betas=(0.5, 0.999))


def prepare(part):
    images = data.digits(part)[0] / 16
    return images[:, :, :4], images[:, :, 4:]


tops, bottoms = prepare("train")
held_top, held_bottom = prepare("held")


def test_images():
    model.eval()
    out = model(held_top, torch.randn(len(held_top), 4))
    model.train()
    return out


watch = watch(
    model,
    critic,
    loss="non_saturating",
    optimizers=(optimizer_G, optimizer_D),
    sample=test_images,
    held_out=held_bottom,
)
for batch_idx in range(steps):
    idx = torch.randperm(len(tops))[:64]
    top, bottom = tops[idx], bottoms[idx]
    valid, fake = torch.ones(64, 1), torch.zeros(64, 1)

    optimizer_G.zero_grad()
    noise = torch.randn(64, 4)
    gen = model(top, noise)
    g_adv = adversarial_loss(critic(gen), valid)
    g_pix = pixelwise_loss(gen, bottom)
    g_loss = lambda_adv * g_adv + lambda_pix * g_pix
    g_loss.backward()
    optimizer_G.step()

    optimizer_D.zero_grad()
    real_loss = adversarial_loss(critic(bottom), valid)
    fake_loss = adversarial_loss(critic(gen.detach()), fake)
    d_loss = real_loss + fake_loss
    d_loss.backward()
    optimizer_D.step()
    watch.step(bottom)
