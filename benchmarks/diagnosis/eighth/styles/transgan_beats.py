import torch
import torch.nn as nn

torch.manual_seed(seed)

SEQ, CHANNELS, LATENT, EMBED, HEADS = 16, 2, 8, 16, 2
BATCH, N_CRITIC = 32, 1


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (d // self.heads) ** -0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, d))


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(LATENT, SEQ * EMBED)
        self.pos_embed = nn.Parameter(0.1 * torch.randn(1, SEQ, EMBED))
        self.blocks = nn.Sequential(Block(EMBED, HEADS))
        self.head = nn.Linear(EMBED, CHANNELS)

    def forward(self, z):
        return self.head(self.blocks(self.l1(z).view(-1, SEQ, EMBED) + self.pos_embed))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Linear(2 * CHANNELS, EMBED)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, EMBED))
        self.pos_embed = nn.Parameter(0.1 * torch.randn(1, SEQ // 2 + 1, EMBED))
        self.blocks = nn.Sequential(Block(EMBED, HEADS))
        self.head = nn.Linear(EMBED, 1)

    def forward(self, x):
        x = self.patch(x.reshape(len(x), SEQ // 2, 2 * CHANNELS))
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1) + self.pos_embed
        return self.head(self.blocks(x)[:, 0])


class LinearLrDecay:
    def __init__(self, optimizer, start_lr, end_lr, decay_start_step, decay_end_step):
        self.optimizer, self.start_lr, self.end_lr = optimizer, start_lr, end_lr
        self.decay_start_step, self.decay_end_step = decay_start_step, decay_end_step
        self.delta = (start_lr - end_lr) / (decay_end_step - decay_start_step)

    def step(self, current_step):
        if current_step <= self.decay_start_step:
            lr = self.start_lr
        elif current_step >= self.decay_end_step:
            lr = self.end_lr
        else:
            lr = self.start_lr - self.delta * (current_step - self.decay_start_step)
        for param_group in self.optimizer.param_groups:
            param_group["lr"] = lr
        return lr


def hinge_d(real_validity, fake_validity):
    return torch.mean(nn.ReLU(inplace=False)(1.0 - real_validity)) + torch.mean(nn.ReLU(inplace=False)(1 + fake_validity))


gen_net, dis_net = Generator(), Discriminator()
gen_optimizer = torch.optim.AdamW(gen_net.parameters(), 0.001, betas=(0.0, 0.99), weight_decay=1e-3)
dis_optimizer = torch.optim.AdamW(dis_net.parameters(), 0.001, betas=(0.0, 0.99), weight_decay=1e-3)
gen_scheduler = LinearLrDecay(gen_optimizer, 0.001, 0.0003, steps // 2, steps)
dis_scheduler = LinearLrDecay(dis_optimizer, 0.001, 0.0003, steps // 2, steps)
train_set = data.beats(2048)
monitor = watch(
    gen_net,
    dis_net,
    loss="hinge",
    optimizers=(gen_optimizer, dis_optimizer),
    sample=lambda: gen_net(torch.randn(500, LATENT)),
    held_out=data.beats(500, "held"),
)
global_steps = 0
while global_steps < steps:
    for iter_idx, index in enumerate(torch.randperm(len(train_set)).split(BATCH)):
        if len(index) < BATCH or global_steps >= steps:
            break
        real_imgs = train_set[index]
        dis_optimizer.zero_grad()
        z = torch.randn(BATCH, LATENT)
        real_validity = dis_net(real_imgs)
        fake_imgs = gen_net(z).detach()
        fake_validity = dis_net(fake_imgs)
        d_loss = hinge_d(real_validity, fake_validity)
        d_loss.backward()
        torch.nn.utils.clip_grad_norm_(dis_net.parameters(), 5.0)
        dis_optimizer.step()

        if iter_idx % N_CRITIC == 0:
            gen_optimizer.zero_grad()
            gen_z = torch.randn(BATCH, LATENT)
            gen_imgs = gen_net(gen_z)
            fake_validity = dis_net(gen_imgs)
            g_loss = -torch.mean(fake_validity)
            g_loss.backward()
            torch.nn.utils.clip_grad_norm_(gen_net.parameters(), 5.0)
            gen_optimizer.step()
            gen_scheduler.step(global_steps)
            dis_scheduler.step(global_steps)
            global_steps += 1
            monitor.step(real_imgs, gen_z)
