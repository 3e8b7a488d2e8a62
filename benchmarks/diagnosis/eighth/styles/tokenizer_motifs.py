import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)


def hinge_d_loss(logits_real, logits_fake):
    loss_real = torch.mean(F.relu(1.0 - logits_real))
    loss_fake = torch.mean(F.relu(1.0 + logits_fake))
    return 0.5 * (loss_real + loss_fake)


def adopt_weight(weight, global_step, threshold=0, value=0.0):
    if global_step < threshold:
        weight = value
    return weight


class VectorQuantizer(nn.Module):
    def __init__(self, n_e=12, e_dim=4, beta=0.25):
        super().__init__()
        self.beta = beta
        self.embedding = nn.Embedding(n_e, e_dim)
        self.embedding.weight.data.normal_(0, 0.5)

    def forward(self, z):
        flat = z.transpose(1, 2).reshape(-1, z.shape[1])
        indices = torch.cdist(flat, self.embedding.weight).argmin(1)
        z_q = self.embedding(indices).view(z.shape[0], z.shape[2], -1).transpose(1, 2)
        loss = self.beta * torch.mean((z_q.detach() - z) ** 2) + torch.mean((z_q - z.detach()) ** 2)
        return z + (z_q - z).detach(), loss


class VQModel(nn.Module):
    def __init__(self, ch=24, e_dim=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(1, ch, 8, 8), nn.SiLU(), nn.Conv1d(ch, e_dim, 1))
        self.quantize = VectorQuantizer(e_dim=e_dim)
        self.decoder = nn.Sequential(
            nn.Conv1d(e_dim, ch, 1), nn.SiLU(), nn.Conv1d(ch, ch, 3, 1, 1), nn.SiLU(), nn.ConvTranspose1d(ch, 1, 8, 8)
        )

    def get_last_layer(self):
        return self.decoder[-1].weight

    def forward(self, x):
        quant, diff = self.quantize(self.encoder(x))
        return self.decoder(quant), diff


class NLayerDiscriminator(nn.Module):
    def __init__(self, ndf=16):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(1, ndf, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv1d(ndf, 2 * ndf, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv1d(2 * ndf, 1, 3, 1, 1),
        )

    def forward(self, x):
        return self.main(x)


class VQLossWithDiscriminator(nn.Module):
    def __init__(self, disc_start, codebook_weight=1.0, pixel_weight=1.0, disc_weight=0.8):
        super().__init__()
        self.discriminator = NLayerDiscriminator()
        self.discriminator_iter_start = disc_start
        self.codebook_weight, self.pixel_weight, self.disc_weight = codebook_weight, pixel_weight, disc_weight

    def calculate_adaptive_weight(self, nll_loss, g_loss, last_layer):
        nll_grads = torch.autograd.grad(nll_loss, last_layer, retain_graph=True)[0]
        g_grads = torch.autograd.grad(g_loss, last_layer, retain_graph=True)[0]
        d_weight = torch.norm(nll_grads) / (torch.norm(g_grads) + 1e-4)
        d_weight = torch.clamp(d_weight, 0.0, 1e4).detach()
        return d_weight * self.disc_weight

    def forward(self, codebook_loss, inputs, reconstructions, optimizer_idx, global_step, last_layer=None):
        rec_loss = self.pixel_weight * torch.abs(inputs.contiguous() - reconstructions.contiguous())
        nll_loss = rec_loss.mean()
        disc_factor = adopt_weight(1.0, global_step, threshold=self.discriminator_iter_start)
        if optimizer_idx == 0:
            logits_fake = self.discriminator(reconstructions.contiguous())
            g_loss = -torch.mean(logits_fake)
            d_weight = self.calculate_adaptive_weight(nll_loss, g_loss, last_layer)
            return nll_loss + d_weight * disc_factor * g_loss + self.codebook_weight * codebook_loss
        logits_real = self.discriminator(inputs.contiguous().detach())
        logits_fake = self.discriminator(reconstructions.contiguous().detach())
        return disc_factor * hinge_d_loss(logits_real, logits_fake)


model = VQModel()
criterion = VQLossWithDiscriminator(disc_start=0)
lr = 2e-3
opt_ae = torch.optim.Adam(model.parameters(), lr=lr, betas=(0.5, 0.9))
opt_disc = torch.optim.Adam(criterion.discriminator.parameters(), lr=lr, betas=(0.5, 0.9))
signals, unseen = data.motifs(2048), data.motifs(500, "held")
loader = torch.utils.data.DataLoader(signals, batch_size=32, shuffle=True, drop_last=True)


def hinge_half(d_real, d_fake):
    return hinge_d_loss(d_real, d_fake), -d_fake.mean()


import tightrope

monitor = watch(
    tightrope.View(model, scores=lambda out: out[0]),
    criterion.discriminator,
    loss=hinge_half,
    optimizers=(opt_ae, opt_disc),
    sample=lambda: model(unseen)[0],
    held_out=unseen,
)


def training_step(batch, global_step):
    xrec, qloss = model(batch)
    aeloss = criterion(qloss, batch, xrec, 0, global_step, last_layer=model.get_last_layer())
    opt_ae.zero_grad()
    aeloss.backward()
    opt_ae.step()

    discloss = criterion(qloss, batch, xrec, 1, global_step)
    opt_disc.zero_grad()
    discloss.backward()
    opt_disc.step()


global_step = 0
while global_step < steps:
    for batch in loader:
        training_step(batch, global_step)
        monitor.step(batch, batch)
        global_step += 1
        if global_step == steps:
            break
