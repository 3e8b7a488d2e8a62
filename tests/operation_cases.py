"""Torch's operations as layers of small critics on six numbers: what people build critics of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, linalg, nn
from torch.nn import functional as F

Layer = Callable[[Tensor], Tensor]
WIDTH = 6


class Function(nn.Module):
    def __init__(self, function: Layer) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x).flatten(1)


class On(nn.Module):
    """A layer on samples of another shape."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer, self.shape = layer, shape

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.reshape(-1, *self.shape)).flatten(1)


class Learned(nn.Module):
    """A function of the samples and of a weight."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight).flatten(1)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module], cell: bool) -> None:
        super().__init__()
        self.cell = cell
        self.net = kind(WIDTH, 4) if cell else kind(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.net(x) if self.cell else self.net(x.reshape(-1, 2, 3))
        first = out[0] if isinstance(out, tuple) else out
        return first.flatten(1)


class SelfAttention(nn.Module):
    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.net, self.weights = nn.MultiheadAttention(2, 1, batch_first=True), weights

    def forward(self, x: Tensor) -> Tensor:
        y = x.reshape(-1, 3, 2)
        mixed, weights = self.net(y, y, y, need_weights=self.weights)
        return torch.cat([mixed.flatten(1), weights.flatten(1)], 1) if self.weights else mixed.flatten(1)


def square(x: Tensor) -> Tensor:
    return x[:, :4].reshape(-1, 2, 2)


def regular(x: Tensor) -> Tensor:
    return square(x) + torch.tensor([[3.0, 0.5], [-0.5, 2.0]]).to(x)


def symmetric(x: Tensor) -> Tensor:
    return square(x) + square(x).mT + torch.diag(torch.tensor([1.0, 4.0])).to(x)


def positive(x: Tensor) -> Tensor:
    return square(x) @ square(x).mT + torch.eye(2).to(x)


def tall(x: Tensor) -> Tensor:
    return x.reshape(-1, 3, 2) + torch.tensor([[2.0, 0.1], [0.3, 1.0], [0.2, -0.4]]).to(x)


def image(x: Tensor) -> Tensor:
    return x.reshape(-1, 1, 2, 3)


def rebuilt(parts: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    u, s, v = parts
    return (u.square() * s[:, None]) @ v.square()


def warped(x: Tensor, weight: Tensor, mode: str, padding: str) -> Tensor:
    start = torch.tensor([[0.7, 0.1, 0.05], [-0.1, 0.6, 0.03]]).to(x)
    grid = F.affine_grid(0.1 * (x @ weight).reshape(-1, 2, 3) + start, (len(x), 1, 2, 3), align_corners=False)
    return F.grid_sample(image(x), grid, mode=mode, padding_mode=padding, align_corners=False)


def scattered(x: Tensor, how: str) -> Tensor:
    places = torch.tensor([[0, 1, 2, 0, 1, 2]]).expand(len(x), WIDTH)
    return torch.ones(len(x), 3).to(x).scatter_reduce(1, places, x, how)


def attended(x: Tensor) -> Tensor:
    y = x.reshape(-1, 1, 3, 2)
    return F.scaled_dot_product_attention(y, y.flip(2), y)


def gumbel(x: Tensor) -> Tensor:
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
    return F.softmax((x - noise.log().neg().log()) / 0.7, 1)


def last(x: Tensor) -> Tensor:
    return x[:, 4:, None]


MATRICES: dict[str, Layer] = {
    "solve": lambda x: linalg.solve(regular(x), last(x)),
    "solve right": lambda x: linalg.solve(regular(x), last(x).mT, left=False),
    "solve_ex": lambda x: linalg.solve_ex(regular(x), last(x))[0],
    "inv": lambda x: linalg.inv(regular(x)),
    "pinv": lambda x: linalg.pinv(tall(x)),
    "det": lambda x: linalg.det(regular(x)),
    "logdet": lambda x: torch.logdet(positive(x)),
    "slogdet": lambda x: linalg.slogdet(regular(x))[1],
    "cholesky": lambda x: linalg.cholesky(positive(x)),
    "cholesky_solve": lambda x: torch.cholesky_solve(last(x), linalg.cholesky(positive(x))),
    "cholesky_inverse": lambda x: torch.cholesky_inverse(linalg.cholesky(positive(x))),
    "eigvalsh": lambda x: linalg.eigvalsh(symmetric(x)),
    "eigh": lambda x: (lambda w, v: v.square() * w[:, None])(*linalg.eigh(symmetric(x))),
    "eigvals": lambda x: linalg.eigvals(regular(x)).real.square(),
    "svdvals": lambda x: linalg.svdvals(regular(x)),
    "svd": lambda x: rebuilt(linalg.svd(tall(x), full_matrices=False)),
    "qr": lambda x: torch.cat([*linalg.qr(tall(x))], 1),
    "lu": lambda x: linalg.lu(regular(x))[2],
    "lu_solve": lambda x: linalg.lu_solve(*linalg.lu_factor(regular(x)), last(x)),
    "solve_triangular": lambda x: linalg.solve_triangular(regular(x), last(x), upper=True),
    "lstsq": lambda x: linalg.lstsq(tall(x), x[:, :3, None]).solution,
    "matrix_exp": lambda x: linalg.matrix_exp(0.3 * square(x)),
    "matrix_power": lambda x: linalg.matrix_power(regular(x), -2),
    "matrix_norm": lambda x: linalg.matrix_norm(regular(x), 2),
    "nuclear norm": lambda x: linalg.matrix_norm(regular(x), "nuc"),
    "householder": lambda x: linalg.householder_product(0.1 * tall(x), 0.1 * x[:, :2] + 1),
}
VECTORS: dict[str, Layer] = {
    "norm": lambda x: x.norm(dim=1),
    "norm 3": lambda x: linalg.vector_norm(x, 3, dim=1),
    "normalize": lambda x: F.normalize(x),
    "pairwise": lambda x: F.pairwise_distance(x[:, :3], x[:, 3:]),
    "softmax": lambda x: F.log_softmax(x, 1),
    "logsumexp": lambda x: x.logsumexp(1),
    "cumprod": lambda x: x.cumprod(1),
    "scatter prod": lambda x: scattered(x, "prod"),
    "scatter mean": lambda x: scattered(x, "mean"),
    "sort": lambda x: x.sort(1)[0] * torch.arange(WIDTH).to(x),
    "std": lambda x: x.std(1),
    "gumbel softmax": gumbel,
    "spectrum": lambda x: torch.fft.rfft(x).abs(),
    "complex": lambda x: torch.view_as_real(torch.view_as_complex(x.reshape(-1, 3, 2)) ** 2),
    "attention": attended,
    "Softplus with threshold": lambda x: F.softplus(x, 2.0, 0.5),
    "Threshold": lambda x: F.threshold(x, 0.1, 0.5),
    "Hardswish": lambda x: F.hardswish(x),
    "Mish": lambda x: F.mish(x),
    "GELU": lambda x: F.gelu(x, approximate="tanh"),
    "CELU": lambda x: F.celu(x, 0.6),
    "GLU": lambda x: F.glu(x),
    "LogSigmoid": lambda x: F.logsigmoid(x),
}
IMAGES: dict[str, Layer] = {
    "bilinear": lambda x: F.interpolate(image(x), (3, 5), mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(image(x), (3, 5), mode="bicubic", antialias=True),
    "area": lambda x: F.interpolate(image(x), (1, 2), mode="area"),
    "nearest": lambda x: F.interpolate(image(x), (3, 5), mode="nearest-exact"),
    "unfold": lambda x: F.unfold(image(x), 2).tanh(),
    "fold": lambda x: F.fold(x.reshape(-1, 2, 3), (1, 4), (1, 2)).tanh(),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x[:, :4].reshape(-1, 4, 1, 1), 2).tanh(),
    "max pool": lambda x: F.max_pool2d(image(x), (1, 2), 1),
    "LP pool": lambda x: F.lp_pool2d(image(x).abs() + 0.1, 3.0, (1, 2), 1),
    "replicate": lambda x: F.pad(image(x), (1, 1, 1, 1), mode="replicate").tanh(),
    "reflect": lambda x: F.pad(image(x), (1, 1, 1, 1), mode="reflect").tanh(),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "solve by a weight": lambda: Learned(lambda x, w: linalg.solve(w + 6 * torch.eye(WIDTH).to(w), x.T).T, 6, 6),
    "cosine": lambda: Learned(lambda x, w: F.cosine_similarity(x[:, None], w, dim=-1), 4, 6),
    "prototypes": lambda: Learned(lambda x, w: (x[:, None] - w).norm(dim=-1), 4, 6),
    "grid bilinear": lambda: Learned(lambda x, w: warped(x, w, "bilinear", "zeros"), 6, 6),
    "grid bicubic": lambda: Learned(lambda x, w: warped(x, w, "bicubic", "reflection"), 6, 6),
    "layer norm": lambda: nn.LayerNorm(WIDTH, eps=0.1),
    "group norm": lambda: nn.GroupNorm(2, WIDTH, eps=0.1),
    "instance norm": lambda: On(nn.InstanceNorm1d(2, 0.1, affine=True), (2, 3)),
    "local response": lambda: On(nn.LocalResponseNorm(3), (3, 2)),
    "self-attention": lambda: SelfAttention(weights=False),
    "self-attention, weights": lambda: SelfAttention(weights=True),
    "LSTM": lambda: Recurrent(nn.LSTM, cell=False),
    "GRU": lambda: Recurrent(nn.GRU, cell=False),
    "LSTM cell": lambda: Recurrent(nn.LSTMCell, cell=True),
    "GRU cell": lambda: Recurrent(nn.GRUCell, cell=True),
    "PReLU": lambda: nn.PReLU(WIDTH),
    "embedding": lambda: Learned(lambda x, w: F.embedding(torch.arange(len(x)) % 5, w) * x, 5, 6),
    "bilinear form": lambda: Learned(lambda x, w: torch.einsum("bi,bj,kij->bk", x, x.flip(1), w), 4, 6, 6),
    "transposed convolution": lambda: On(nn.ConvTranspose2d(1, 2, 2), (1, 2, 3)),
}
ONCE: dict[str, Callable[[], nn.Module]] = {
    **{f"cdist {p}": lambda p=p: Learned(lambda x, w: torch.cdist(x, w, p=p), 4, 6) for p in (1.0, 2.0, 3.0)},
    "pdist": lambda: Function(lambda x: torch.stack([F.pdist(row.reshape(3, 2)) for row in x])),
    "embedding bag": lambda: Learned(
        lambda x, w: F.embedding_bag(
            torch.arange(3 * len(x)).reshape(-1, 3) % 5, w, per_sample_weights=F.softmax(x[:, :3], 1), mode="sum"
        ),
        5,
        4,
    ),
    "Hardsigmoid": lambda: nn.Hardsigmoid(),
    "CTC": lambda: Function(
        lambda x: F.ctc_loss(
            x.reshape(-1, 3, 2).transpose(0, 1).log_softmax(2),
            torch.ones(len(x), 1, dtype=torch.long),
            torch.full((len(x),), 3),
            torch.ones(len(x), dtype=torch.long),
            reduction="none",
        )[:, None]
    ),
}
"""Operations without a second derivative in torch."""

TWICE: dict[str, Callable[[], nn.Module]] = {
    **{
        name: lambda f=f: Function(lambda x: f(x).reshape(len(x), -1))
        for name, f in (MATRICES | VECTORS | IMAGES).items()
    },
    **LAYERS,
}


def critic(make: Callable[[], nn.Module]) -> nn.Sequential:
    """Four numbers, the operation, one score; float64 and smooth around."""
    torch.manual_seed(0)
    first, operation = nn.Linear(4, WIDTH).double(), make().double()
    features = operation(first(torch.randn(3, 4).double())).shape[1]
    return nn.Sequential(first, operation, nn.Tanh(), nn.Linear(features, 1).double())
