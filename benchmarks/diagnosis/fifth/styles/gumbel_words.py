import torch
import torch.nn as nn
import torch.nn.functional as F
from dataclasses import dataclass


@dataclass
class Args:
    vocab: int = 6
    length: int = 8
    latent: int = 16
    hidden: int = 64
    batch: int = 32
    temperature: float = 0.7
    final_temperature: float = 0.4
    gen_lr: float = 2e-3
    dis_lr: float = 4e-3
    clip_norm: float = 5.0
    d_steps: int = 1


args = Args()
torch.manual_seed(seed)


class RelGANGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.temperature = args.temperature
        self.start = nn.Linear(args.latent, args.hidden)
        self.cell = nn.GRUCell(args.vocab, args.hidden)
        self.out = nn.Linear(args.hidden, args.vocab)

    def forward(self, z):
        h, token, made = torch.tanh(self.start(z)), z.new_zeros(len(z), args.vocab), []
        for _ in range(args.length):
            h = self.cell(token, h)
            token = F.gumbel_softmax(self.out(h), tau=self.temperature)
            made.append(token)
        return torch.stack(made, 1)


class CNNDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.Linear(args.vocab, 16, bias=False)
        self.convs = nn.ModuleList([nn.Conv1d(16, 24, k) for k in (2, 4)])
        self.feature2out = nn.Linear(48, 1)

    def forward(self, inp):
        emb = self.embeddings(inp).transpose(1, 2)
        pools = [F.leaky_relu(conv(emb), 0.2).mean(2) for conv in self.convs]
        return self.feature2out(torch.cat(pools, 1)).squeeze(1)


class Instructor:
    def __init__(self):
        self.gen, self.dis = RelGANGenerator(), CNNDiscriminator()
        self.gen_opt = torch.optim.Adam(self.gen.parameters(), lr=args.gen_lr, betas=(0.5, 0.999))
        self.dis_opt = torch.optim.Adam(self.dis.parameters(), lr=args.dis_lr, betas=(0.5, 0.999))
        self.oracle = data.words(4096)

    def real(self):
        tokens = self.oracle[torch.randint(0, len(self.oracle), (args.batch,))]
        return F.one_hot(tokens, args.vocab).float()

    def optimize(self, opt, loss, model):
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip_norm)
        opt.step()

    def adv_train_generator(self):
        z = torch.randn(args.batch, args.latent)
        g_loss = F.binary_cross_entropy_with_logits(self.dis(self.gen(z)), torch.ones(args.batch))
        self.optimize(self.gen_opt, g_loss, self.gen)
        return z

    def adv_train_discriminator(self):
        for _ in range(args.d_steps):
            real = self.real()
            with torch.no_grad():
                fake = self.gen(torch.randn(args.batch, args.latent))
            d_loss = F.binary_cross_entropy_with_logits(self.dis(real), torch.ones(args.batch))
            d_loss += F.binary_cross_entropy_with_logits(self.dis(fake), torch.zeros(args.batch))
            self.optimize(self.dis_opt, d_loss, self.dis)
        return real

    def update_temperature(self, i, n):
        self.gen.temperature = args.temperature * (args.final_temperature / args.temperature) ** (i / n)


inst = Instructor()


def judge():
    def pairs(x):
        hard = F.one_hot(x.argmax(2), args.vocab).float()
        return (hard[:, :-1, :, None] * hard[:, 1:, None]).mean(1) * args.length

    made = inst.gen(torch.randn(500, args.latent))
    return pairs(made), pairs(F.one_hot(data.words(500, "held"), args.vocab).float())


watch = watch(
    inst.gen,
    inst.dis,
    loss="non_saturating",
    optimizers=(inst.gen_opt, inst.dis_opt),
    sample=lambda: inst.gen(torch.randn(500, args.latent)),
    held_out=F.one_hot(data.words(500, "held"), args.vocab).float(),
)
for adv_epoch in range(steps):
    real = inst.adv_train_discriminator()
    z = inst.adv_train_generator()
    inst.update_temperature(adv_epoch, steps)
    watch.step(real, z)
