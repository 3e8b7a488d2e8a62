import collections

import torch
import torch as th
from torch import nn
from torch.nn import functional as F

Transitions = collections.namedtuple("Transitions", ("obs", "acts"))


class RewardNet(nn.Module):
    def __init__(self, obs_dim, act_dim, hid_sizes=(64, 64)):
        super().__init__()
        self.base = nn.Sequential(
            nn.Linear(obs_dim + act_dim, hid_sizes[0]), nn.ReLU(), nn.Linear(hid_sizes[0], hid_sizes[1]), nn.ReLU()
        )
        self.head = nn.Linear(hid_sizes[1], 1)

    def forward(self, state, action):
        return self.head(self.base(th.cat([state, action], dim=1)))


class Policy(nn.Module):
    def __init__(self, obs_dim, act_dim, hidden=64):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(obs_dim, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.mu = nn.Linear(hidden, act_dim)
        self.log_std = nn.Parameter(th.full((act_dim,), -1.0))

    def forward(self, obs):
        mean = self.mu(self.net(obs))
        return mean + self.log_std.exp() * th.randn_like(mean)

    def entropy(self):
        return self.log_std.sum()


class StateActions(nn.Module):
    """The policy's samples as the reward net judges them: states beside the actions taken there."""

    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, obs):
        return th.cat([obs, self.policy(obs)], dim=1)


class OnTransitions(nn.Module):
    def __init__(self, reward):
        super().__init__()
        self.reward = reward

    def forward(self, x):
        return self.reward(x[:, :3], x[:, 3:])


class AdversarialTrainer:
    def __init__(self, demonstrations, demo_batch_size, n_disc_updates_per_round=2, ent_coef=1e-3, gp_coef=0.5):
        self.demonstrations, self.demo_batch_size = demonstrations, demo_batch_size
        self.n_disc_updates_per_round, self.ent_coef, self.gp_coef = n_disc_updates_per_round, ent_coef, gp_coef
        self.gen_algo = StateActions(Policy(3, 2))
        self.reward_train = OnTransitions(RewardNet(3, 2))
        self._gen_opt = th.optim.Adam(self.gen_algo.parameters(), lr=2e-3, betas=(0.5, 0.999))
        self._disc_opt = th.optim.Adam(self.reward_train.parameters(), lr=4e-3, betas=(0.5, 0.999))
        self._global_step = 0

    def next_expert_batch(self):
        index = th.randint(0, len(self.demonstrations.obs), (self.demo_batch_size,))
        return Transitions(self.demonstrations.obs[index], self.demonstrations.acts[index])

    def logits_expert_is_high(self, samples):
        return self.reward_train(samples)

    def gradient_penalty(self, expert, policy):
        mix = th.rand(len(expert), 1)
        x = (mix * expert + (1 - mix) * policy).detach().requires_grad_(True)
        (slope,) = th.autograd.grad(self.reward_train(x).sum(), x, create_graph=True)
        return ((slope.norm(dim=1) - 1) ** 2).mean()

    def train_disc(self):
        expert = th.cat(self.next_expert_batch(), dim=1)
        obs = th.randn(self.demo_batch_size, 3)
        with th.no_grad():
            gen_samples = self.gen_algo(obs)
        disc_logits = th.cat([self.logits_expert_is_high(expert), self.logits_expert_is_high(gen_samples)])
        labels_expert_is_one = th.cat([th.ones(self.demo_batch_size, 1), th.zeros(self.demo_batch_size, 1)])
        loss = F.binary_cross_entropy_with_logits(disc_logits, labels_expert_is_one)
        loss = loss + self.gp_coef * self.gradient_penalty(expert, gen_samples)
        self._disc_opt.zero_grad()
        loss.backward()
        self._disc_opt.step()
        return expert

    def train_gen(self):
        obs = th.randn(self.demo_batch_size, 3)
        reward = self.reward_train(self.gen_algo(obs))
        loss = -reward.mean() - self.ent_coef * self.gen_algo.policy.entropy()
        self._gen_opt.zero_grad()
        loss.backward()
        self._gen_opt.step()
        self._global_step += 1
        return obs

    def train(self, total_rounds, callback):
        for _ in range(total_rounds):
            for _ in range(self.n_disc_updates_per_round):
                expert = self.train_disc()
            obs = self.train_gen()
            callback(expert, obs)


def loss(d_real, d_fake):
    return 0.5 * (F.softplus(-d_real).mean() + F.softplus(d_fake).mean()), -d_fake.mean()


def judge():
    obs, acts = data.expert(500, "held")
    return th.cat([obs, 3 * trainer.gen_algo.policy(obs)], dim=1), th.cat([obs, 3 * acts], dim=1)


th.manual_seed(seed)
trainer = AdversarialTrainer(Transitions(*data.expert(2000)), demo_batch_size=64)
monitor = watch(
    trainer.gen_algo,
    trainer.reward_train,
    loss=loss,
    penalty=("gp", 0.5),
    optimizers=(trainer._gen_opt, trainer._disc_opt),
    sample=lambda: trainer.gen_algo(th.randn(500, 3)),
    held_out=th.cat(data.expert(500, "held"), dim=1),
)
trainer.train(steps, monitor.step)
