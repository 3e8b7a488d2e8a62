"""Small molecules as dense graphs: bonds and kinds of atoms, a relational critic, gradient penalty."""
import torch
from torch import nn
from torch.nn import functional as F


class Solver(object):
    def __init__(self, lr=2e-3, lambda_gp=5.0, n_critic=2, z_dim=8, batch_size=32):
        torch.manual_seed(seed)
        self.lambda_gp, self.n_critic, self.z_dim, self.batch_size = lambda_gp, n_critic, z_dim, batch_size
        self.bonds, self.kinds = data.molecules(2000)
        self.build_model(lr)

    def build_model(self, lr):
        self.G, self.D = MoleculeGenerator(self.z_dim), MoleculeCritic()
        self.g_optimizer = torch.optim.Adam(self.G.parameters(), lr, [0.5, 0.9])
        self.d_optimizer = torch.optim.Adam(self.D.parameters(), lr, [0.5, 0.9])

    def reset_grad(self):
        self.g_optimizer.zero_grad()
        self.d_optimizer.zero_grad()

    def sample_z(self, batch_size):
        return torch.randn(batch_size, self.z_dim)

    def gradient_penalty(self, y, x):
        weight = torch.ones(y.size())
        dydx = torch.autograd.grad(outputs=y, inputs=x, grad_outputs=weight, retain_graph=True, create_graph=True)[0]
        dydx = dydx.view(dydx.size(0), -1)
        dydx_l2norm = torch.sqrt(torch.sum(dydx**2, dim=1))
        return torch.mean((dydx_l2norm - 1) ** 2)

    def real_batch(self):
        k = torch.randint(len(self.bonds), (self.batch_size,))
        mols = torch.cat([self.bonds[k], self.kinds[k]], 2)
        return mols

    def train(self, num_iters):
        held = torch.cat(data.molecules(500, "held"), 2)
        monitor = watch(
            self.G,
            self.D,
            loss="wasserstein",
            penalty=("gp", self.lambda_gp),
            optimizers=(self.g_optimizer, self.d_optimizer),
            sample=lambda: self.G(self.sample_z(500)),
            held_out=held,
        )
        i = 0
        while monitor.result.updates < num_iters:
            x_real = self.real_batch()
            z = self.sample_z(self.batch_size)

            # =================== 2. Train the discriminator ===================
            logits_real = self.D(x_real)
            x_fake = self.G(z).detach()
            logits_fake = self.D(x_fake)
            eps = torch.rand(self.batch_size, 1, 1)
            x_int = (eps * x_real + (1.0 - eps) * x_fake).requires_grad_(True)
            d_loss_gp = self.gradient_penalty(self.D(x_int), x_int)
            d_loss = -torch.mean(logits_real) + torch.mean(logits_fake) + self.lambda_gp * d_loss_gp
            self.reset_grad()
            d_loss.backward()
            self.d_optimizer.step()

            # =================== 3. Train the generator ===================
            if (i + 1) % self.n_critic == 0:
                z = self.sample_z(self.batch_size)
                logits_fake = self.D(self.G(z))
                g_loss = -torch.mean(logits_fake)
                self.reset_grad()
                g_loss.backward()
                self.g_optimizer.step()
                monitor.step(x_real, z)
            i += 1


class MoleculeGenerator(nn.Module):
    def __init__(self, z_dim, n=5):
        super().__init__()
        self.n = n
        self.layers = nn.Sequential(nn.Linear(z_dim, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.edges = nn.Linear(64, n * n)
        self.nodes = nn.Linear(64, n * 3)

    def forward(self, z):
        h = self.layers(z)
        e = self.edges(h).view(-1, self.n, self.n)
        e = torch.sigmoid(2 * (e + e.transpose(1, 2))) * (1 - torch.eye(self.n))
        return torch.cat((e, F.softmax(3 * self.nodes(h).view(-1, self.n, 3), 2)), 2)


class MoleculeCritic(nn.Module):
    def __init__(self, n=5, d=32):
        super().__init__()
        self.n = n
        self.own1, self.near1 = nn.Linear(3, d), nn.Linear(3, d)
        self.own2, self.near2 = nn.Linear(d, d), nn.Linear(d, d)
        self.place = nn.Parameter(0.3 * torch.randn(n, d))
        self.out = nn.Sequential(nn.Linear(d + n * n, d), nn.LeakyReLU(0.2), nn.Linear(d, 1))

    def forward(self, x):
        a, h = x[:, :, : self.n], x[:, :, self.n :]
        h = torch.tanh(self.own1(h) + a @ self.near1(h) + self.place)
        h = torch.tanh(self.own2(h) + a @ self.near2(h))
        return self.out(torch.cat((h.mean(1), a.flatten(1)), 1))


solver = Solver()
solver.train(steps)
