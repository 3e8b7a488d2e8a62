import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(seed)

vocab_size, max_seq_len, batch_size = 6, 6, 32
gen_embed_dim, gen_hidden_dim, noise_dim = 12, 24, 8
dis_embed_dim, num_rep = 12, 2
gen_lr, dis_lr, clip_norm = 2e-3, 2e-3, 5.0
temperature, temp_adpt = 1.5, "exp"


class RelGAN_G(nn.Module):
    """One word after another, each from the relaxed word before it."""

    def __init__(self):
        super().__init__()
        self.temperature = 1.0
        self.embeddings = nn.Linear(vocab_size, gen_embed_dim, bias=False)
        self.start = nn.Parameter(torch.zeros(1, vocab_size))
        self.init_hidden = nn.Linear(noise_dim, gen_hidden_dim)
        self.cell = nn.GRUCell(gen_embed_dim, gen_hidden_dim)
        self.lstm2out = nn.Linear(gen_hidden_dim, vocab_size)

    @staticmethod
    def add_gumbel(o_t, eps=1e-10):
        u = torch.rand(o_t.size())
        g_t = -torch.log(-torch.log(u + eps) + eps)
        return o_t + g_t

    def forward(self, z):
        hidden = torch.tanh(self.init_hidden(z))
        inp = self.start.expand(len(z), -1)
        words = []
        for _ in range(max_seq_len):
            hidden = self.cell(self.embeddings(inp), hidden)
            gumbel_t = self.add_gumbel(self.lstm2out(hidden))
            soft = F.softmax(gumbel_t * self.temperature, dim=-1)
            hard = F.one_hot(soft.argmax(-1), vocab_size).float()
            inp = hard - soft.detach() + soft
            words.append(inp)
        return torch.stack(words, 1)

    def sample(self, num):
        onehot = F.one_hot(self(torch.randn(num, noise_dim)).argmax(-1), vocab_size)
        return onehot.float()


class RelGAN_D(nn.Module):
    def __init__(self, filter_sizes=(2, 3), num_filters=16):
        super().__init__()
        self.num_rep, self.emb_dim_single = num_rep, dis_embed_dim // num_rep
        self.embeddings = nn.Linear(vocab_size, dis_embed_dim, bias=False)
        self.convs = nn.ModuleList(
            [nn.Conv2d(1, num_filters, (n, self.emb_dim_single), stride=(1, self.emb_dim_single)) for n in filter_sizes]
        )
        self.feature_dim = num_filters * len(filter_sizes)
        self.highway = nn.Linear(self.feature_dim, self.feature_dim)
        self.out2logits = nn.Linear(self.feature_dim, 1)

    def forward(self, inp):
        emb = self.embeddings(inp).unsqueeze(1)
        cons = [F.leaky_relu(conv(emb), 0.1) for conv in self.convs]
        pools = [con.amax(2) + con.mean(2) for con in cons]
        pred = torch.cat(pools, 1).permute(0, 2, 1).reshape(-1, self.feature_dim)
        highway = self.highway(pred)
        pred = torch.sigmoid(highway) * F.relu(highway) + (1.0 - torch.sigmoid(highway)) * pred
        return self.out2logits(pred).view(len(inp), self.num_rep)


def get_losses(d_out_real, d_out_fake, loss_type="rsgan"):
    bce_loss = nn.BCEWithLogitsLoss()
    if loss_type == "rsgan":
        d_loss = bce_loss(d_out_real - d_out_fake, torch.ones_like(d_out_real))
        g_loss = bce_loss(d_out_fake - d_out_real, torch.ones_like(d_out_fake))
    elif loss_type == "standard":
        d_loss = bce_loss(d_out_real, torch.ones_like(d_out_real)) + bce_loss(d_out_fake, torch.zeros_like(d_out_fake))
        g_loss = bce_loss(d_out_fake, torch.ones_like(d_out_fake))
    else:
        raise NotImplementedError(loss_type)
    return g_loss, d_loss


def get_fixed_temperature(temper, i, N, adapt):
    if adapt == "no":
        return temper
    if adapt == "lin":
        return 1 + i / (N - 1) * (temper - 1)
    return temper ** (i / N)


class RelGANInstructor:
    def __init__(self):
        self.gen, self.dis = RelGAN_G(), RelGAN_D()
        self.gen_adv_opt = torch.optim.Adam(self.gen.parameters(), lr=gen_lr, betas=(0.0, 0.99))
        self.dis_opt = torch.optim.Adam(self.dis.parameters(), lr=dis_lr, betas=(0.0, 0.99))
        self.train_data = torch.utils.data.DataLoader(data.phrases(3000), batch_size, shuffle=True, drop_last=True)
        self.stream = self.random_batch()

    def random_batch(self):
        while True:
            yield from self.train_data

    def adv_train_generator(self, g_step):
        for _ in range(g_step):
            real_samples = next(self.stream)
            z = torch.randn(batch_size, noise_dim)
            gen_samples = self.gen(z)
            d_out_real = self.dis(real_samples)
            d_out_fake = self.dis(gen_samples)
            g_loss, _ = get_losses(d_out_real, d_out_fake)
            self.optimize(self.gen_adv_opt, g_loss, self.gen)
        return z

    def adv_train_discriminator(self, d_step):
        for _ in range(d_step):
            real_samples = next(self.stream)
            gen_samples = self.gen(torch.randn(batch_size, noise_dim)).detach()
            d_out_real = self.dis(real_samples)
            d_out_fake = self.dis(gen_samples)
            _, d_loss = get_losses(d_out_real, d_out_fake)
            self.optimize(self.dis_opt, d_loss, self.dis)
        return real_samples

    @staticmethod
    def optimize(opt, loss, model):
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        opt.step()

    def update_temperature(self, i, N):
        self.gen.temperature = get_fixed_temperature(temperature, i, N, temp_adpt)

    def _run(self):
        monitor = watch(
            self.gen,
            self.dis,
            loss="relativistic",
            optimizers=(self.gen_adv_opt, self.dis_opt),
            sample=lambda: self.gen.sample(500),
            held_out=data.phrases(500, "held"),
        )
        for adv_epoch in range(steps):
            z = self.adv_train_generator(1)
            real = self.adv_train_discriminator(2)
            self.update_temperature(adv_epoch, steps)
            monitor.step(real, z)


RelGANInstructor()._run()
