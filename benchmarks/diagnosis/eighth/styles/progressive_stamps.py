import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import Adam

torch.manual_seed(seed)


class EqualLR:
    def __init__(self, name):
        self.name = name

    def compute_weight(self, module):
        weight = getattr(module, self.name + "_orig")
        fan_in = weight.data.size(1) * weight.data[0][0].numel()
        return weight * math.sqrt(2 / fan_in)

    @staticmethod
    def apply(module, name):
        fn = EqualLR(name)
        weight = getattr(module, name)
        del module._parameters[name]
        module.register_parameter(name + "_orig", nn.Parameter(weight.data.normal_()))
        module.register_forward_pre_hook(fn)
        return module

    def __call__(self, module, input):
        setattr(module, self.name, self.compute_weight(module))


def equal(layer):
    layer.bias.data.zero_()
    return EqualLR.apply(layer, "weight")


class PixelNorm(nn.Module):
    def forward(self, input):
        return input / torch.sqrt(torch.mean(input**2, dim=1, keepdim=True) + 1e-8)


class Generator(nn.Module):
    def __init__(self, code_dim=12, ch=10):
        super().__init__()
        self.input = nn.Sequential(PixelNorm(), equal(nn.Linear(code_dim, ch * 16)), nn.LeakyReLU(0.2))
        self.conv4 = nn.Sequential(equal(nn.Conv2d(ch, ch, 3, 1, 1)), PixelNorm(), nn.LeakyReLU(0.2))
        self.conv8 = nn.Sequential(equal(nn.Conv2d(ch, ch, 3, 1, 1)), PixelNorm(), nn.LeakyReLU(0.2))
        self.rgb4, self.rgb8 = equal(nn.Conv2d(ch, 1, 1)), equal(nn.Conv2d(ch, 1, 1))
        self.ch, self.alpha = ch, 0.0

    def forward(self, input):
        out = self.conv4(self.input(input).view(-1, self.ch, 4, 4))
        upsample = F.interpolate(out, scale_factor=2)
        skip = F.interpolate(self.rgb4(out), scale_factor=2)
        return (1 - self.alpha) * skip + self.alpha * self.rgb8(self.conv8(upsample))


class Discriminator(nn.Module):
    def __init__(self, ch=10):
        super().__init__()
        self.from8, self.from4 = equal(nn.Conv2d(1, ch, 1)), equal(nn.Conv2d(1, ch, 1))
        self.conv8 = nn.Sequential(nn.LeakyReLU(0.2), equal(nn.Conv2d(ch, ch, 3, 1, 1)), nn.LeakyReLU(0.2))
        self.conv4 = nn.Sequential(equal(nn.Conv2d(ch + 1, 2 * ch, 4)), nn.LeakyReLU(0.2))
        self.linear = equal(nn.Linear(2 * ch, 1))
        self.alpha = 0.0

    def forward(self, input):
        out = F.avg_pool2d(self.conv8(self.from8(input)), 2)
        skip = self.from4(F.avg_pool2d(input, 2))
        out = (1 - self.alpha) * skip + self.alpha * out
        groups = out.view(-1, 8, *out.shape[1:])  # the spread within groups of eight
        mean_std = torch.sqrt(groups.var(1, unbiased=False) + 1e-8).mean((1, 2, 3))
        mean_std = mean_std.repeat_interleave(8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
        return self.linear(self.conv4(torch.cat([out, mean_std], 1)).view(len(out), -1))


batch_size, code_size = 16, 12
fade_iterations = steps // 2
lr, lambda_gp = 0.006, 5.0
G, D, G_running = Generator(code_size), Discriminator(), Generator(code_size)
G_running.train(False)


def accumulate(model1, model2, decay=0.9):
    par1, par2 = dict(model1.named_parameters()), dict(model2.named_parameters())
    for k in par1.keys():
        par1[k].data.mul_(decay).add_(par2[k].data, alpha=1 - decay)
    model1.alpha = model2.alpha


accumulate(G_running, G, 0)
g_optimizer = Adam(G.parameters(), lr=lr, betas=(0.0, 0.99))
d_optimizer = Adam(D.parameters(), lr=lr, betas=(0.0, 0.99))
images = data.stamps(2048)


def sample_data():
    loader = torch.utils.data.DataLoader(images, batch_size=batch_size, shuffle=True, drop_last=True)
    while True:
        for batch in loader:
            yield batch


monitor = watch(
    G,
    D,
    loss="wasserstein",
    penalty=("gp", lambda_gp),
    optimizers=(g_optimizer, d_optimizer),
    sample=lambda: G_running(torch.randn(504, code_size))[:500],
    ema=G_running,
    held_out=data.stamps(496, "held"),
)
data_loader = sample_data()
for i in range(steps):
    alpha = min(1, (i + 1) / fade_iterations)
    G.alpha = D.alpha = alpha

    D.zero_grad()
    real_image = next(data_loader)
    real_predict = D(real_image)
    loss_real = -real_predict.mean()
    loss_real.backward()
    gen_in = torch.randn(batch_size, code_size)
    fake_image = G(gen_in).detach()
    fake_predict = D(fake_image)
    loss_fake = fake_predict.mean()
    loss_fake.backward()
    eps = torch.rand(batch_size, 1, 1, 1)
    x_hat = eps * real_image.data + (1 - eps) * fake_image.data
    x_hat.requires_grad = True
    hat_predict = D(x_hat)
    grad_x_hat = torch.autograd.grad(outputs=hat_predict.sum(), inputs=x_hat, create_graph=True)[0]
    grad_penalty = ((grad_x_hat.view(grad_x_hat.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()
    grad_penalty = lambda_gp * grad_penalty
    grad_penalty.backward()
    d_optimizer.step()

    G.zero_grad()
    gen_in = torch.randn(batch_size, code_size)
    predict = D(G(gen_in))
    loss = -predict.mean()
    loss.backward()
    g_optimizer.step()
    accumulate(G_running, G)
    monitor.step(real_image, gen_in)
