"""Opens and closes windows: from hooks and counters to the numbers of one :class:`~tightrope.monitor.window.Window`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.monitor import bookkeeping
from tightrope.monitor.accounts import Leaves, critic_account, generator_account
from tightrope.monitor.capture import few_of
from tightrope.monitor.cycle import phases
from tightrope.monitor.history import History
from tightrope.monitor.ledger.replay import CannotReplayError, refuse_foreign_hooks
from tightrope.monitor.pairs import Pairs
from tightrope.monitor.passes import BOTH, classes, turned
from tightrope.monitor.players import Held, Player, count_of, decay_of, momentum_of, rate_of, thawed, wished_of
from tightrope.monitor.readings import Reader
from tightrope.monitor.roles import Judged, StepMark, judged
from tightrope.monitor.shares import of_generator
from tightrope.monitor.steps import by_hand, several_processes
from tightrope.monitor.window import PlayerWindow, Window

SAID = 1e-2
"""Least share of a gradient that makes a player suspect, so that its ``.grad`` is kept at the start of windows."""


class Observer:
    """One training being watched."""

    def __init__(
        self,
        players: dict[str, Player],
        history: History,
        *,
        sample: Callable[[], Any] | None,
        ema: nn.Module | None,
        held_out: Tensor | None,
    ) -> None:
        self.players, self.history = players, history
        self.open = False
        self.window = Window(0)
        self.marks: list[StepMark] = []
        self._lent = False
        self._felt: set[str] = set()
        self.reader = Reader(players, history, sample=sample, ema=ema, held_out=held_out)
        self._pairs = Pairs()
        self._held: dict[int, tuple[torch.optim.Optimizer, Held]] = {}
        history.counters = {name: player.counters for name, player in players.items()}

    def begin(self) -> None:
        """Look at the networks before anything has happened."""
        for player in self.players.values():
            player.start = player.sampled()
        bookkeeping.statics(self.players, self.history)

    def start(self) -> None:
        """Open a window."""
        self.window, self.marks, self.open = Window(0), [], True
        self._held.clear()
        for player in self.players.values():
            player.listener.forget()
            player.listener.by_hand = player.counters.steps == 0
            player.listener.listen(True)
            player.before = player.sampled()
            player.fresh = player.counters.last > 0
            player.keep_gradients()
            player.suspect = False

    def abandon(self) -> None:
        """Close the window without a word, after a failure."""
        self.open = False
        for player in self.players.values():
            player.listener.busy = False
            player.listener.listen(False)
            player.listener.forget()

    def end(self, step: int, real: Any, z: Any, labels: Any) -> None:
        """Close the window and keep what it says."""
        self.window.step = step
        for player in self.players.values():
            player.listener.listen(False)
        self._by_hand()
        cleared = [call.cleared for call in self.players["critic"].listener.calls if self._after_critic(call.at)]
        if cleared:
            self.window.numbers["critic_cleared"] = float(any(cleared))
        self._part()
        self._quiet(lambda: self.reader.read(self.window, self.marks, real, z, labels))
        self._want_parts()
        self.history.add(self.window)
        self.abandon()

    def _want_parts(self) -> None:
        """From the next window on listen to the networks' parts, if a player was stepped and nothing of it was seen."""
        silent = any(self.window.player(name).steps and self.window.player(name).fit is None for name in self.players)
        made = self.players["generator"].listener.calls
        if silent or (self.window.generator.steps and not made):
            for player in self.players.values():
                player.listener.parts.wanted = True

    def _part(self) -> None:
        """Take calls on real and generated samples at once apart."""
        made = self.players["generator"].listener.calls
        self._quiet(lambda: self._pairs.part(self.players["critic"].listener, made))

    def _by_hand(self) -> None:
        """Add the steps of players that no optimiser has ever stepped."""
        everyone = [c for player in self.players.values() for c in player.listener.calls]
        times = sorted(e.at for call in everyone for arrived in call.events for e in arrived)
        found = []
        for name, player in self.players.items():
            if player.listener.by_hand and player.counters.steps == 0:
                found += by_hand(name, player.listener.calls, few_of(player.module), times)
                self.window.player(name).steps = sum(mark.player == name for mark in found)
        if found:
            self.marks = sorted([*self.marks, *found], key=lambda mark: mark.at)

    def _after_critic(self, at: int) -> bool:
        """Whether a time lies after the critic's last step."""
        return at > max((mark.at for mark in self.marks if mark.player == "critic"), default=at)

    def count_cycle(self) -> None:
        """End of a generator update."""
        self.history.cycles += 1
        critic = self.players["critic"].listener
        self.history.points, self.history.transformed = critic.leaf_calls, critic.transformed
        for player in self.players.values():
            counters = player.counters
            counters.functional |= player.listener.swapped
            counters.last, counters.cycle = counters.cycle, 0

    def before_step(self, optimizer: torch.optim.Optimizer, closure: bool, only: str | None = None) -> None:
        """In the hook before ``optimizer.step``; a closure brings gradients later; of one player alone if named."""
        held = self._holds(optimizer)
        for name in held.crossed:
            self.players[name].counters.other_parameters += 1
        for name in (*held.stale, *held.copied):
            self.players[name].counters.stale += 1
        for name in held.left_out:
            self.players[name].counters.left_out += 1
        for name in held.moving(only, closure=closure):
            self._count(self.players[name], optimizer, held)
        if self.open and not closure:
            self.inspect(optimizer)

    def rehearsed(self, optimizer: torch.optim.Optimizer, player: str) -> None:
        """As before a player's step that is not taken: flags and rates are read, and no gradient is explained."""
        self.before_step(optimizer, True, player)
        self.inspect(optimizer, explain=False, only=player)

    def inspect(self, optimizer: torch.optim.Optimizer, *, explain: bool = True, only: str | None = None) -> None:
        """Look at the gradients that an optimiser is about to apply."""
        if self.open and torch._C._current_graph_task_id() == -1:
            moving = self._holds(optimizer).moving(only)
            self._lent = len(moving) == 2 and self._generators_alone()
            self.window.critic.lent += self._lent and self._at_scores()
            for name, parameters in (m for m in moving.items() if not self._lent or m[0] == "generator"):
                self._inspect(self.players[name], optimizer, parameters, explain)

    def after_step(self, optimizer: torch.optim.Optimizer, now: int, only: str | None = None) -> None:
        """In the hook after it."""
        moving = set(self._holds(optimizer).moving(only)) if self.open else set()
        for name in sorted(moving - ({"critic"} if self._lent else set())):
            self.marks.append(StepMark(name, now))
            self.window.player(name).downhill = self.players[name].landed()

    def _generators_alone(self) -> bool:
        """Whether all passes since the last step were the generator's: the critic has nothing else in its gradient."""
        since, made = max((mark.at for mark in self.marks), default=-1), self.players["generator"].listener.calls
        found = judged(self.players["critic"].listener.calls, made, None, self.marks)
        return set(classes(found, made, since).values()) == {"generator"}

    def _at_scores(self) -> bool:
        """Whether those passes came to scores, and not to classes or codes alone that both players are to agree on."""
        since, calls = max((mark.at for mark in self.marks), default=-1), self.players["critic"].listener.calls
        own = [call for call in calls if not call.attached and any(call.events)]
        scores = self.reader.outputs(own or calls)
        return any(e.at > since for call in calls for k in scores if k < len(call.events) for e in call.events[k])

    def mark(self, player: str, now: int) -> None:
        """A step of a player, as if it had been taken."""
        self.marks.append(StepMark(player, now))

    def _holds(self, optimizer: torch.optim.Optimizer) -> Held:
        known = self._held.get(id(optimizer))
        if known is None or known[0] is not optimizer:
            known = self._held[id(optimizer)] = optimizer, Held.of(optimizer, self.players, self._felt)
        return known[1]

    def _groups(self, optimizer: torch.optim.Optimizer, held: Held, name: str) -> list[dict[str, Any]]:
        groups = optimizer.param_groups  # loading a state exchanges them
        return groups if len(groups) == 1 else [groups[k] for k in held.groups[name] if k < len(groups)] or groups

    def _count(self, player: Player, optimizer: torch.optim.Optimizer, held: Held) -> None:
        rate = rate_of(self._groups(optimizer, held, player.name))
        own = partial(count_of, optimizer, held.own[player.name]) if self.open else None
        player.counters.count(optimizer, rate, self.history.cycles, adaptive=held.adaptive, own=own)

    def _inspect(
        self, player: Player, optimizer: torch.optim.Optimizer, parameters: list[Tensor], explain: bool
    ) -> None:
        seen = self.window.player(player.name)
        seen.steps += 1
        groups = self._groups(optimizer, self._holds(optimizer), player.name)
        seen.rate, seen.decay, seen.momentum = rate_of(groups), decay_of(groups), momentum_of(groups)
        player.counters.wished = wished_of(optimizer)
        player.touched |= {id(p) for p in parameters}
        player.trainable |= {id(p) for p in player.module.parameters() if p.requires_grad}
        names = {id(p): name for name, p in player.module.named_parameters()}
        seen.frozen = [names.get(id(p), "?") for p in parameters if not p.requires_grad and p.grad is None]
        self._part()
        if player.name == "generator":
            self._turned()
            self._shares()
        else:
            self.window.numbers.pop("weight_high", None)
            bookkeeping.weights(player, self.window)
        player.take_aim()
        with_gradient = [p for p in parameters if p.grad is not None]
        seen.no_gradient += not with_gradient
        seen.old_gradient += seen.steps == 1 and player.untouched(with_gradient)
        if with_gradient:
            sizes = torch.stack([p.grad.detach().abs().max().float() for p in with_gradient if p.grad is not None])
            largest = float(sizes.max())
            seen.finite &= bool(torch.isfinite(sizes).all())
            seen.zero_gradient += largest == 0.0
        if not seen.finite and "not_finite" not in self.window.words:
            self.window.words["not_finite"] = next(
                (f"gradient of {names.get(id(p), '?')} of the {player.name}" for p in with_gradient
                 if p.grad is not None and not bool(torch.isfinite(p.grad).all())), "")  # fmt: skip
        if not explain:
            seen.silent = "no step is taken"
        elif several_processes():
            seen.silent = "several processes average their gradients"
        elif not player.fresh:
            seen.silent = "gradients are accumulated over several updates"
        elif with_gradient and seen.finite and len(seen.accounts) < 2 and self._due(player.name):
            with thawed(with_gradient):
                self._account(player, seen, with_gradient)

    def _due(self, player: str) -> bool:
        """Whether the gradient is to be explained: always, until it was as claimed in three windows in a row."""
        windows = self.history.windows
        if len(windows) % 4 == 0 or len(windows) < 3:
            return True
        known = [w for w in windows[-6:] if w.player(player).accounts or w.player(player).silent][-3:]
        return len(known) < 3 or not all(self._as_claimed(w, player) for w in known)

    def _as_claimed(self, window: Window, player: str) -> bool:
        seen, claims = window.player(player), self.history.claims
        fits = seen.fit is not None and (seen.fit.kind == "claim" or self.history.claim is None)
        kinds = {a.kind for a in seen.accounts}
        acting = "claim" in kinds or player == "generator" or not claims.penalties
        return fits and acting and kinds <= {"losses", "claim"} and all(a.left <= a.error for a in seen.accounts)

    def _account(self, player: Player, seen: PlayerWindow, parameters: list[Tensor]) -> None:
        last = max((mark.at for mark in self.marks), default=-1)
        own = [mark.at for mark in self.marks if mark.player == player.name]
        start = [player.start_gradients.get(id(p)) for p in parameters] if not own and player.start_gradients else []
        kept = torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten()
                          for g, p in zip(start, parameters, strict=True)]) if start else None  # fmt: skip
        leaves, own_step = Leaves(parameters, kept), max(own, default=-1)

        critic, made = self.players["critic"], self.players["generator"].listener.calls

        def work() -> None:
            calls = judged(critic.listener.calls, made, None, self.marks)
            if player.name == "generator":
                found = generator_account(player.listener, calls, leaves, last, own_step)
            else:
                penalties = self.history.claims.penalties
                found = critic_account(player.listener, calls, made, leaves, last, own_step, penalties)
            if found is not None:
                seen.accounts.append(found)
                player.suspect |= found.unexplained > SAID and found.kind not in ("losses", "claim")

        try:
            self._quiet(work)
        except CannotReplayError as reason:
            seen.silent = str(reason)
        except (RuntimeError, NotImplementedError) as problem:
            seen.silent = f"{type(problem).__name__}: {str(problem).partition(chr(10))[0][:120]}"

    def _turned(self) -> None:
        """Note what the generator gets of a pass that both players share, while the critic is as it was then."""
        critic, made = self.players["critic"], self.players["generator"].listener.calls
        since = max((mark.at for mark in self.marks), default=-1)
        pending = [call for call in critic.listener.calls if call.at > since]
        if not any(c.attached for c in pending) or any(c.stepped(critic.module) for c in pending):
            return
        if BOTH not in classes([Judged(call) for call in pending], made, since).values():
            return
        found = judged(pending, made, None, self.marks)
        try:
            refuse_foreign_hooks(critic.module, computing=True)
            told: list[tuple[float, float] | None] = []
            self._quiet(lambda: told.append(turned(critic.module, found, made, since)))
            if told[0] is not None:
                self.window.numbers["turned"], self.window.numbers["turned_left"] = told[0]
        except (CannotReplayError, RuntimeError):
            return

    def _shares(self) -> None:
        """Note what share of the generator's gradient came through the critic, before either is changed."""
        critic, made = self.players["critic"].listener.calls, self.players["generator"].listener.calls
        since = max((mark.at for mark in self.marks), default=-1)
        found = judged([call for call in critic if call.at > since], made, None, self.marks)
        kinds = classes(found, made, since)
        if BOTH in kinds.values() or not any(one.call.attached for one in found):
            return
        entries = phases(found, made, [*self.marks, StepMark("generator", 2**62)])["generator"]
        self._quiet(lambda: self.reader.shares(self.window, of_generator(entries, kinds), since))

    def _quiet(self, work: Callable[[], None]) -> None:
        """Do something with the networks that the hooks must not take for training."""
        listeners = [player.listener for player in self.players.values()]
        for listener in listeners:
            listener.busy = True
        try:
            work()
        finally:
            for listener in listeners:
                listener.busy = False
