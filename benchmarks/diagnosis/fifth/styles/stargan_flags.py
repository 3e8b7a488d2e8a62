import torch
import torch.nn as nn
import torch.nn.functional as F
from tightrope import View

torch.manual_seed(seed)


class ResidualBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, bias=False),
            nn.InstanceNorm2d(dim, affine=True),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim, dim, 3, padding=1, bias=False),
            nn.InstanceNorm2d(dim, affine=True),
        )

    def forward(self, x):
        return x + self.main(x)


class Generator(nn.Module):
    def __init__(self, dim=16, c_dim=3):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3 + c_dim, dim, 3, padding=1), nn.ReLU(), ResidualBlock(dim), nn.Conv2d(dim, 3, 3, padding=1), nn.Tanh()
        )

    def forward(self, xc):
        return self.main(xc)


class Discriminator(nn.Module):
    def __init__(self, dim=16, c_dim=3):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, dim, 4, 2, 1), nn.LeakyReLU(0.01), nn.Conv2d(dim, 2 * dim, 4, 2, 1), nn.LeakyReLU(0.01)
        )
        self.conv1 = nn.Conv2d(2 * dim, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(2 * dim, c_dim, 2, bias=False)

    def forward(self, x):
        h = self.main(x)
        return self.conv1(h), self.conv2(h).view(x.size(0), -1)


class Solver:
    def __init__(self, lambda_cls=1.0, lambda_rec=2.0, lambda_gp=10.0, n_critic=2, g_lr=1e-3, d_lr=1e-3):
        self.lambda_cls, self.lambda_rec, self.lambda_gp = lambda_cls, lambda_rec, lambda_gp
        self.n_critic = n_critic
        self.G, self.D = Generator(), Discriminator()
        self.g_optimizer = torch.optim.Adam(self.G.parameters(), g_lr, (0.5, 0.999))
        self.d_optimizer = torch.optim.Adam(self.D.parameters(), d_lr, (0.5, 0.999))
        images, self.labels = data.flags(1024)
        self.images = self.normalize(images)
        held, labels = data.flags(400, "held")
        self.held, self.held_labels = self.normalize(held), labels

    def normalize(self, images):
        return (images / 255 - 0.5) / 0.5

    def reset_grad(self):
        self.g_optimizer.zero_grad()
        self.d_optimizer.zero_grad()

    def gradient_penalty(self, y, x):
        weight = torch.ones(y.size())
        dydx = torch.autograd.grad(outputs=y, inputs=x, grad_outputs=weight, retain_graph=True, create_graph=True)[0]
        dydx = dydx.view(dydx.size(0), -1)
        dydx_l2norm = torch.sqrt(torch.sum(dydx**2, dim=1))
        return torch.mean((dydx_l2norm - 1) ** 2)

    def with_label(self, x, label):
        c = F.one_hot(label, 3).float()
        return torch.cat([x, c[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)

    def translate(self):
        target = self.held_labels[torch.randperm(len(self.held))]
        return self.G(self.with_label(self.held, target))

    def train(self, watch):
        watch = watch(
            self.G,
            View(self.D, scores=lambda out: out[0].mean((2, 3))),
            loss="wasserstein",
            penalty=("gp", 10.0),
            optimizers=(self.g_optimizer, self.d_optimizer),
            sample=self.translate,
            held_out=self.held,
        )
        for i in range(steps * self.n_critic):
            rows = torch.randint(0, len(self.images), (16,))
            x_real, label_org = self.images[rows], self.labels[rows]
            label_trg = label_org[torch.randperm(label_org.size(0))]

            out_src, out_cls = self.D(x_real)
            d_loss_real = -torch.mean(out_src)
            d_loss_cls = F.cross_entropy(out_cls, label_org)
            x_fake = self.G(self.with_label(x_real, label_trg))
            out_src, out_cls = self.D(x_fake.detach())
            d_loss_fake = torch.mean(out_src)
            alpha = torch.rand(x_real.size(0), 1, 1, 1)
            x_hat = (alpha * x_real.data + (1 - alpha) * x_fake.data).requires_grad_(True)
            out_src, _ = self.D(x_hat)
            d_loss_gp = self.gradient_penalty(out_src.mean((2, 3)), x_hat)
            d_loss = d_loss_real + d_loss_fake + self.lambda_cls * d_loss_cls + self.lambda_gp * d_loss_gp
            self.reset_grad()
            d_loss.backward()
            self.d_optimizer.step()

            if (i + 1) % self.n_critic == 0:
                xc = self.with_label(x_real, label_trg)
                x_fake = self.G(xc)
                out_src, out_cls = self.D(x_fake)
                g_loss_fake = -torch.mean(out_src)
                g_loss_cls = F.cross_entropy(out_cls, label_trg)
                x_reconst = self.G(self.with_label(x_fake, label_org))
                g_loss_rec = torch.mean(torch.abs(x_real - x_reconst))
                g_loss = g_loss_fake + self.lambda_rec * g_loss_rec + self.lambda_cls * g_loss_cls
                self.reset_grad()
                g_loss.backward()
                self.g_optimizer.step()
                watch.step(x_real, xc)


solver = Solver()
solver.train(watch)
