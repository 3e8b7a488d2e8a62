"""Adversarial discriminative domain adaptation: the target's encoder learns to be taken for the source's."""
import torch
import torch.nn as nn
import torch.optim as optim


class params:
    d_learning_rate = 2e-3
    c_learning_rate = 2e-3
    beta1, beta2 = 0.0, 0.99
    batch_size = 64
    num_epochs_pre = 25
    feature = 4


def init_random_seed(manual_seed):
    torch.manual_seed(manual_seed)


def make_cat(source, target):
    xs = source[torch.randperm(len(source))[: params.batch_size]]
    xt = target[torch.randperm(len(target))[: params.batch_size]]
    return xs, xt


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 48)
        self.fc2 = nn.Linear(48, 48)
        self.fc3 = nn.Linear(48, params.feature)

    def forward(self, x):
        h = torch.tanh(self.fc1(x))
        h = torch.tanh(self.fc2(h))
        return self.fc3(h)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(
            nn.Linear(params.feature, 64), nn.LeakyReLU(0.1), nn.Linear(64, 64), nn.LeakyReLU(0.1), nn.Linear(64, 1)
        )

    def forward(self, feat):
        return self.layer(feat)


init_random_seed(seed)
source, source_y, target = data.domains(2000)
held_source, _, held_target = data.domains(500, "held")

# step 1: source encoder with a classifier
src_encoder, classifier = Encoder(), nn.Linear(params.feature, 3)
pre = optim.Adam([*src_encoder.parameters(), *classifier.parameters()], lr=5e-3)
for _ in range(params.num_epochs_pre):
    pick = torch.randperm(2000)[:128]
    pre.zero_grad()
    nn.functional.cross_entropy(classifier(src_encoder(source[pick])), source_y[pick]).backward()
    pre.step()
src_encoder.eval()
for p in src_encoder.parameters():
    p.requires_grad = False

# step 2: adapt
tgt_encoder = Encoder()
tgt_encoder.load_state_dict(src_encoder.state_dict())
critic = Critic()
criterion = nn.BCEWithLogitsLoss()
optimizer_tgt = optim.Adam(tgt_encoder.parameters(), lr=params.c_learning_rate, betas=(params.beta1, params.beta2))
optimizer_critic = optim.Adam(critic.parameters(), lr=params.d_learning_rate, betas=(params.beta1, params.beta2))

monitor = watch(
    tgt_encoder,
    critic,
    loss="non_saturating",
    optimizers=(optimizer_tgt, optimizer_critic),
    sample=lambda: tgt_encoder(held_target),
    held_out=src_encoder(held_source),
)
tgt_encoder.train()
critic.train()
for step in range(steps):
    images_src, images_tgt = make_cat(source, target)
    label_src = torch.ones(params.batch_size, 1)
    label_tgt = torch.zeros(params.batch_size, 1)

    # 2.1 train discriminator
    optimizer_critic.zero_grad()
    feat_src = src_encoder(images_src)
    feat_tgt = tgt_encoder(images_tgt)
    loss_critic = criterion(critic(feat_src.detach()), label_src) + criterion(critic(feat_tgt.detach()), label_tgt)
    loss_critic.backward()
    optimizer_critic.step()

    # 2.2 train target encoder
    optimizer_critic.zero_grad()
    optimizer_tgt.zero_grad()
    feat_tgt = tgt_encoder(images_tgt)
    pred_tgt = critic(feat_tgt)
    loss_tgt = criterion(pred_tgt, label_src)
    loss_tgt.backward()
    optimizer_tgt.step()
    monitor.step(feat_src, images_tgt)
