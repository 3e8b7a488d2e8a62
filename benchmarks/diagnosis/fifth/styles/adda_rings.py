# adversarial adaptation: the encoder of the target learns to be taken for that of the source
import copy

import torch
from torch import nn

torch.manual_seed(seed)


def encoder():
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))


class Adapt:
    """source fixed, target and critic learn"""

    def __init__(self, lr_t=1e-3, lr_c=4e-3, batch=64):
        self.source = encoder().requires_grad_(False)
        self.x_source = data.rings(2048)
        turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
        self.x_target = data.rings(2048, "held") @ turn * 0.6 + 0.7
        with torch.no_grad():
            codes = self.source(self.x_source)
            self.mean, self.std = codes.mean(0), codes.std(0)
        self.target = nn.Sequential(*copy.deepcopy(self.source), nn.Linear(3, 3)).requires_grad_(True)
        self.critic = nn.Sequential(
            nn.Linear(3, 64), nn.LeakyReLU(0.1), nn.Linear(64, 64), nn.LeakyReLU(0.1), nn.Linear(64, 2)
        )
        self.opt_target = torch.optim.Adam(self.target.parameters(), lr=lr_t, betas=(0.5, 0.9))
        self.opt_critic = torch.optim.Adam(self.critic.parameters(), lr=lr_c, betas=(0.5, 0.9))
        self.criterion = nn.CrossEntropyLoss()
        self.batch = batch

    def rows(self, x):
        return x[torch.randint(0, len(x), (self.batch,))]

    def codes(self, x):
        with torch.no_grad():
            return (self.source(x) - self.mean) / self.std

    def update(self):
        feat_src = self.codes(self.rows(self.x_source))
        x_tgt = self.rows(self.x_target)
        feat_tgt = self.target(x_tgt)
        # critic: 1 is source, 0 is target
        self.opt_critic.zero_grad()
        feat_concat = torch.cat((feat_src, feat_tgt.detach()), 0)
        pred_concat = self.critic(feat_concat)
        label_concat = torch.cat((torch.ones(self.batch), torch.zeros(self.batch))).long()
        loss_critic = self.criterion(pred_concat, label_concat)
        loss_critic.backward()
        self.opt_critic.step()
        # target encoder
        self.opt_critic.zero_grad()
        self.opt_target.zero_grad()
        pred_tgt = self.critic(feat_tgt)
        label_tgt = torch.ones(self.batch).long()
        loss_tgt = self.criterion(pred_tgt, label_tgt)
        loss_tgt.backward()
        self.opt_target.step()
        return feat_src, x_tgt


def two_classes(real, fake):
    ones, zeros = torch.ones(len(real)).long(), torch.zeros(len(fake)).long()
    critic = nn.functional.cross_entropy(torch.cat((real, fake)), torch.cat((ones, zeros)))
    return critic, nn.functional.cross_entropy(fake, torch.ones(len(fake)).long())


adapt = Adapt()
watch = watch(
    adapt.target,
    adapt.critic,
    loss=two_classes,
    optimizers={"generator": adapt.opt_target, "critic": adapt.opt_critic},
    sample=lambda: adapt.target(adapt.x_target[:500]),
    held_out=adapt.codes(data.rings(500, "held")),
)
for step in range(steps):
    real, z = adapt.update()
    watch.step(real, z)
