import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm


class CategoricalConditionalBatchNorm(nn.Module):
    def __init__(self, channels, n_classes):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.gamma, self.beta = nn.Embedding(n_classes, channels), nn.Embedding(n_classes, channels)
        nn.init.ones_(self.gamma.weight)
        nn.init.zeros_(self.beta.weight)

    def forward(self, x, y):
        return self.bn(x) * self.gamma(y)[:, :, None, None] + self.beta(y)[:, :, None, None]


class GenBlock(nn.Module):
    def __init__(self, cin, cout, n_classes):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(cin, cout, 3, 1, 1), CategoricalConditionalBatchNorm(cout, n_classes)

    def forward(self, x, y):
        return F.relu(self.norm(self.conv(F.interpolate(x, scale_factor=2)), y))


class ResNetGenerator(nn.Module):
    def __init__(self, ch=16, dim_z=24, n_classes=10):
        super().__init__()
        self.ch, self.dim_z = ch, dim_z
        self.l1 = nn.Linear(dim_z, 4 * ch)
        self.block2, self.block3 = GenBlock(ch, ch, n_classes), GenBlock(ch, ch, n_classes)
        self.l6 = nn.Conv2d(ch, 1, 3, 1, 1)

    def forward(self, z, y):
        h = F.relu(self.l1(z)).view(-1, self.ch, 2, 2)
        h = self.block3(self.block2(h, y), y)
        return torch.tanh(self.l6(h))


class SNResNetProjectionDiscriminator(nn.Module):
    def __init__(self, ch=16, n_classes=10):
        super().__init__()
        self.c1 = spectral_norm(nn.Conv2d(1, ch, 3, 1, 1))
        self.c2 = spectral_norm(nn.Conv2d(ch, ch, 4, 2, 1))
        self.c3 = spectral_norm(nn.Conv2d(ch, ch, 4, 2, 1))
        self.l4 = spectral_norm(nn.Linear(ch, 1))
        self.l_y = spectral_norm(nn.Embedding(n_classes, ch))

    def forward(self, x, y):
        h = F.relu(self.c3(F.relu(self.c2(F.relu(self.c1(x))))))
        h = h.sum((2, 3))
        return self.l4(h) + (self.l_y(y) * h).sum(1, keepdim=True)


def loss_hinge_dis(dis_fake, dis_real):
    loss = F.relu(1.0 - dis_real).mean()
    loss = loss + F.relu(1.0 + dis_fake).mean()
    return loss


def loss_hinge_gen(dis_fake):
    return -dis_fake.mean()


def sample_z(n, dim):
    return torch.randn(n, dim)


def sample_continuous(gen, n):
    y = torch.arange(n) % 10
    with torch.no_grad():
        return gen(sample_z(n, gen.dim_z), y), y


class Updater:
    def __init__(self, iterator, models, optimizers, n_dis, n_classes, batchsize):
        self.iterator, self.n_dis, self.n_classes, self.batchsize = iterator, n_dis, n_classes, batchsize
        self.gen, self.dis = models
        self.opt_gen, self.opt_dis = optimizers

    def get_batch(self):
        x, y = next(self.iterator)
        return x, y

    def generate(self):
        z = sample_z(self.batchsize, self.gen.dim_z)
        y = torch.randint(0, self.n_classes, (self.batchsize,))
        return self.gen(z, y), y, z

    def update_core(self):
        for i in range(self.n_dis):
            if i == 0:
                x_fake, y_fake, z = self.generate()
                dis_fake = self.dis(x_fake, y_fake)
                loss_gen = loss_hinge_gen(dis_fake)
                self.opt_gen.zero_grad()
                loss_gen.backward()
                self.opt_gen.step()
            x_real, y_real = self.get_batch()
            dis_real = self.dis(x_real, y_real)
            with torch.no_grad():
                x_fake, y_fake, _ = self.generate()
            dis_fake = self.dis(x_fake, y_fake)
            loss_dis = loss_hinge_dis(dis_fake, dis_real)
            self.opt_dis.zero_grad()
            loss_dis.backward()
            self.opt_dis.step()
        return x_real, y_real, z


class DigitsDataset:
    def __init__(self, images, labels):
        self.images, self.labels = images / 8 - 1, labels

    def __len__(self):
        return len(self.images)

    def iterate(self, batchsize):
        while True:
            index = torch.randperm(len(self))
            for k in range(0, len(self) - batchsize + 1, batchsize):
                yield self.images[index[k : k + batchsize]], self.labels[index[k : k + batchsize]]


torch.manual_seed(seed)
gen, dis = ResNetGenerator(), SNResNetProjectionDiscriminator()
opt_gen = torch.optim.Adam(gen.parameters(), lr=0.002, betas=(0.0, 0.9))
opt_dis = torch.optim.Adam(dis.parameters(), lr=0.002, betas=(0.0, 0.9))
images, labels = data.digits()
held_images, held_labels = data.digits("held")
dataset = DigitsDataset(images, labels)
updater = Updater(dataset.iterate(32), (gen, dis), (opt_gen, opt_dis), n_dis=2, n_classes=10, batchsize=32)


def judge():
    made, y = sample_continuous(gen, 500)
    return (
        torch.cat((made.flatten(1), F.one_hot(y, 10).float() * 4), 1),
        torch.cat((held_images.flatten(1) / 8 - 1, F.one_hot(held_labels, 10).float() * 4), 1),
    )


monitor = watch(
    gen,
    dis,
    loss="hinge",
    penalty="spectral_norm",
    optimizers=(opt_gen, opt_dis),
    sample=lambda: sample_continuous(gen, 500)[0],
    held_out=held_images / 8 - 1,
)
for iteration in range(steps):
    x, y, z = updater.update_core()
    monitor.step(x, z, y)
