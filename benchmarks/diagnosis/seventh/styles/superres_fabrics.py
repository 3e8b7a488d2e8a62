# 4x4 -> 8x8 with a weave that the small picture does not show
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)
bs, n_noise, content_weight = 48, 4, 10.0


class SRNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16 + n_noise, 128)
        self.body = nn.Linear(128, 128)
        self.tail = nn.Linear(128, 64)

    def forward(self, x):
        lr_img = x[:, :16].reshape(-1, 1, 4, 4)
        h = F.leaky_relu(self.head(x), 0.2)
        h = h + F.leaky_relu(self.body(h), 0.2)
        detail = self.tail(h).reshape(-1, 1, 8, 8)
        return F.interpolate(lr_img, scale_factor=2, mode="nearest") + detail


class VGGStyle(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.BatchNorm1d(128), nn.LeakyReLU(0.2)
        )
        self.classifier = nn.Linear(128, 1)

    def forward(self, img):
        return self.classifier(self.features(img))


def shrink(img):
    return F.avg_pool2d(img, 2)


def prepare(hr):
    return torch.cat([shrink(hr).flatten(1), torch.randn(len(hr), n_noise)], 1)


net_g, net_d = SRNet(), VGGStyle()
optim_G = torch.optim.Adam(net_g.parameters(), lr=4e-3, betas=(0.0, 0.99))
optim_D = torch.optim.Adam(net_d.parameters(), lr=1e-3, betas=(0.0, 0.99))
gan_loss = nn.BCEWithLogitsLoss()
content_loss = lambda sr, hr: F.l1_loss(shrink(sr), shrink(hr))
pictures = data.fabrics(2000)
val = data.fabrics(500, "held")
train_loader = torch.utils.data.DataLoader(pictures, batch_size=bs, shuffle=True, drop_last=True)


def forever(loader):
    while True:
        yield from loader


monitor = watch(
    net_g,
    net_d,
    loss="non_saturating",
    optimizers=(optim_G, optim_D),
    sample=lambda: net_g(prepare(val)),
    held_out=val,
)
for cur_iter, hr in zip(range(steps), forever(train_loader)):
    lr_in = prepare(hr)
    # D
    sr = net_g(lr_in)
    pred_real = net_d(hr)
    pred_fake = net_d(sr.detach())
    l_d = gan_loss(pred_real, torch.ones_like(pred_real)) + gan_loss(pred_fake, torch.zeros_like(pred_fake))
    optim_D.zero_grad()
    l_d.backward()
    optim_D.step()
    # G
    pred_g = net_d(sr)
    l_adv = gan_loss(pred_g, torch.ones_like(pred_g))
    l_g = l_adv + content_weight * content_loss(sr, hr)
    optim_G.zero_grad()
    l_g.backward()
    optim_G.step()
    monitor.step(hr, lr_in)
