import torch
from torch import nn
from torch.func import functional_call, grad, grad_and_value, vmap
from torch.nn.functional import softplus

torch.manual_seed(seed)
Z, N, R1 = 6, 64, 0.3

gen = nn.Sequential(nn.Linear(Z, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 3))
disc = nn.Sequential(nn.Linear(3, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 1))
gp, dp = dict(gen.named_parameters()), dict(disc.named_parameters())
g_opt = torch.optim.AdamW(gp.values(), lr=3e-3, betas=(0.0, 0.99), weight_decay=1e-4)
d_opt = torch.optim.AdamW(dp.values(), lr=3e-3, betas=(0.0, 0.99), weight_decay=1e-4)


def G(params, z):
    return functional_call(gen, params, (z,))


def D(params, x):
    return functional_call(disc, params, (x,))[..., 0]


def slope2(params, x):
    return vmap(lambda one: grad(lambda v: D(params, v))(one).square().sum())(x).mean()


def d_loss(d_params, g_params, x, z):
    fake = G(g_params, z)
    adv = softplus(-D(d_params, x)).mean() + softplus(D(d_params, fake)).mean()
    return adv + R1 / 2 * slope2(d_params, x)


def g_loss(g_params, d_params, z):
    return softplus(-D(d_params, G(g_params, z))).mean()


def apply_(opt, params, grads):
    for k, p in params.items():
        p.grad = grads[k].detach()
    opt.step()


def const(params):
    return {k: p.detach() for k, p in params.items()}


rows = data.ribbon(4000)
mon = watch(
    gen,
    disc,
    loss="non_saturating",
    penalty=("r1", R1),
    optimizers=(g_opt, d_opt),
    sample=lambda: gen(torch.randn(500, Z)),
    held_out=data.ribbon(500, "held"),
)
for t in range(steps):
    x = rows[torch.randint(4000, (N,))]
    z = torch.randn(N, Z)
    d_grads, d_value = grad_and_value(d_loss)(const(dp), const(gp), x, z)
    apply_(d_opt, dp, d_grads)
    z = torch.randn(N, Z)
    g_grads, g_value = grad_and_value(g_loss)(const(gp), const(dp), z)
    apply_(g_opt, gp, g_grads)
    mon.step(x, z)
