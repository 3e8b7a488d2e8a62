import itertools

import numpy as np
import torch
import torch.nn as nn

from tightrope import View

torch.manual_seed(seed)
np.random.seed(seed)
Tensor = torch.FloatTensor
LongTensor = torch.LongTensor


class opt:
    batch_size = 64
    lr = 0.002
    b1, b2 = 0.0, 0.99
    latent_dim = 3
    code_dim = 1
    n_classes = 4


def to_categorical(y, num_columns):
    """Returns one-hot encoded Variable"""
    y_cat = np.zeros((y.shape[0], num_columns))
    y_cat[range(y.shape[0]), y] = 1.0
    return Tensor(y_cat)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        input_dim = opt.latent_dim + opt.n_classes + opt.code_dim
        self.l1 = nn.Sequential(nn.Linear(input_dim, 64), nn.ReLU())
        self.blocks = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, gen_input):
        return self.blocks(self.l1(gen_input))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2))
        self.adv_layer = nn.Sequential(nn.Linear(64, 1))
        self.aux_layer = nn.Sequential(nn.Linear(64, opt.n_classes))
        self.latent_layer = nn.Sequential(nn.Linear(64, opt.code_dim))

    def forward(self, img):
        out = self.blocks(img)
        return self.adv_layer(out), self.aux_layer(out), self.latent_layer(out)


adversarial_loss = torch.nn.MSELoss()
categorical_loss = torch.nn.CrossEntropyLoss()
continuous_loss = torch.nn.MSELoss()
lambda_cat, lambda_con = 0.5, 0.1
generator = Generator()
discriminator = Discriminator()
points = data.arcs(4000)
dataloader = torch.utils.data.DataLoader(points, batch_size=opt.batch_size, shuffle=True, drop_last=True)
optimizer_G = torch.optim.Adam(generator.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))
optimizer_info = torch.optim.Adam(
    itertools.chain(generator.parameters(), discriminator.parameters()), lr=opt.lr / 4, betas=(opt.b1, opt.b2)
)


def draw(n):
    z = Tensor(np.random.normal(0, 1, (n, opt.latent_dim)))
    label_input = to_categorical(np.random.randint(0, opt.n_classes, n), opt.n_classes)
    code_input = Tensor(np.random.uniform(-1, 1, (n, opt.code_dim)))
    return torch.cat((z, label_input, code_input), -1)


def lsgan(real_pred, fake_pred):
    real, fake = torch.ones_like(real_pred), torch.zeros_like(fake_pred)
    d = (adversarial_loss(real_pred, real) + adversarial_loss(fake_pred, fake)) / 2
    return d, adversarial_loss(fake_pred, torch.ones_like(fake_pred))


monitor = watch(
    generator,
    View(discriminator, scores=lambda out: out[0]),
    loss=lsgan,
    optimizers={"generator": [optimizer_G, optimizer_info], "critic": [optimizer_D, optimizer_info]},
    sample=lambda: generator(draw(500)),
    held_out=data.arcs(500, "held"),
)
stream = itertools.chain.from_iterable(dataloader for _ in itertools.count())
for batches_done in range(steps):
    real_imgs = next(stream)
    batch_size = real_imgs.shape[0]
    valid = torch.ones(batch_size, 1)
    fake = torch.zeros(batch_size, 1)

    # -----------------
    #  Train Generator
    # -----------------
    optimizer_G.zero_grad()
    gen_input = draw(batch_size)
    gen_imgs = generator(gen_input)
    validity, _, _ = discriminator(gen_imgs)
    g_loss = adversarial_loss(validity, valid)
    g_loss.backward()
    optimizer_G.step()

    # ---------------------
    #  Train Discriminator
    # ---------------------
    optimizer_D.zero_grad()
    real_pred, _, _ = discriminator(real_imgs)
    d_real_loss = adversarial_loss(real_pred, valid)
    fake_pred, _, _ = discriminator(gen_imgs.detach())
    d_fake_loss = adversarial_loss(fake_pred, fake)
    d_loss = (d_real_loss + d_fake_loss) / 2
    d_loss.backward()
    optimizer_D.step()

    # ------------------
    # Information Loss
    # ------------------
    optimizer_info.zero_grad()
    sampled_labels = np.random.randint(0, opt.n_classes, batch_size)
    gt_labels = LongTensor(sampled_labels)
    z = Tensor(np.random.normal(0, 1, (batch_size, opt.latent_dim)))
    label_input = to_categorical(sampled_labels, opt.n_classes)
    code_input = Tensor(np.random.uniform(-1, 1, (batch_size, opt.code_dim)))
    _, pred_label, pred_code = discriminator(generator(torch.cat((z, label_input, code_input), -1)))
    info_loss = lambda_cat * categorical_loss(pred_label, gt_labels) + lambda_con * continuous_loss(
        pred_code, code_input
    )
    info_loss.backward()
    optimizer_info.step()
    monitor.step(real_imgs, gen_input)
