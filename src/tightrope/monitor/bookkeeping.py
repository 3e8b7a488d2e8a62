"""Identities and counts: what the networks are made of, who was called how, what the data are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from tightrope.autodiff import frozen_constraints
from tightrope.constraints import constrained_layers, unconstrained_weights
from tightrope.layers.find import find_batch_norm, find_layers
from tightrope.layers.kernel import TRANSPOSED
from tightrope.layers.torch_own import hooks_of, steady
from tightrope.monitor.capture import Call
from tightrope.monitor.history import Ends, History
from tightrope.monitor.hooks import Hook
from tightrope.monitor.ledger.replay import replayed
from tightrope.monitor.players import Player
from tightrope.monitor.reach import Shifted
from tightrope.monitor.window import PlayerWindow, Window

MODED = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def statics(players: dict[str, Player], history: History) -> None:
    """What is known before anything has happened."""
    critic = players["critic"].module
    found = history.statics
    found["critic_batch_norm"] = find_batch_norm(critic)
    found["layers"] = len(find_layers(critic))
    found["constrained"] = constrained_layers(critic)
    found["unconstrained"] = unconstrained_weights(critic)
    found["last_layer"] = f"{list(find_layers(critic))[-1]}.weight" if found["layers"] else ""
    names = [name for name, _ in critic.named_parameters()] + [name for name, _ in critic.named_buffers()]
    holders = [m for m in critic.modules() if list(m.parameters(recurse=False))]  # a whole network may be called SNGAN
    classes = {type(m).__name__.lower() for m in holders}
    found["own_constraint"] = not found["constrained"] and (
        any(name.endswith(("_bar", "weight_u", "_u0", "_orig", ".u")) for name in names)
        or any("spectral" in name or name.startswith("sn") for name in classes)
    )


def weights(player: Player, window: Window) -> None:
    """The critic's largest weight and the share of weights that sit there, before its last step or after it.

    Where the weights are smaller counts: clips are applied after a step or before the next one.
    """
    high, count, total = 0.0, 0, 0
    matrices = [p.detach() for p in player.module.parameters() if p.dim() >= 2]
    if matrices:
        high = max(float(p.abs().max()) for p in matrices)
        if high >= window.numbers.get("weight_high", float("inf")):
            return
        total = sum(p.numel() for p in matrices)
        count = sum(int((p.abs() >= high * (1 - 1e-6)).sum()) for p in matrices)
        window.numbers["weight_high"], window.numbers["at_clip"] = high, count / max(total, 1) if count > 2 else 0.0


def normalised(player: Player, constrained: Iterable[str], window: Window) -> None:
    """The largest singular value of all spectrally normalised weights; nothing advances."""
    worst, where = 0.0, ""
    with frozen_constraints(), steady(player.module), torch.no_grad():
        for name in constrained:
            layer = player.module.get_submodule(name)
            weight = layer.weight
            if isinstance(weight, Tensor) and weight.numel() <= 300_000 and not isinstance(layer, TRANSPOSED):
                sigma = float(torch.linalg.matrix_norm(weight.detach().float().flatten(1), 2))
                worst, where = (sigma, name) if sigma > worst else (worst, where)
    if where:
        window.numbers["sigma"], window.words["sigma"] = worst, where


def iterates(module: nn.Module) -> bool:
    """Whether it is a spectral norm of torch, which advances in training mode only."""
    old = any(isinstance(hook, SpectralNorm) for hook in hooks_of(module).values())
    return old or isinstance(module, nn.utils.parametrizations._SpectralNorm)


def moded(module: nn.Module) -> bool:
    """Whether train and eval mode differ."""
    return any(isinstance(m, MODED) and (getattr(m, "p", 1) or 0) > 0 for m in module.modules())


def modes(player: Player, seen: PlayerWindow, calls: Sequence[Call]) -> None:
    """In which mode the player's training calls were made; calls without gradients do not count as training."""
    training = [call for call in calls if call.grad and any(call.events)]
    seen.calls = len(training)
    seen.stale_norms = sum(
        not all(call.training[k] for k, m in enumerate(player.module.modules()) if iterates(m)) for call in training
    )
    if not moded(player.module):
        return
    inside = [k for k, m in enumerate(player.module.modules()) if isinstance(m, MODED)]
    seen.eval_calls = sum(not any(call.training[k] for k in inside) for call in training)


def movement(player: Player, seen: PlayerWindow) -> None:
    """How far the sampled parameters went in the window, relative to their size; what no step touched."""
    now = player.sampled()
    seen.parameters = sum(1 for _ in player.module.parameters())
    size = float(player.before.norm())
    if now.shape == player.before.shape and size > 0:
        seen.moved = float((now - player.before).norm()) / size
    if player.touched:
        trained = [(name, p) for name, p in player.module.named_parameters() if id(p) not in player.touched]
        seen.missing = [name for name, p in trained if p.requires_grad or id(p) in player.trainable]


def gain(player: Player, call: Call) -> float:
    """By how much scores are multiplied behind the last layer that gives one number per score; 1 where none does."""
    layers = [m for m in player.module.modules() if not list(m.children()) or nn.utils.parametrize.is_parametrized(m)]
    heads: list[nn.Module] = []
    n = call.outputs[0].numel() if call.outputs else 0

    def note(module: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor) and output.numel() == n and list(module.parameters()):
            heads.append(module)

    handles = [m.register_forward_hook(Hook(note)) for m in layers]
    try:
        with torch.no_grad():
            replayed(player.module, call, check=False)
    finally:
        for handle in handles:
            handle.remove()
    if not heads:
        return 1.0
    found = []
    for shift in (0.0, 1.0):
        handle = heads[-1].register_forward_hook(Shifted(shift))
        try:
            with torch.no_grad():
                found.append(replayed(player.module, call, check=False)[0].double().flatten())
        finally:
            handle.remove()
    factors = found[1] - found[0]
    return float(factors.mean()) if float(factors.std()) < 1e-2 * float(factors.mean().abs()) + 1e-6 else 1.0


def outside(real: Tensor, ends: Ends) -> float:
    """Share of values that the generator cannot reach, by more than a twentieth of the data's standard deviation."""
    if ends.kind == "free" or real.numel() < 2:
        return 0.0
    margin = 0.05 * float(real.detach().float().std())
    low = ends.low if ends.kind != "above" else -float("inf")
    high = ends.high if ends.kind != "rectified" else float("inf")
    values = real.detach().float()
    return float(((values < low - margin) | (values > high + margin)).float().mean())


def checksums(batch: Tensor) -> Tensor:
    """A number per row that differs for different rows, ``[batch]`` in float64."""
    rows = batch.detach().flatten(1).double() if batch.dim() > 1 else batch.detach().double().unsqueeze(1)
    weights = torch.linspace(1.0, 2.0, rows.shape[1], dtype=torch.float64, device=rows.device).sqrt()
    return (rows * weights).sum(1).cpu()
