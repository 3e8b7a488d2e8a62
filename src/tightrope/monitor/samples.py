"""Samples beside the data: spread, distance, what eval mode, sampling and averaging change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.streams import global_streams_kept
from tightrope.autodiff import undisturbed
from tightrope.monitor.bookkeeping import moded, outside
from tightrope.monitor.claims import inner
from tightrope.monitor.directions import read_directions
from tightrope.monitor.history import History
from tightrope.monitor.hooks import Hook
from tightrope.monitor.ledger.replay import CannotReplayError, refuse_foreign_hooks
from tightrope.monitor.players import Player, sampled
from tightrope.monitor.roles import Judged
from tightrope.monitor.sides import FEW, Sides, copies
from tightrope.monitor.window import Window

ROWS = 128


class Samples:
    """Reads samples of the generator, of its average, and of the user's own way to draw them."""

    def __init__(
        self, players: dict[str, Player], history: History, sample: Callable[[], Any] | None, ema: nn.Module | None
    ) -> None:
        self.players, self.history, self.sample = players, history, sample
        self.ema = None if ema is None else inner(ema)
        self.ema_start = torch.zeros(0) if self.ema is None else sampled(self.ema)
        self.live_start = sampled(players["generator"].module)
        self.ema_before = self.ema_start
        self.buffers_before = self._buffers()
        self.drawn: Tensor | None = None
        self.noise: tuple[int, list[int]] = 0, []
        self.sides = Sides()

    def read(self, window: Window, found: Sequence[Judged], real: Tensor | None) -> None:
        """Write down what the samples of a window say."""
        made = [call for call in self.players["generator"].listener.calls if call.outputs]
        fakes = [one.call.x for one in found if one.role == "fake" and one.call.x is not None]
        reals = [one.call.x for one in found if one.role == "real" and one.call.x is not None]
        fake = fakes[-1] if fakes else made[-1].outputs[0] if made else None
        batch = reals[-1] if reals else real
        if fake is not None and batch is not None and fake.shape[1:] == batch.shape[1:]:
            a, b = _rows(batch), _rows(fake)
            window.numbers["distance"], window.numbers["spread"] = _energy(a, b), _spread(b) / max(_spread(a), 1e-12)
            window.numbers |= self.sides.read(a, b)
            if made and made[-1].x is not None and len(made[-1].x) == len(fake) and self._copies_due():
                window.numbers |= copies(made[-1].x, fake)
        if made and fake is not None:
            window.numbers["samples_finite"] = float(bool(torch.isfinite(made[-1].outputs[0]).all()))
        reach = self.history.ends.get("generator")
        if reach is not None and batch is not None and fake is not None and fake.shape[1:] == batch.shape[1:]:
            passed = [outside(real, reach)] if real is not None else []
            window.numbers["outside"] = min([outside(batch, reach), *passed])  # noise before the critic is no fault
        if made and not made[-1].part and window.step >= 30 and moded(self.players["generator"].module):
            self._other_mode(window, made[-1])
        if self.ema is not None:
            self._average(window)
        if self.sample is not None and (window.step in (3, 8, 34) or window.step > 34):
            self._sampling(window, batch)

    def _copies_due(self) -> bool:
        """In eight windows, then in every fourth unless samples were copies when last looked at."""
        known = [share for _, share in self.history.series("distinct_fakes")]
        return len(known) < 8 or known[-1] < FEW or len(self.history.windows) % 4 == 0

    def directions(self, window: Window, real: Tensor | None) -> None:
        """Which latent directions count: in five windows from update 8 on, then in every fourth, for networks stay."""
        made = [call for call in self.players["generator"].listener.calls if call.outputs and not call.part]
        known = sum("latent_width" in w.numbers for w in self.history.windows)
        if made and window.step >= 8 and (known < 5 or len(self.history.windows) % 4 == 0):
            window.numbers |= read_directions(self.players["generator"].module, made[-1], real)

    def _other_mode(self, window: Window, call: Any) -> None:
        """Energy distance between what eval mode gives for the last latents and what was given."""
        module = self.players["generator"].module
        try:
            refuse_foreign_hooks(module)
        except CannotReplayError:
            return
        other = _Evaluated(call)
        with torch.no_grad():
            found = _as_now(module, other)
        if found is not None and found.shape == call.outputs[0].shape:
            a, b = _rows(call.outputs[0]), _rows(found)
            window.numbers["other_mode"] = _energy(a, b)

    def _average(self, window: Window) -> None:
        assert self.ema is not None
        live = self.players["generator"].module
        now, average = sampled(live), sampled(self.ema)
        if now.shape != average.shape:
            return
        gone = float((now - self.live_start).norm())
        numbers = window.numbers
        if gone > 0:
            numbers["average_behind"] = float((average - now).norm()) / gone
            numbers["average_moved"] = float((average - self.ema_before).norm()) / gone
        numbers["average_is_live"] = float(torch.equal(now, average))
        if numbers["average_is_live"]:
            places = {p.data_ptr() for p in live.parameters() if p.numel()}
            numbers["average_shared"] = float(any(p.data_ptr() in places for p in self.ema.parameters() if p.numel()))
        self.ema_before = average
        pairs = {name.removeprefix("module."): buffer for name, buffer in self.ema.named_buffers()}
        worst = 0.0
        for name, buffer in live.named_buffers():
            other = pairs.get(name.removeprefix("module."))
            if other is not None and buffer.is_floating_point() and other.shape == buffer.shape:
                size = float(buffer.float().norm()) + 1e-12
                worst = max(worst, float((buffer.float() - other.float()).norm()) / size)
        numbers["average_buffers"] = worst
        held = self._buffers()
        numbers["average_buffers_moved"] = float(not torch.equal(held, self.buffers_before))
        self.buffers_before = held

    def _buffers(self) -> Tensor:
        """All buffers in floating point of the average, flat."""
        held = [] if self.ema is None else [b for b in self.ema.buffers() if b.is_floating_point()]
        return torch.cat([b.detach().flatten().float().cpu() for b in held]) if held else torch.zeros(0)

    def _sampling(self, window: Window, real: Tensor | None) -> None:
        """Draw as the user does, listening with which latents and in which mode."""
        assert self.sample is not None
        networks = [self.players["generator"].module, self.players["critic"].module]
        networks += [] if self.ema is None else [self.ema]
        inputs: list[tuple[Tensor, bool]] = []

        def listen(module: nn.Module, args: tuple[Any, ...]) -> None:
            inputs.extend((a.detach().float(), module.training) for a in args[:1] if isinstance(a, Tensor))

        handles = [network.register_forward_pre_hook(Hook(listen)) for network in networks[:1] + networks[2:]]
        try:
            with global_streams_kept(), undisturbed(*networks), torch.no_grad():
                drawn = self.sample()
        finally:
            for handle in handles:
                handle.remove()
        if inputs and inputs[0][0].is_floating_point() and inputs[0][0].numel() > 1:
            z, training = inputs[0]
            width, columns = self.noise
            z = z[:, columns] if z.dim() == 2 and z.shape[1] == width > len(columns) else z
            window.numbers |= {"sampled_mean": float(z.mean()), "sampled_std": float(z.std()),
                               "sampled_size": z.numel(), "sampled_in_training_mode": float(training)}  # fmt: skip
        if isinstance(drawn, Tensor):
            self.drawn = drawn.detach()[: 2 * ROWS].float()
            window.numbers |= {"sampled_spread": _spread(_rows(drawn)), "sampled_rows": len(drawn)}
            if real is not None and drawn.shape[1:] == real.shape[1:]:
                window.numbers["sampled_distance"] = _energy(_rows(real), _rows(drawn))


class _Evaluated:
    """A captured call, to be made in eval mode."""

    def __init__(self, call: Any) -> None:
        self.call = call


def _as_now(module: nn.Module, other: _Evaluated) -> Tensor | None:
    """The call's inputs through the network in eval mode, with its present buffers."""
    call = other.call
    with undisturbed(module):
        module.eval()
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        output = torch.func.functional_call(module, buffers, call.args, call.kwargs, strict=False)
    return output if isinstance(output, Tensor) else None


def _rows(batch: Tensor) -> Tensor:
    return batch.detach().float().flatten(1)[:ROWS]


def _spread(x: Tensor) -> float:
    """Mean distance between rows."""
    return float(torch.pdist(x).mean()) if len(x) > 1 else 0.0


def _energy(a: Tensor, b: Tensor) -> float:
    """Energy distance over the spread of the first: 0 for equal distributions; 2 E|a-b| - E|a-a'| - E|b-b'|."""
    if len(a) < 2 or len(b) < 2:
        return 0.0
    own = _spread(a)
    value = 2 * float(torch.cdist(a, b).mean()) - own - _spread(b)
    return value / max(own, 1e-12)
