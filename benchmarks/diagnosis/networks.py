"""Generators and critics as scripts have them, some with a fault built in."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .plan import Plan

ACTS = {"lrelu": lambda: nn.LeakyReLU(0.2), "relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh, "silu": nn.SiLU}


class Times(nn.Module):
    """A factor, such as a temperature left in a network."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Output."""
        return x * self.factor


class Normed(nn.Module):
    """Divides by the spread of its input, without the small number that makes it safe."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Output."""
        return x / (x.relu().std(0, keepdim=True) + self.eps)


class Overflows(nn.Module):
    """Exponentiates and comes back: fine while its input is small."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """Output."""
        if self.training:
            self.calls += 1
        return (x * self.gain * self.calls).exp().log() / (self.gain * max(self.calls, 1))


class Conditioned(nn.Module):
    """A network of a sample and its class, by an embedding at the input."""

    def __init__(self, body: nn.Module, classes: int, size: int = 6) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, size)
        self.body = body

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Output."""
        return self.body(torch.cat([x, self.embed(y)], 1))


class Packed(nn.Module):
    """A critic of several rows at once, as tabular GANs have it."""

    def __init__(self, body: nn.Module, pack: int, columns: int) -> None:
        super().__init__()
        self.body, self.columns = body, pack * columns

    def forward(self, x: Tensor) -> Tensor:
        """Output."""
        return self.body(x.view(-1, self.columns))


class Several(nn.Module):
    """Critics of the signal at several rates: lists of scores and of the features on the way."""

    def __init__(self, critics: list[nn.Sequential]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Output."""
        scores, features = [], []
        for i, critic in enumerate(self.critics):
            h, seen = nn.functional.avg_pool1d(x, 2**i) if i else x, []
            for layer in critic:
                h = layer(h)
                seen.append(h)
            scores.append(h.flatten(1))
            features.append(seen[:-1])
        return scores, features


def _norm(kind: str, n: int, axes: int) -> list[nn.Module]:
    if kind == "bn":
        return [(nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[axes](n)]
    if kind == "ln" and not axes:
        return [nn.LayerNorm(n)]
    if kind in ("gn", "ln"):
        return [nn.GroupNorm(4 if kind == "gn" else 1, n)]
    return []


class Builder:
    """Builds both networks of a plan; ``fault`` tells which part is built wrong."""

    def __init__(self, plan: Plan, shape: tuple[int, ...], classes: int) -> None:
        self.plan, self.net, self.shape, self.classes = plan, plan.net, shape, classes
        self.conditional = plan.recipe.conditional
        self.layers_built = 0

    def act(self) -> nn.Module:
        """The plan's activation."""
        return ACTS[self.net.act]()

    def constrained(self, layer: nn.Module) -> nn.Module:
        """A layer of the critic, under spectral normalisation where the method has it."""
        self.layers_built += 1
        if self.net.norm_d != "sn":
            return layer
        if self.plan.fault == "constraint_partly" and self.layers_built > self.plan.strength:
            return layer
        if self.plan.fault == "constraint_absent":
            return layer
        return spectral_norm(layer)

    def generator(self) -> nn.Module:
        """The generator, with the plan's fault if it is built into it."""
        plan, net = self.plan, self.net
        size = net.latent + (6 if self.conditional else 0)
        layers: list[nn.Module] = []
        if plan.fault == "latent_ignored":
            layers.append(Times(plan.strength))
        w = net.width
        if net.kind == "mlp":
            for i in range(net.depth):
                layers += [nn.Linear(w if i else size, w), *_norm(net.norm_g, w, 0), self.act()]
            layers.append(nn.Linear(w, int(torch.tensor(self.shape).prod())))
            if len(self.shape) > 1:
                layers.append(nn.Unflatten(1, self.shape))
        elif net.kind == "conv":
            c, side = self.shape[0], self.shape[1] // 2
            layers += [nn.Linear(size, w * side * side), nn.Unflatten(1, (w, side, side)), *_norm(net.norm_g, w, 2)]
            layers += [self.act(), nn.Upsample(scale_factor=2), nn.Conv2d(w, w, 3, padding=1), *_norm(net.norm_g, w, 2)]
            layers += [self.act(), nn.Conv2d(w, c, 3, padding=1)]
        else:
            long = self.shape[1] // 4
            layers += [nn.Linear(size, w * long), nn.Unflatten(1, (w, long)), *_norm(net.norm_g, w, 1), self.act()]
            layers += [nn.ConvTranspose1d(w, w, 4, 2, 1), *_norm(net.norm_g, w, 1), self.act()]
            layers += [nn.ConvTranspose1d(w, 1, 4, 2, 1)]
        if len(self.shape) > 1 or plan.odd == "tanh_out":
            layers.append(nn.Tanh())
        if plan.fault == "generator_range":
            layers.append(nn.Sigmoid() if plan.strength == 1 else nn.ReLU() if plan.strength == 0 else nn.Tanh())
        if plan.fault == "nan_layer":
            layers.insert(-2, Overflows(plan.strength))
        body = nn.Sequential(*layers)
        if plan.fault == "generator_flat":
            self._flatten(body)
        return Conditioned(body, self.classes) if self.conditional else body

    def _flatten(self, body: nn.Sequential) -> None:
        """Leaves one direction of the second layer: a generator of condition number 1 / strength."""
        for layer in [m for m in body if isinstance(m, nn.Linear)][:2]:
            u, s, v = torch.linalg.svd(layer.weight.data, full_matrices=False)
            s[1:] *= self.plan.strength
            layer.weight.data = u @ torch.diag(s) @ v

    def critic(self, pack: int = 1) -> nn.Module:
        """The critic, of one row or of several."""
        plan, net, w = self.plan, self.net, self.net.width
        flat = int(torch.tensor(self.shape).prod())
        norm = (
            "bn"
            if plan.fault in ("batch_norm_in_critic", "batch_norm_joint")
            else ""
            if net.norm_d == "sn"
            else net.norm_d
        )
        drop: list[nn.Module] = [nn.Dropout(net.dropout)] if net.dropout else []
        layers: list[nn.Module] = []
        if net.kind == "mlp" or pack > 1:
            size = flat * pack + (6 if self.conditional else 0)
            layers += [nn.Flatten()] if len(self.shape) > 1 else []
            for i in range(net.depth):
                layers += [self.constrained(nn.Linear(w if i else size, w)), *_norm(norm if i else "", w, 0)]
                layers += [self.act(), *drop]
            layers.append(self.constrained(nn.Linear(w, 1)))
        elif net.kind == "conv":
            c, side = self.shape[0], (self.shape[1] + 1) // 2
            layers += [self.constrained(nn.Conv2d(c, w, 3, 2, 1)), self.act(), *drop]
            layers += [self.constrained(nn.Conv2d(w, w, 3, 1, 1)), *_norm(norm, w, 2), self.act(), nn.Flatten()]
            layers.append(self.constrained(nn.Linear(w * side * side, 1)))
        else:
            layers += [self.constrained(nn.Conv1d(1, w, 5, 2, 2)), self.act(), *drop]
            layers += [self.constrained(nn.Conv1d(w, w, 5, 2, 2)), *_norm(norm, w, 1), self.act(), nn.Flatten()]
            layers.append(self.constrained(nn.Linear(w * (self.shape[1] // 4), 1)))
        if plan.fault == "constraint_vacuous" and net.norm_d == "sn":
            layers += [Times(plan.strength)]
        if plan.recipe.loss == "prob":
            layers.append(nn.Sigmoid())
        end = {"score_sigmoid": nn.Sigmoid, "score_tanh": nn.Tanh, "score_relu": nn.ReLU}.get(plan.fault)
        layers += [end()] if end else []
        body = nn.Sequential(*layers)
        if plan.fault == "spectral_norm_stale":
            body.eval()
        if pack > 1:
            return Packed(body, pack, flat)
        return Conditioned(body, self.classes) if self.conditional else body

    def critics_at_rates(self, number: int) -> Several:
        """Small 1-D critics with list outputs, as vocoders have them."""
        built = []
        w = max(8, self.net.width // 2)
        for _ in range(number):
            layers = [self.constrained(nn.Conv1d(1, w, 5, 2, 2)), self.act()]
            layers += [self.constrained(nn.Conv1d(w, w, 5, 2, 2)), self.act()]
            layers.append(self.constrained(nn.Conv1d(w, 1, 3, 1, 1)))
            if self.plan.fault in ("score_sigmoid", "score_relu", "score_tanh"):
                layers.append(
                    {"score_sigmoid": nn.Sigmoid, "score_relu": nn.ReLU, "score_tanh": nn.Tanh}[self.plan.fault]()
                )
            built.append(nn.Sequential(*layers))
        return Several(built)
