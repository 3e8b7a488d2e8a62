import argparse
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main(args):
    torch.manual_seed(args.seed)
    x = data.digits("train")[0].float() / 127.5 - 1
    x_val = data.digits("test")[0].float() / 127.5 - 1
    loader = DataLoader(TensorDataset(x), args.bs, shuffle=True, drop_last=True)

    G = nn.Sequential(nn.Linear(args.z, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    D = nn.Sequential(nn.Flatten(), nn.Linear(64, 96), nn.LeakyReLU(0.2), nn.Linear(96, 96), nn.LeakyReLU(0.2), nn.Linear(96, 1))
    opt_g = torch.optim.Adam(G.parameters(), args.lr, (0.0, 0.9))
    opt_d = torch.optim.Adam(D.parameters(), args.lr, (0.0, 0.9))
    scaler_g = torch.amp.GradScaler("cpu", enabled=bool(args.scale), init_scale=256.0)
    scaler_d = torch.amp.GradScaler("cpu", enabled=bool(args.scale), init_scale=256.0)

    def gradient_penalty(real, fake):
        eps = torch.rand(len(real), 1, 1, 1)
        mid = (eps * real + (1 - eps) * fake).requires_grad_()
        score = D(mid)
        g = torch.autograd.grad(scaler_d.scale(score.sum()), mid, create_graph=True)[0]
        g = g / scaler_d.get_scale()
        return ((g.flatten(1).norm(dim=1) - 1) ** 2).mean()

    @torch.no_grad()
    def sample(n=500):
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(args.amp)):
            return G(torch.randn(n, args.z)).float()

    mon = watch(G, D, loss="wasserstein", penalty=("gp", 10.0), optimizers=(opt_g, opt_d), sample=sample, held_out=x_val)
    it = 0
    while it < args.iters:
        for (real,) in loader:
            # ---- D
            for p in D.parameters(): p.requires_grad_(True)
            opt_d.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=bool(args.amp)):
                z = torch.randn(len(real), args.z)
                with torch.no_grad():
                    fake = G(z)
                d_real, d_fake = D(real), D(fake)
            loss_d = d_fake.float().mean() - d_real.float().mean()
            loss_d = loss_d + args.gp * gradient_penalty(real, fake.float())
            scaler_d.scale(loss_d).backward()
            scaler_d.step(opt_d)
            scaler_d.update()
            it_d = getattr(args, "_k", 0) + 1
            args._k = it_d
            if it_d % args.n_critic:
                continue
            # ---- G
            for p in D.parameters(): p.requires_grad_(False)
            opt_g.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=bool(args.amp)):
                z = torch.randn(len(real), args.z)
                score = D(G(z))
            loss_g = -score.float().mean()
            scaler_g.scale(loss_g).backward()
            scaler_g.step(opt_g)
            scaler_g.update()
            mon.step(real, z)
            it += 1
            if it >= args.iters:
                break


p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=2e-3)
p.add_argument("--bs", type=int, default=64)
p.add_argument("--z", type=int, default=12)
p.add_argument("--gp", type=float, default=10.0)
p.add_argument("--n_critic", type=int, default=2)
p.add_argument("--amp", type=int, default=1)
p.add_argument("--scale", type=int, default=0)
p.add_argument("--seed", type=int, default=seed)
p.add_argument("--iters", type=int, default=steps)
main(p.parse_args([]))
