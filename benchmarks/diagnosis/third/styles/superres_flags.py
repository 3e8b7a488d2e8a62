"""Small flags from smaller ones: pixel loss plus an adversarial loss."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)


class Upscaler(nn.Module):
    def __init__(self, c=16):
        super().__init__()
        self.head = nn.Conv2d(3, c, 3, 1, 1)
        self.res = nn.ModuleList([nn.Sequential(nn.Conv2d(c, c, 3, 1, 1), nn.PReLU(), nn.Conv2d(c, c, 3, 1, 1)) for _ in range(1)])
        self.up = nn.Conv2d(c, 12, 3, 1, 1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, lr_img):
        h = F.relu(self.head(lr_img))
        for r in self.res:
            h = h + r(h)
        return torch.tanh(self.shuffle(self.up(h)))


class Judge(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, c, 3, 1, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(c, c * 2, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(c * 2, c * 2, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(c * 8, 1),
        )

    def forward(self, img):
        return self.net(img)


hr_train, hr_valid = data.flags(), data.flags(500, key=1)
shrink = lambda x: F.avg_pool2d(x, 2)
G, D = Upscaler(), Judge()
bce, l1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
g_opt = torch.optim.AdamW(G.parameters(), lr=2e-3, betas=(0.5, 0.99), weight_decay=1e-4)
d_opt = torch.optim.AdamW(D.parameters(), lr=1e-3, betas=(0.5, 0.99), weight_decay=1e-4)
W_PIX, W_ADV = 1.0, 0.05


def upscale(n=500):
    with torch.no_grad():
        return G(shrink(hr_valid[:n]))


watcher = watch(G, D, loss="non_saturating", optimizers=(g_opt, d_opt), sample=upscale, held_out=hr_valid)
history = []
for it in range(steps):
    hr = hr_train[torch.randperm(len(hr_train))[:32]]
    lr = shrink(hr)

    # generator first
    for p in D.parameters():
        p.requires_grad_(False)
    sr = G(lr)
    pix = l1(sr, hr)
    logits = D(sr)
    adv = bce(logits, torch.ones_like(logits))
    g_total = W_PIX * pix + W_ADV * adv
    g_opt.zero_grad(set_to_none=True)
    g_total.backward()
    g_opt.step()

    # then the discriminator
    for p in D.parameters():
        p.requires_grad_(True)
    pred_real = D(hr)
    pred_fake = D(sr.detach())
    d_total = bce(pred_real, torch.ones_like(pred_real)) + bce(pred_fake, torch.zeros_like(pred_fake))
    d_opt.zero_grad(set_to_none=True)
    d_total.backward()
    d_opt.step()

    history.append((pix.item(), adv.item(), d_total.item()))
    watcher.step(hr, lr)
