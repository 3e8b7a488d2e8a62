import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)


class EasyDict(dict):
    def __getattr__(self, name):
        return self[name]

    def __setattr__(self, name, value):
        self[name] = value


def normalize_2nd_moment(x, eps=1e-8):
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class FullyConnectedLayer(nn.Module):
    def __init__(self, in_features, out_features, bias_init=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.full((out_features,), bias_init))
        self.weight_gain = in_features**-0.5

    def forward(self, x):
        return F.linear(x, self.weight * self.weight_gain, self.bias)


class MappingNetwork(nn.Module):
    def __init__(self, z_dim, w_dim):
        super().__init__()
        self.z_dim = z_dim
        self.fc0, self.fc1 = FullyConnectedLayer(z_dim, w_dim), FullyConnectedLayer(w_dim, w_dim)

    def forward(self, z):
        x = normalize_2nd_moment(z)
        x = F.leaky_relu(self.fc0(x), 0.2) * 2**0.5
        return F.leaky_relu(self.fc1(x), 0.2) * 2**0.5


class SynthesisNetwork(nn.Module):
    def __init__(self, w_dim, channels=14):
        super().__init__()
        self.const = nn.Parameter(torch.randn(channels, 4, 4))
        self.affine0 = FullyConnectedLayer(w_dim, channels, bias_init=1.0)
        self.affine1 = FullyConnectedLayer(w_dim, channels, bias_init=1.0)
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.torgb = nn.Conv2d(channels, 1, 1)

    def forward(self, ws):
        x = self.const * self.affine0(ws)[:, :, None, None]
        x = F.leaky_relu(self.conv0(x), 0.2)
        x = F.interpolate(x, scale_factor=2, mode="bilinear") * self.affine1(ws)[:, :, None, None]
        return self.torgb(F.leaky_relu(self.conv1(x), 0.2))


class Generator(nn.Module):
    def __init__(self, z_dim, w_dim):
        super().__init__()
        self.z_dim = z_dim
        self.mapping, self.synthesis = MappingNetwork(z_dim, w_dim), SynthesisNetwork(w_dim)

    def forward(self, z):
        return self.synthesis(self.mapping(z))


class Discriminator(nn.Module):
    def __init__(self, channels=14):
        super().__init__()
        self.fromrgb = nn.Conv2d(1, channels, 1)
        self.conv0 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.out = nn.Linear(channels * 4, 1)

    def forward(self, img):
        x = F.leaky_relu(self.fromrgb(img), 0.2)
        x = F.avg_pool2d(F.leaky_relu(self.conv0(x), 0.2), 2)
        x = F.avg_pool2d(F.leaky_relu(self.conv1(x), 0.2), 2)
        return self.out(x.flatten(1))


class AugmentPipe(nn.Module):
    """Flips and quarter turns, each with a probability that training moves."""

    def __init__(self):
        super().__init__()
        self.register_buffer("p", torch.zeros([]))

    def forward(self, images):
        flip = (torch.rand(len(images), 1, 1, 1) < 0.5 * self.p).float()
        images = flip * images.flip(3) + (1 - flip) * images
        turn = (torch.rand(len(images), 1, 1, 1) < 0.5 * self.p).float()
        return turn * images.rot90(1, (2, 3)) + (1 - turn) * images


class StyleGAN2Loss:
    def __init__(self, G, D, augment_pipe, r1_gamma):
        self.G, self.D, self.augment_pipe, self.r1_gamma = G, D, augment_pipe, r1_gamma
        self.signs = []

    def run_D(self, img):
        return self.D(self.augment_pipe(img))

    def accumulate_gradients(self, phase, real_img, gen_z, gain):
        do_Gmain = phase == "Gmain"
        do_Dmain = phase == "Dmain"
        do_Dr1 = phase == "Dreg"

        # Gmain: Maximize logits for generated images.
        if do_Gmain:
            gen_logits = self.run_D(self.G(gen_z))
            loss_Gmain = F.softplus(-gen_logits)  # -log(sigmoid(gen_logits))
            loss_Gmain.mean().mul(gain).backward()

        # Dmain: Minimize logits for generated images.
        if do_Dmain:
            gen_logits = self.run_D(self.G(gen_z).detach())
            loss_Dgen = F.softplus(gen_logits)  # -log(1 - sigmoid(gen_logits))
            loss_Dgen.mean().mul(gain).backward()

        # Dmain: Maximize logits for real images.
        # Dr1: Apply R1 regularization.
        if do_Dmain or do_Dr1:
            real_img_tmp = real_img.detach().requires_grad_(do_Dr1)
            real_logits = self.run_D(real_img_tmp)
            if do_Dmain:
                self.signs.append(real_logits.sign().mean().item())
                loss_Dreal = F.softplus(-real_logits)
                loss_Dreal.mean().mul(gain).backward()
            if do_Dr1:
                r1_grads = torch.autograd.grad(outputs=[real_logits.sum()], inputs=[real_img_tmp], create_graph=True)[0]
                r1_penalty = r1_grads.square().sum([1, 2, 3])
                loss_Dr1 = r1_penalty * (self.r1_gamma / 2)
                loss_Dr1.mean().mul(gain).backward()


def training_loop(
    batch_size=24, D_reg_interval=4, G_lr=0.003, D_lr=0.003, r1_gamma=0.5, ema_kimg=0.3, ema_rampup=0.1, ada_target=0.6, ada_interval=4
):
    dataset = data.glints(2048)
    G, D = Generator(16, 24).requires_grad_(False), Discriminator().requires_grad_(False)
    G_ema = copy.deepcopy(G).eval()
    augment_pipe = AugmentPipe()
    loss = StyleGAN2Loss(G, D, augment_pipe, r1_gamma)
    phases = []
    for name, module, lr, reg_interval in [("G", G, G_lr, None), ("D", D, D_lr, D_reg_interval)]:
        if reg_interval is None:
            opt = torch.optim.Adam(module.parameters(), lr=lr, betas=(0.0, 0.99))
            phases += [EasyDict(name=name + "main", module=module, opt=opt, interval=1)]
        else:  # Lazy regularization.
            mb_ratio = reg_interval / (reg_interval + 1)
            opt = torch.optim.Adam(module.parameters(), lr=lr * mb_ratio, betas=(0.0**mb_ratio, 0.99**mb_ratio))
            phases += [EasyDict(name=name + "main", module=module, opt=opt, interval=1)]
            phases += [EasyDict(name=name + "reg", module=module, opt=opt, interval=reg_interval)]
    monitor = watch(
        G,
        D,
        loss="non_saturating",
        penalty=("r1", r1_gamma),
        optimizers=(phases[0].opt, phases[1].opt),
        sample=lambda: G_ema(torch.randn(500, G.z_dim)),
        ema=G_ema,
        held_out=data.glints(500, "held"),
    )
    cur_nimg = 0
    for batch_idx in range(steps):
        phase_real_img = dataset[torch.randint(len(dataset), (batch_size,))]
        all_gen_z = torch.randn([len(phases), batch_size, G.z_dim])
        for phase, phase_gen_z in zip(phases, all_gen_z):
            if batch_idx % phase.interval != 0:
                continue
            phase.opt.zero_grad(set_to_none=True)
            phase.module.requires_grad_(True)
            loss.accumulate_gradients(phase.name, phase_real_img, phase_gen_z, gain=phase.interval)
            phase.module.requires_grad_(False)
            for param in phase.module.parameters():
                if param.grad is not None:
                    torch.nan_to_num(param.grad, nan=0, posinf=1e5, neginf=-1e5, out=param.grad)
            phase.opt.step()

        # Update G_ema.
        ema_nimg = min(ema_kimg * 1000, cur_nimg * ema_rampup)
        ema_beta = 0.5 ** (batch_size / max(ema_nimg, 1e-8))
        for p_ema, p in zip(G_ema.parameters(), G.parameters()):
            p_ema.copy_(p.lerp(p_ema, ema_beta))
        cur_nimg += batch_size
        if batch_idx % ada_interval == 0:
            adjust = np.sign(np.mean(loss.signs[-ada_interval:]) - ada_target) * 0.02
            augment_pipe.p.copy_((augment_pipe.p + adjust).clamp(0, 0.8))
        monitor.step(phase_real_img, all_gen_z[0])


training_loop()
