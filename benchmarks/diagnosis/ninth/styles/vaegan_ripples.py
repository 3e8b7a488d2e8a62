import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(seed)

config = {
    "z_size": 8,
    "hidden": 64,
    "batch": 32,
    "lr": {"encoder": 2e-3, "decoder": 2e-3, "discriminator": 2e-3},
    "beta1": 0.5,
    "lambda_rec": 2.0,
    "lambda_kl": 0.02,
}


def mlp(*sizes, act=nn.LeakyReLU):
    layers = []
    for a, b in zip(sizes[:-2], sizes[1:-1]):
        layers += [nn.Linear(a, b), act(0.2)]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


nets = {
    "encoder": mlp(16, config["hidden"], 2 * config["z_size"]),
    "decoder": mlp(config["z_size"], config["hidden"], config["hidden"], 16),
    "discriminator": mlp(16, config["hidden"], config["hidden"], 1),
}
opts = {
    name: torch.optim.Adam(net.parameters(), lr=config["lr"][name], betas=(config["beta1"], 0.99))
    for name, net in nets.items()
}
profiles = data.ripples(3000)


def get_batch():
    return profiles[torch.randint(0, len(profiles), (config["batch"],))]


def reparameterize(mu, logvar):
    return mu + torch.randn_like(mu) * (0.5 * logvar).exp()


def encode(x):
    mu, logvar = nets["encoder"](x).chunk(2, dim=1)
    return mu, logvar.clamp(-6, 3)


def set_grad(*names):
    for name, net in nets.items():
        net.requires_grad_(name in names)


def bce(logits, value):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, value))


def discriminator_step(x):
    set_grad("discriminator")
    opts["discriminator"].zero_grad()
    with torch.no_grad():
        mu, logvar = encode(x)
        z = torch.cat((reparameterize(mu, logvar), torch.randn(len(x), config["z_size"])))
        fakes = nets["decoder"](z)
    loss = bce(nets["discriminator"](x), 1.0) + bce(nets["discriminator"](fakes), 0.0)
    loss.backward()
    opts["discriminator"].step()
    return loss.item()


def autoencoder_step(x):
    set_grad("encoder", "decoder")
    for name in ("encoder", "decoder"):
        opts[name].zero_grad()
    mu, logvar = encode(x)
    z = torch.cat((reparameterize(mu, logvar), torch.randn(len(x), config["z_size"])))
    fakes = nets["decoder"](z)
    rec = F.mse_loss(fakes[: len(x)], x)
    kl = 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar).sum(1).mean()
    adv = bce(nets["discriminator"](fakes), 1.0)
    loss = adv + config["lambda_rec"] * rec + config["lambda_kl"] * kl
    loss.backward()
    for name in ("encoder", "decoder"):
        opts[name].step()
    return z.detach(), {"rec": rec.item(), "kl": kl.item(), "adv": adv.item()}


monitor = watch(
    nets["decoder"],
    nets["discriminator"],
    loss="non_saturating",
    optimizers=(opts["decoder"], opts["discriminator"]),
    sample=lambda: nets["decoder"](torch.randn(500, config["z_size"])),
    held_out=data.ripples(500, "held"),
)
history = []
for step in range(steps):
    x = get_batch()
    d_loss = discriminator_step(x)
    z, logs = autoencoder_step(x)
    history.append({"d": d_loss, **logs})
    monitor.step(x, z)
