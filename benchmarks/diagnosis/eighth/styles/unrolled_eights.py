import copy

import torch
import torch.nn as nn

torch.manual_seed(seed)


class config:
    minibatch_size = 64
    d_updates, unrolled_steps = 1, 2
    g_inp, g_hid, d_hid = 8, 64, 64
    d_learning_rate = 1e-3
    g_learning_rate = 1e-3
    optim_betas = (0.5, 0.999)


class Net(nn.Module):
    def __init__(self, input_size, hidden_size, output_size, activation):
        super().__init__()
        self.map1 = nn.Linear(input_size, hidden_size)
        self.map2 = nn.Linear(hidden_size, hidden_size)
        self.map3 = nn.Linear(hidden_size, output_size)
        self.activation_fn = activation

    def forward(self, x):
        x = self.activation_fn(self.map1(x))
        x = self.activation_fn(self.map2(x))
        return self.map3(x)


points = data.eights(4000)
G = Net(config.g_inp, config.g_hid, 2, torch.nn.functional.relu)
D = Net(2, config.d_hid, 1, torch.nn.functional.relu)
criterion = nn.BCEWithLogitsLoss()  # Binary cross entropy: http://pytorch.org/docs/nn.html#bcewithlogitsloss
d_optimizer = torch.optim.Adam(D.parameters(), lr=config.d_learning_rate, betas=config.optim_betas)
g_optimizer = torch.optim.Adam(G.parameters(), lr=config.g_learning_rate, betas=config.optim_betas)


def real_sampler(n):
    return points[torch.randint(len(points), (n,))]


def noise_sampler(n):
    return torch.randn(n, config.g_inp)


def d_loop(d_real_data):
    # 1. Train D on real+fake
    d_optimizer.zero_grad()
    #  1A: Train D on real
    d_real_decision = D(d_real_data)
    target = torch.ones_like(d_real_decision)
    d_real_error = criterion(d_real_decision, target)  # ones = true
    #  1B: Train D on fake
    d_gen_input = noise_sampler(len(d_real_data))
    with torch.no_grad():
        d_fake_data = G(d_gen_input)
    d_fake_decision = D(d_fake_data)
    target = torch.zeros_like(d_fake_decision)
    d_fake_error = criterion(d_fake_decision, target)  # zeros = fake
    d_loss = d_real_error + d_fake_error
    d_loss.backward()
    d_optimizer.step()
    return d_real_error.item(), d_fake_error.item()


def d_unrolled_loop():
    d_loop(real_sampler(config.minibatch_size))


def g_loop():
    # 2. Train G on D's response (but DO NOT train D on these labels)
    g_optimizer.zero_grad()
    gen_input = noise_sampler(config.minibatch_size)
    if config.unrolled_steps > 0:
        backup = copy.deepcopy(D.state_dict())
        for i in range(config.unrolled_steps):
            d_unrolled_loop()
    g_fake_data = G(gen_input)
    dg_fake_decision = D(g_fake_data)
    target = torch.ones_like(dg_fake_decision)
    g_error = criterion(dg_fake_decision, target)  # we want to fool, so pretend it's all genuine
    g_error.backward()
    g_optimizer.step()
    if config.unrolled_steps > 0:
        D.load_state_dict(backup)
        del backup
    return gen_input


def g_sample(n=500):
    with torch.no_grad():
        gen_input = noise_sampler(n)
        return G(gen_input)


monitor = watch(
    G,
    D,
    loss="non_saturating",
    optimizers=(g_optimizer, d_optimizer),
    sample=g_sample,
    held_out=data.eights(500, "held"),
)
for it in range(steps):
    for d_index in range(config.d_updates):
        d_real_data = real_sampler(config.minibatch_size)
        d_infos = d_loop(d_real_data)
    gen_input = g_loop()
    monitor.step(d_real_data, gen_input)
