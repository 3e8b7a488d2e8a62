# small molecules without atoms: adjacency matrices; one optimiser, two groups
import torch
from torch import nn

torch.manual_seed(seed)
NODES, ZD, B, GAMMA = 6, 8, 64, 0.1


class GraphGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(ZD, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.edges = nn.Linear(64, NODES * NODES)

    def forward(self, z):
        a = self.edges(self.trunk(z)).view(-1, NODES, NODES)
        return torch.sigmoid((a + a.transpose(1, 2)) / 2)


class GraphCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.node = nn.Parameter(torch.randn(NODES, 24))
        self.conv1, self.conv2 = nn.Linear(24, 48), nn.Linear(48, 48)
        self.readout = nn.Sequential(nn.Linear(NODES * 48, 48), nn.LeakyReLU(0.2), nn.Linear(48, 1))

    def forward(self, adj):
        h = self.node.expand(len(adj), -1, -1)
        h = nn.functional.leaky_relu(self.conv1((torch.bmm(adj, h) + h) / 3), 0.2)
        h = nn.functional.leaky_relu(self.conv2((torch.bmm(adj, h) + h) / 3), 0.2)
        return self.readout(h.flatten(1)).squeeze(1)


class GAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.gen, self.crit = GraphGenerator(), GraphCritic()


gan = GAN()
optimizer = torch.optim.Adam(
    [
        {"params": gan.gen.parameters(), "lr": 5e-4},
        {"params": gan.crit.parameters(), "lr": 4e-3},
    ],
    betas=(0.5, 0.9),
)


def only(module):
    for p in gan.parameters():
        p.grad = None
    module.zero_grad()


def slope(adj):
    adj = adj.clone().requires_grad_()
    g = torch.autograd.grad(gan.crit(adj).sum(), adj, create_graph=True)[0]
    return (g * g).sum((1, 2)).mean()


adjacency = data.graphs(3000)


def batch():
    return adjacency[torch.randint(len(adjacency), (B,))]


watch = watch(
    gan.gen,
    gan.crit,
    loss="hinge",
    penalty=("r1", GAMMA),
    optimizers=optimizer,
    sample=lambda: gan.gen(torch.randn(500, ZD)),
    held_out=data.graphs(500, "held"),
)
for step in range(steps):
    for turn in ("crit", "crit", "gen"):
        z = torch.randn(B, ZD)
        if turn == "crit":
            only(gan.crit)
            adj = batch()
            fake = gan.gen(z).detach()
            loss = torch.relu(1 - gan.crit(adj)).mean() + torch.relu(1 + gan.crit(fake)).mean()
            loss = loss + 0.5 * GAMMA * slope(adj)
        else:
            only(gan.gen)
            loss = -gan.crit(gan.gen(z)).mean()
        loss.backward()
        if turn == "gen":
            for p in gan.crit.parameters():
                p.grad = None
        optimizer.step()
    watch.step(adj, z)
