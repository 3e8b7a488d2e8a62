import torch
from torch import nn, optim
from torch.nn.functional import cross_entropy, one_hot, softplus
from tightrope import View


class Generator(nn.Module):
    def __init__(self, latent_dim=16, n_classes=10):
        super().__init__()
        self.label_emb = nn.Embedding(n_classes, latent_dim)
        self.blocks = nn.Sequential(
            nn.Linear(latent_dim, 128), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(128, 128), nn.BatchNorm1d(128), nn.LeakyReLU(0.2), nn.Linear(128, 64), nn.Sigmoid()
        )

    def forward(self, noise, labels):
        return self.blocks(noise * self.label_emb(labels)).view(-1, 1, 8, 8)


class Discriminator(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Conv2d(16, 32, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten()
        )
        self.adv_layer = nn.Linear(128, 1)
        self.aux_layer = nn.Linear(128, n_classes)

    def forward(self, img):
        out = self.trunk(img)
        return self.adv_layer(out), self.aux_layer(out)


def make_batches(images, labels, size):
    while True:
        order = torch.randperm(len(images))
        for k in range(0, len(order) - size + 1, size):
            pick = order[k : k + size]
            yield images[pick] / 16, labels[pick]


def train(n_updates, watch, lr=2e-3, batch=32):
    torch.manual_seed(seed)
    images, labels = data.digits()
    held, held_labels = data.digits("held")
    generator, discriminator = Generator(), Discriminator()
    optimizer_G = optim.Adam(generator.parameters(), lr=lr, betas=(0.5, 0.999))
    optimizer_D = optim.Adam(discriminator.parameters(), lr=lr / 4, betas=(0.5, 0.999))
    weight_aux = 0.5
    batches = make_batches(images, labels, batch)

    def sample_image():
        generator.eval()
        out = generator(torch.randn(397, 16), held_labels)
        generator.train()
        return out

    def judge():
        def beside(x):
            return torch.cat([x.flatten(1), one_hot(held_labels, 10).float()], 1)

        return beside(sample_image()), beside(held / 16)

    globals()["judge"] = judge
    watch = watch(
        generator,
        View(discriminator, scores=lambda out: out[0]),
        loss="non_saturating",
        optimizers=(optimizer_G, optimizer_D),
        sample=sample_image,
        held_out=held / 16,
    )
    for _ in range(n_updates):
        real_imgs, real_labels = next(batches)
        z = torch.randn(batch, 16)
        gen_labels = torch.randint(0, 10, (batch,))

        optimizer_D.zero_grad()
        gen_imgs = generator(z, gen_labels)
        real_pred, real_aux = discriminator(real_imgs)
        fake_pred, fake_aux = discriminator(gen_imgs.detach())
        d_loss = softplus(-real_pred).mean() + softplus(fake_pred).mean()
        d_loss = d_loss + weight_aux * cross_entropy(real_aux, real_labels)
        d_loss.backward()
        optimizer_D.step()

        optimizer_G.zero_grad()
        validity, pred_label = discriminator(gen_imgs)
        g_loss = softplus(-validity).mean() + weight_aux * cross_entropy(pred_label, gen_labels)
        g_loss.backward()
        optimizer_G.step()
        watch.step(real_imgs, z, real_labels)


train(steps, watch)
