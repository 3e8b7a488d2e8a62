import copy
import torch
from torch import nn, optim
from torch.nn import functional as F
from torch import autograd


def requires_grad(model, flag=True):
    for p in model.parameters():
        p.requires_grad = flag


def accumulate(model1, model2, decay=0.98):
    par1 = dict(model1.named_parameters())
    par2 = dict(model2.named_parameters())
    for k in par1.keys():
        par1[k].data.mul_(decay).add_(par2[k].data, alpha=1 - decay)


def d_logistic_loss(real_pred, fake_pred):
    real_loss = F.softplus(-real_pred)
    fake_loss = F.softplus(fake_pred)
    return real_loss.mean() + fake_loss.mean()


def d_r1_loss(real_pred, real_img):
    grad_real, = autograd.grad(outputs=real_pred.sum(), inputs=real_img, create_graph=True)
    grad_penalty = grad_real.pow(2).reshape(grad_real.shape[0], -1).sum(1).mean()
    return grad_penalty


def g_nonsaturating_loss(fake_pred):
    return F.softplus(-fake_pred).mean()


def mlp(i, o, h=64, n=3):
    layers = []
    for k in range(n):
        layers += [nn.Linear(i if k == 0 else h, h), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(h, o))


class args:
    batch, latent, r1, d_reg_every, lr, iter = 96, 6, 0.4, 4, 2e-3, steps


torch.manual_seed(seed)
rows = data.rings()
valid = data.rings(500, key=1)
generator = mlp(args.latent, 2)
discriminator = mlp(2, 1)
g_ema = copy.deepcopy(generator).eval()
accumulate(g_ema, generator, 0)
d_reg_ratio = args.d_reg_every / (args.d_reg_every + 1)
g_optim = optim.Adam(generator.parameters(), lr=args.lr, betas=(0.0, 0.99))
d_optim = optim.Adam(discriminator.parameters(), lr=args.lr * d_reg_ratio, betas=(0.0, 0.99 ** d_reg_ratio))


@torch.no_grad()
def sample(n=500):
    return g_ema(torch.randn(n, args.latent))


monitor = watch(generator, discriminator, loss="non_saturating", penalty=("r1", 0.4), optimizers=(g_optim, d_optim), sample=sample, ema=g_ema, held_out=valid)

for idx in range(args.iter):
    i = idx
    real_img = rows[torch.randint(len(rows), (args.batch,))]

    requires_grad(generator, False)
    requires_grad(discriminator, True)
    noise = torch.randn(args.batch, args.latent)
    fake_img = generator(noise)
    fake_pred = discriminator(fake_img)
    real_pred = discriminator(real_img)
    d_loss = d_logistic_loss(real_pred, fake_pred)
    discriminator.zero_grad()
    d_loss.backward()
    d_optim.step()

    d_regularize = i % args.d_reg_every == 0
    if d_regularize:
        img = real_img.clone()
        img.requires_grad = True
        real_pred = discriminator(img)
        r1_loss = d_r1_loss(real_pred, img)
        discriminator.zero_grad()
        (args.r1 / 2 * r1_loss * args.d_reg_every + 0 * real_pred[0]).backward()
        d_optim.step()

    requires_grad(generator, True)
    requires_grad(discriminator, False)
    noise = torch.randn(args.batch, args.latent)
    fake_img = generator(noise)
    fake_pred = discriminator(fake_img)
    g_loss = g_nonsaturating_loss(fake_pred)
    generator.zero_grad()
    g_loss.backward()
    g_optim.step()

    accumulate(g_ema, generator)
    monitor.step(real_img, noise)
