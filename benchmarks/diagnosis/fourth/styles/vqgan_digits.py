import torch
import torch.nn as nn
import torch.nn.functional as F


class VectorQuantizer(nn.Module):
    def __init__(self, n_e, e_dim, beta=0.25):
        super().__init__()
        self.n_e, self.beta = n_e, beta
        self.embedding = nn.Embedding(n_e, e_dim)
        self.embedding.weight.data.uniform_(-1.0, 1.0)

    def forward(self, z):
        flat = z.permute(0, 2, 3, 1)
        d = (flat.unsqueeze(3) - self.embedding.weight).square().sum(-1)
        idx = d.argmin(-1)
        z_q = self.embedding(idx).permute(0, 3, 1, 2)
        loss = self.beta * (z_q.detach() - z).square().mean() + (z_q - z.detach()).square().mean()
        return z + (z_q - z).detach(), loss


class VQModel(nn.Module):
    def __init__(self, ch=24, n_e=32):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, ch, 4, 2, 1), nn.GroupNorm(4, ch), nn.SiLU(), nn.Conv2d(ch, ch, 4, 2, 1)
        )
        self.quant_conv = nn.Conv2d(ch, 4, 1)
        self.quantize = VectorQuantizer(n_e, 4)
        self.post_quant_conv = nn.Conv2d(4, ch, 1)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(ch, ch, 4, 2, 1), nn.GroupNorm(4, ch), nn.SiLU(), nn.ConvTranspose2d(ch, ch, 4, 2, 1),
            nn.GroupNorm(4, ch), nn.SiLU(), nn.Conv2d(ch, 1, 3, 1, 1),
        )  # fmt: skip
        self.emb_loss = None

    def get_last_layer(self):
        return self.decoder[-1].weight

    def forward(self, x):
        quant, self.emb_loss = self.quantize(self.quant_conv(self.encoder(x)))
        return self.decoder(self.post_quant_conv(quant))


def weights_init(m):
    if isinstance(m, nn.Conv2d):
        nn.init.normal_(m.weight.data, 0.0, 0.05)


def hinge_d_loss(logits_real, logits_fake):
    loss_real = torch.mean(F.relu(1.0 - logits_real))
    loss_fake = torch.mean(F.relu(1.0 + logits_fake))
    return 0.5 * (loss_real + loss_fake)


def adopt_weight(weight, global_step, threshold=0, value=0.0):
    if global_step < threshold:
        weight = value
    return weight


class LossWithDiscriminator(nn.Module):
    def __init__(self, disc_start=10, disc_weight=0.5, codebook_weight=1.0):
        super().__init__()
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 3, 1, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(32, 1, 3, 1, 1),
        ).apply(weights_init)  # fmt: skip
        self.discriminator_iter_start = disc_start
        self.discriminator_weight = disc_weight
        self.codebook_weight = codebook_weight

    def calculate_adaptive_weight(self, nll_loss, g_loss, last_layer):
        nll_grads = torch.autograd.grad(nll_loss, last_layer, retain_graph=True)[0]
        g_grads = torch.autograd.grad(g_loss, last_layer, retain_graph=True)[0]
        d_weight = torch.norm(nll_grads) / (torch.norm(g_grads) + 1e-4)
        d_weight = torch.clamp(d_weight, 0.0, 1e4).detach()
        return d_weight * self.discriminator_weight

    def forward(self, codebook_loss, inputs, reconstructions, optimizer_idx, global_step, last_layer):
        if optimizer_idx == 0:
            nll_loss = torch.abs(inputs.contiguous() - reconstructions.contiguous()).mean()
            logits_fake = self.discriminator(reconstructions.contiguous())
            g_loss = -torch.mean(logits_fake)
            d_weight = self.calculate_adaptive_weight(nll_loss, g_loss, last_layer)
            disc_factor = adopt_weight(1.0, global_step, threshold=self.discriminator_iter_start)
            return nll_loss + d_weight * disc_factor * g_loss + self.codebook_weight * codebook_loss.mean()
        logits_real = self.discriminator(inputs.contiguous().detach())
        logits_fake = self.discriminator(reconstructions.contiguous().detach())
        disc_factor = adopt_weight(1.0, global_step, threshold=self.discriminator_iter_start)
        return disc_factor * hinge_d_loss(logits_real, logits_fake)


torch.manual_seed(seed)
model = VQModel()
loss_module = LossWithDiscriminator()
lr = 2e-3
opt_ae = torch.optim.Adam(
    list(model.encoder.parameters())
    + list(model.decoder.parameters())
    + list(model.quantize.parameters())
    + list(model.quant_conv.parameters())
    + list(model.post_quant_conv.parameters()),
    lr=lr,
    betas=(0.5, 0.9),
)
opt_disc = torch.optim.Adam(loss_module.discriminator.parameters(), lr=lr, betas=(0.5, 0.9))
images = data.digits()[0] / 8 - 1
held_out = data.digits("held")[0] / 8 - 1


def half_hinge(d_real, d_fake):
    return hinge_d_loss(d_real, d_fake), -d_fake.mean()


monitor = watch(
    model,
    loss_module.discriminator,
    loss=half_hinge,
    optimizers=(opt_ae, opt_disc),
    sample=lambda: model(held_out),
    held_out=held_out,
)
for global_step in range(steps):
    x = images[torch.randint(0, len(images), (32,))]
    xrec = model(x)
    qloss = model.emb_loss
    aeloss = loss_module(qloss, x, xrec, 0, global_step, model.get_last_layer())
    opt_ae.zero_grad()
    aeloss.backward()
    opt_ae.step()

    discloss = loss_module(qloss, x, xrec, 1, global_step, model.get_last_layer())
    opt_disc.zero_grad()
    discloss.backward()
    opt_disc.step()
    monitor.step(x, x)
