import copy
import io

import torch
from torch import nn
from torch.nn import functional as F

config = {
    "z_dist": {"dim": 8},
    "training": {
        "batch_size": 64,
        "lr_g": 2e-3,
        "lr_d": 2e-3,
        "reg_param": 0.1,
        "model_average_beta": 0.9,
        "lr_anneal": 0.6,
        "lr_anneal_every": 60,
    },
}
torch.manual_seed(seed)


def toggle_grad(model, requires_grad):
    for p in model.parameters():
        p.requires_grad_(requires_grad)


def compute_loss(d_out, target):
    targets = d_out.new_full(size=d_out.size(), fill_value=target)
    return F.binary_cross_entropy_with_logits(d_out, targets)


def compute_grad2(d_out, x_in):
    batch_size = x_in.size(0)
    grad_dout = torch.autograd.grad(outputs=d_out.sum(), inputs=x_in, create_graph=True, retain_graph=True)[0]
    return grad_dout.pow(2).view(batch_size, -1).sum(1)


def update_average(model_tgt, model_src, beta):
    with torch.no_grad():
        src = dict(model_src.named_parameters())
        for name, p in model_tgt.named_parameters():
            p.copy_(beta * p + (1.0 - beta) * src[name])


class Trainer:
    def __init__(self, generator, discriminator, g_optimizer, d_optimizer, reg_param):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.reg_param = reg_param

    def generator_trainstep(self, z):
        toggle_grad(self.generator, True)
        toggle_grad(self.discriminator, False)
        self.generator.train()
        self.discriminator.train()
        self.g_optimizer.zero_grad()
        x_fake = self.generator(z)
        d_fake = self.discriminator(x_fake)
        gloss = compute_loss(d_fake, 1)
        gloss.backward()
        self.g_optimizer.step()
        return gloss.item()

    def discriminator_trainstep(self, x_real, z):
        toggle_grad(self.generator, False)
        toggle_grad(self.discriminator, True)
        self.d_optimizer.zero_grad()
        x_real.requires_grad_()
        d_real = self.discriminator(x_real)
        dloss_real = compute_loss(d_real, 1)
        dloss_real.backward(retain_graph=True)
        reg = self.reg_param * 0.5 * compute_grad2(d_real, x_real).mean()
        reg.backward()
        with torch.no_grad():
            x_fake = self.generator(z)
        d_fake = self.discriminator(x_fake)
        dloss_fake = compute_loss(d_fake, 0)
        dloss_fake.backward()
        self.d_optimizer.step()
        toggle_grad(self.discriminator, False)
        return (dloss_real + dloss_fake).item(), reg.item()


def build():
    g = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    d = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
    return g, d


cfg = config["training"]
generator, discriminator = build()
generator_test = copy.deepcopy(generator)
g_optimizer = torch.optim.RMSprop(generator.parameters(), lr=cfg["lr_g"], alpha=0.99, eps=1e-8)
d_optimizer = torch.optim.RMSprop(discriminator.parameters(), lr=cfg["lr_d"], alpha=0.99, eps=1e-8)
g_scheduler = torch.optim.lr_scheduler.StepLR(g_optimizer, cfg["lr_anneal_every"], cfg["lr_anneal"])
d_scheduler = torch.optim.lr_scheduler.StepLR(d_optimizer, cfg["lr_anneal_every"], cfg["lr_anneal"])
trainer = Trainer(generator, discriminator, g_optimizer, d_optimizer, cfg["reg_param"])
x_all = data.squares(4096)


def zdist(n):
    return torch.randn(n, config["z_dist"]["dim"])


def evaluate():
    generator_test.train()
    return generator_test(zdist(500))


def save():
    file = io.BytesIO()
    state = {
        "generator": generator.state_dict(),
        "discriminator": discriminator.state_dict(),
        "generator_test": generator_test.state_dict(),
        "g_optimizer": g_optimizer.state_dict(),
        "d_optimizer": d_optimizer.state_dict(),
        "g_scheduler": g_scheduler.state_dict(),
        "d_scheduler": d_scheduler.state_dict(),
    }
    torch.save(state, file)
    return file


def restore(file):
    file.seek(0)
    state = torch.load(file, weights_only=True)
    generator.load_state_dict(state["generator"])
    discriminator.load_state_dict(state["discriminator"])
    generator_test.load_state_dict(state["generator_test"])
    g_optimizer.load_state_dict(state["g_optimizer"])
    d_optimizer.load_state_dict(state["d_optimizer"])
    g_scheduler.load_state_dict(state["g_scheduler"])
    d_scheduler.load_state_dict(state["d_scheduler"])


watch = watch(
    generator,
    discriminator,
    loss="non_saturating",
    penalty=("r1", cfg["reg_param"]),
    optimizers=(g_optimizer, d_optimizer),
    sample=evaluate,
    ema=generator_test,
    held_out=data.squares(500, "held"),
)

it = 0
while it < steps:
    perm = torch.randperm(len(x_all))
    for start in range(0, len(x_all), cfg["batch_size"]):
        it += 1
        x_real = x_all[perm[start : start + cfg["batch_size"]]].clone()
        dloss, reg = trainer.discriminator_trainstep(x_real, zdist(cfg["batch_size"]))
        z = zdist(cfg["batch_size"])
        gloss = trainer.generator_trainstep(z)
        update_average(generator_test, generator, cfg["model_average_beta"])
        g_scheduler.step()
        d_scheduler.step()
        watch.step(x_real.detach(), z)
        if it == steps // 2:  # the cluster's time slice ends here; go on from the file
            checkpoint = save()
            restore(checkpoint)
        if it >= steps:
            break
