import collections

import numpy as np
import torch
import torch.nn as nn

import tightrope

torch.manual_seed(seed)
np.random.seed(seed)


class RunningMeanStd:
    def __init__(self, shape, epsilon=1e-4):
        self.mean, self.var, self.count = np.zeros(shape, np.float64), np.ones(shape, np.float64), epsilon

    def update(self, arr):
        batch_mean, batch_var, batch_count = np.mean(arr, axis=0), np.var(arr, axis=0), arr.shape[0]
        delta, tot = batch_mean - self.mean, self.count + batch_count
        m2 = self.var * self.count + batch_var * batch_count + np.square(delta) * self.count * batch_count / tot
        self.mean, self.var, self.count = self.mean + delta * batch_count / tot, m2 / tot, tot


class Normalizer(RunningMeanStd):
    def normalize_torch(self, x):
        mean, std = torch.tensor(self.mean, dtype=x.dtype), torch.tensor(np.sqrt(self.var + 1e-4), dtype=x.dtype)
        return torch.clamp((x - mean) / std, -5.0, 5.0)


class AMPDiscriminator(nn.Module):
    def __init__(self, input_dim, hidden_layer_sizes):
        super().__init__()
        layers, curr_in_dim = [], input_dim
        for hidden_dim in hidden_layer_sizes:
            layers += [nn.Linear(curr_in_dim, hidden_dim), nn.ReLU()]
            curr_in_dim = hidden_dim
        self.trunk = nn.Sequential(*layers)
        self.amp_linear = nn.Linear(curr_in_dim, 1)

    def forward(self, x):
        return self.amp_linear(self.trunk(x))

    def compute_grad_pen(self, expert_data, lambda_=10):
        expert_data = expert_data.clone().requires_grad_(True)
        disc = self.amp_linear(self.trunk(expert_data))
        ones = torch.ones(disc.size())
        grad = torch.autograd.grad(
            outputs=disc, inputs=expert_data, grad_outputs=ones, create_graph=True, retain_graph=True, only_inputs=True
        )[0]
        # Enforce that the grad norm approaches 0.
        grad_pen = lambda_ * (grad.norm(2, dim=1) - 0).pow(2).mean()
        return grad_pen


class ReplayBuffer:
    """Transitions that the policy has made."""

    def __init__(self, obs_dim, buffer_size):
        self.states = torch.zeros(buffer_size, obs_dim)
        self.buffer_size, self.step, self.num_samples = buffer_size, 0, 0

    def insert(self, states):
        num_states = states.shape[0]
        at = (self.step + torch.arange(num_states)) % self.buffer_size
        self.states[at] = states
        self.num_samples = min(self.buffer_size, max(self.step + num_states, self.num_samples))
        self.step = (self.step + num_states) % self.buffer_size

    def feed_forward_generator(self, num_mini_batch, mini_batch_size):
        for _ in range(num_mini_batch):
            yield self.states[np.random.choice(self.num_samples, size=mini_batch_size)]


class MotionLoader:
    def __init__(self, transitions, preload):
        self.preloaded = transitions[np.random.choice(len(transitions), size=preload)]

    def feed_forward_generator(self, num_mini_batch, mini_batch_size):
        for _ in range(num_mini_batch):
            idxs = np.random.choice(len(self.preloaded), size=mini_batch_size)
            yield self.preloaded[idxs]


class Actor(nn.Module):
    """Both joints now and one step on, from what drives them."""

    def __init__(self, num_obs, num_actions, hidden=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(num_obs, hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ELU())
        self.head = nn.Linear(hidden, num_actions)

    def forward(self, obs):
        return self.head(self.body(obs))


normalizer = Normalizer(4)
expert = data.gaits(4000)
normalizer.update(expert.numpy())
amp_data = MotionLoader(normalizer.normalize_torch(expert), preload=4000)
num_obs, lambda_gp, num_steps_per_env, mini_batch = 6, 0.1, 64, 64
policy = Actor(num_obs, 4)
discriminator = AMPDiscriminator(4, [64, 64])
storage = ReplayBuffer(4, 256)
optimizer = torch.optim.Adam(policy.parameters(), lr=2e-3, betas=(0.5, 0.99))
params = [
    {"params": discriminator.trunk.parameters(), "weight_decay": 10e-4, "name": "amp_trunk"},
    {"params": discriminator.amp_linear.parameters(), "weight_decay": 10e-2, "name": "amp_head"},
]
optimizer_amp = torch.optim.Adam(params, lr=2e-3, betas=(0.5, 0.99))
mse = torch.nn.MSELoss()


class AMPRunner:
    def __init__(self):
        self.rewbuffer = collections.deque(maxlen=100)

    def rollout(self):
        obs = torch.randn(num_steps_per_env, num_obs)
        with torch.no_grad():
            storage.insert(policy(obs))

    def update(self):
        policy_loader = storage.feed_forward_generator(1, mini_batch)
        expert_loader = amp_data.feed_forward_generator(1, mini_batch)
        for sample_amp_policy, sample_amp_expert in zip(policy_loader, expert_loader):
            policy_d = discriminator(sample_amp_policy)
            expert_d = discriminator(sample_amp_expert)
            expert_loss = mse(expert_d, torch.ones(expert_d.size()))
            policy_loss = mse(policy_d, -1 * torch.ones(policy_d.size()))
            amp_loss = expert_loss + policy_loss
            grad_pen_loss = discriminator.compute_grad_pen(sample_amp_expert, lambda_=lambda_gp)
            loss = amp_loss + grad_pen_loss
            optimizer_amp.zero_grad()
            loss.backward()
            optimizer_amp.step()

            obs = torch.randn(mini_batch, num_obs)
            style = discriminator(policy(obs))
            style_loss = mse(style, torch.ones(style.size()))
            optimizer.zero_grad()
            style_loss.backward()
            optimizer.step()
            self.rewbuffer.append(-style_loss.item())
        return sample_amp_expert, obs

    def learn(self, num_learning_iterations):
        self.monitor = watch(
            policy,
            discriminator,
            loss=tightrope.losses.least_squares,
            penalty=("r1", 0.2),
            optimizers=(optimizer, optimizer_amp),
            sample=lambda: policy(torch.randn(500, num_obs)),
            held_out=normalizer.normalize_torch(data.gaits(500, "held")),
        )
        for it in range(num_learning_iterations):
            self.rollout()
            self.monitor.step(*self.update())


AMPRunner().learn(steps)
