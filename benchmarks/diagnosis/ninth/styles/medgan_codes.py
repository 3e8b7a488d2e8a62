import torch
from torch import nn

torch.manual_seed(seed)


class Medgan(nn.Module):
    """Codes of records: a decoder that is trained beforehand, and a generator of what it decodes."""

    def __init__(self, inputDim=18, embeddingDim=12, randomDim=12, batchSize=64, pretrainSteps=120):
        super().__init__()
        self.inputDim, self.embeddingDim, self.randomDim = inputDim, embeddingDim, randomDim
        self.batchSize, self.pretrainSteps = batchSize, pretrainSteps
        self.bnDecay = 0.9
        self.aeEncoder = nn.Sequential(nn.Linear(inputDim, embeddingDim), nn.Tanh())
        self.aeDecoder = nn.Sequential(nn.Linear(embeddingDim, inputDim), nn.Sigmoid())
        self.generator = Generator(randomDim, embeddingDim, self.aeDecoder, self.bnDecay)
        self.discriminator = Discriminator(2 * inputDim)

    def autoencoderLoss(self, x):
        x_recon = self.aeDecoder(self.aeEncoder(x))
        return -(x * torch.log(x_recon + 1e-12) + (1 - x) * torch.log(1 - x_recon + 1e-12)).sum(1).mean()


class Generator(nn.Module):
    def __init__(self, randomDim, embeddingDim, decoder, bnDecay):
        super().__init__()
        self.W1, self.W2 = nn.Linear(randomDim, embeddingDim, bias=False), nn.Linear(embeddingDim, embeddingDim, bias=False)
        self.in_ = nn.Linear(randomDim, embeddingDim)
        self.bn1, self.bn2 = nn.BatchNorm1d(embeddingDim, momentum=0.1), nn.BatchNorm1d(embeddingDim, momentum=0.1)
        self.decoder = decoder

    def forward(self, x):
        tempVec = self.in_(x)
        tempVec = torch.relu(self.bn1(self.W1(x))) + tempVec
        tempVec = torch.tanh(self.bn2(self.W2(tempVec))) + tempVec
        return self.decoder(tempVec)


class Discriminator(nn.Module):
    def __init__(self, dim, hidden=64):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, hidden // 2)
        self.out = nn.Linear(hidden // 2, 1)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x):
        inputMean = x.mean(0, keepdim=True).expand_as(x)  # minibatch averaging
        tempVec = torch.cat((x, inputMean), 1)
        tempVec = self.act(self.fc2(self.act(self.fc1(tempVec))))
        return torch.sigmoid(self.out(tempVec)).squeeze(1)


def losses(y_hat_real, y_hat_fake):
    loss_d = -torch.log(y_hat_real + 1e-12).mean() - torch.log(1.0 - y_hat_fake + 1e-12).mean()
    loss_g = -torch.log(y_hat_fake + 1e-12).mean()
    return loss_d, loss_g


mg = Medgan()
l2scale = 0.001
records = data.codes(3000)
trainX, validX = records[:2700], records[2700:]
optimize_ae = torch.optim.Adam([*mg.aeEncoder.parameters(), *mg.aeDecoder.parameters()], lr=1e-2, weight_decay=l2scale)
for i in range(mg.pretrainSteps):
    batchX = trainX[torch.randperm(len(trainX))[: mg.batchSize]]
    optimize_ae.zero_grad()
    mg.autoencoderLoss(batchX).backward()
    optimize_ae.step()
del optimize_ae

optimize_d = torch.optim.Adam(mg.discriminator.parameters(), lr=2e-3, betas=(0.5, 0.9), weight_decay=l2scale)
optimize_g = torch.optim.Adam(mg.generator.parameters(), lr=2e-3, betas=(0.5, 0.9), weight_decay=l2scale)
discriminatorTrainPeriod, generatorTrainPeriod = 1, 1


def generateData(nSamples=500):
    mg.generator.eval()
    with torch.no_grad():
        x_emb = mg.generator(torch.randn(nSamples, mg.randomDim))
    mg.generator.train()
    return x_emb


monitor = watch(
    mg.generator,
    mg.discriminator,
    loss=losses,
    optimizers=(optimize_g, optimize_d),
    sample=generateData,
    held_out=data.codes(500, "held"),
)
idx = torch.arange(len(trainX))
nBatches = len(trainX) // mg.batchSize
done = 0
while done < steps:
    idx = idx[torch.randperm(len(idx))]
    for i in range(nBatches):
        for _ in range(discriminatorTrainPeriod):
            batchX = trainX[idx[i * mg.batchSize : (i + 1) * mg.batchSize]]
            randomX = torch.randn(mg.batchSize, mg.randomDim)
            optimize_d.zero_grad()
            x_fake = mg.generator(randomX).detach()
            discLoss, _ = losses(mg.discriminator(batchX), mg.discriminator(x_fake))
            discLoss.backward()
            optimize_d.step()
        for _ in range(generatorTrainPeriod):
            randomX = torch.randn(mg.batchSize, mg.randomDim)
            optimize_g.zero_grad()
            generatorLoss = -torch.log(mg.discriminator(mg.generator(randomX)) + 1e-12).mean()
            generatorLoss.backward()
            optimize_g.step()
        done += 1
        monitor.step(batchX, randomX)
        if done == steps:
            break
