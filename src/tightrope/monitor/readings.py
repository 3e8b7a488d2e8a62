"""What is read at the end of a window: losses at the scores, data, latents, modes, averages, distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tightrope.autodiff import View, scores_of
from tightrope.monitor import bookkeeping
from tightrope.monitor.capture import UNKNOWN, Call, Event
from tightrope.monitor.cycle import Entries, by_unit, complete, phases, scored
from tightrope.monitor.derived import at_scores
from tightrope.monitor.held_out import read_held_out, read_nearest, read_units
from tightrope.monitor.history import History
from tightrope.monitor.ledger.parameters import Account, without_scale
from tightrope.monitor.ledger.replay import CannotReplayError, refuse_foreign_hooks
from tightrope.monitor.ledger.scores import Fit, fit
from tightrope.monitor.passes import BOTH, owners, spans, steps_next
from tightrope.monitor.places import BOTH_SIDES, where
from tightrope.monitor.players import Player
from tightrope.monitor.pools import Pools
from tightrope.monitor.reach import FREE, ends, widest
from tightrope.monitor.recent import Recent
from tightrope.monitor.roles import Judged, StepMark, judged, of_losses, probes
from tightrope.monitor.samples import Samples
from tightrope.monitor.shares import shares
from tightrope.monitor.window import Window


class Reader:
    """Reads windows of one training."""

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
        self.held_out = held_out
        self.pools = Pools()
        self.recent = Recent()
        self.samples = Samples(players, history, sample, ema)

    def read(self, window: Window, marks: Sequence[StepMark], real: Any, z: Any, labels: Any) -> None:
        """Fill a window."""
        generator, critic = self.players["generator"], self.players["critic"]
        real = real if isinstance(real, Tensor) else None
        found = judged(critic.listener.calls, generator.listener.calls, real, marks)
        turned = window.numbers.get("turned") if window.numbers.get("turned_left", 1.0) < 0.01 else None
        split = phases(found, generator.listener.calls, marks, turned)
        split["critic"] = complete(split["critic"], marks)
        critic_calls = [one.call for one, _ in split["critic"]]
        self._try("modes", lambda: self._modes(window))
        self._try("reach", lambda: self._reach(found))
        self._try("connection", lambda: self._connection(window, found, marks))
        self._try("gradients at the scores", lambda: self._heard(window, found, marks))
        self._try("losses", lambda: self._fits(window, found, split))
        self._try("penalty", lambda: self._points(window, found, real))
        self._try("coupling", lambda: self._coupling(window, found, split))
        self._try("shares", lambda: self.shares(window, split["generator"]))
        self._try("data", lambda: self.pools.read(window, found, real, z, labels, generator.listener.calls))
        self.samples.noise = self.pools.noise
        self._try("samples", lambda: self.samples.read(window, found, real))
        shown = [one.call.x for one in found if one.role == "real" and one.call.x is not None]
        self._try("latent directions", lambda: self.samples.directions(window, shown[-1] if shown else real))
        self._try(
            "rows",
            lambda: self.recent.take(found, [] if any(c.unit for c in critic_calls) else self.outputs(critic_calls)),
        )
        window.numbers["critic_calls"] = len(found)
        own = [one for one in found if one.role in ("real", "joint") and one.call.grad and not one.call.attached]
        window.numbers["critic_skipped"] = float(not window.critic.steps and bool(own))
        if (rows := self.held_out) is not None:
            passed = [one for one in (real, shown[-1] if shown else None) if one is not None]
            self._try("units of held-out rows", lambda: read_units(window, passed, rows))
        if rows is not None and window.numbers.get("shown_scaled") == 1.0:
            window.numbers["held_std"] = float(rows.float().std())
        if rows is not None and window.step >= 20:
            self._try("held-out rows", lambda: read_held_out(window, critic.network, critic.module, found, rows))
            drawn, self.samples.drawn = self.samples.drawn, None
            if drawn is not None and len(self.recent.real):
                self._try("nearest rows", lambda: read_nearest(window, drawn, self.recent.real.rows()[0], rows))

    def _try(self, part: str, work: Callable[[], None]) -> None:
        """Read a part; one that fails says so, is left from then on, and takes no other along."""
        if part in self.history.problems:
            return
        try:
            work()
        except Exception as problem:  # whatever a network, a function or rows of the user's may bring
            self.history.problems[part] = f"{type(problem).__name__}: {str(problem).partition(chr(10))[0][:200]}"

    def _modes(self, window: Window) -> None:
        for name, player in self.players.items():
            seen = window.player(name)
            bookkeeping.modes(player, seen, player.listener.calls)
            bookkeeping.movement(player, seen)
        bookkeeping.weights(self.players["critic"], window)
        constrained = self.history.statics.get("constrained") or {}
        spectral = [name for name, words in constrained.items() if "spectral" in words.lower()]
        if spectral and window.step >= 30:
            bookkeeping.normalised(self.players["critic"], spectral, window)

    def _reach(self, found: Sequence[Judged]) -> None:
        if len(self.history.ends) == 2:
            return
        calls = {"generator": self.players["generator"].listener.calls, "critic": [one.call for one in found]}
        for name, player in self.players.items():
            if name in self.history.ends or not calls[name]:
                continue
            try:
                refuse_foreign_hooks(player.module, computing=True)
                if name == "critic":
                    self._reach_of_scores(player, calls[name])
                elif (most := widest(ends(player, calls[name][0], layers=1))) is not None:
                    self.history.ends[name] = most
            except (CannotReplayError, RuntimeError):
                continue

    def _reach_of_scores(self, critic: Player, calls: Sequence[Call]) -> None:
        """Reach of each output that a loss went through; the critic's is that of the one with the fewest numbers."""
        scores = self.outputs([call for call in calls if any(call.events)])
        if self.history.statics.get("constrained"):
            self.history.statics["gain"] = bookkeeping.gain(critic, calls[0])
        self.history.reach = ends(critic, calls[0], scores or None)
        if self.history.reach:
            first = min(self.history.reach, key=lambda k: (calls[0].outputs[k].numel(), k))
            self.history.ends["critic"] = self.history.reach[first] if scores else widest(self.history.reach) or FREE

    def _connection(self, window: Window, found: Sequence[Judged], marks: Sequence[StepMark]) -> None:
        """Whether the generator's step saw anything that came through the critic; terms times 0 are nothing."""
        if not any(mark.player == "generator" for mark in marks):
            return
        made = self.players["generator"].listener.calls
        whose, together = owners(found, made, marks), spans(found, made, marks)

        def heard(call: Call) -> list[Event]:
            events = [e for arrived in call.events for e in arrived if whose(e) in ("generator", BOTH)]
            return [e for e in events if bool(e.value.any())]

        at_samples = [e for call in made for e in heard(call)]
        through = [one for one in found if one.call.attached and one.role != "points" and heard(one.call)]
        asked = [one for one in found if one.role in ("fake", "joint")]
        window.numbers["through_critic"] = len(through)
        window.numbers["at_samples"] = len(at_samples)
        window.numbers["real_made"] = float(any(one.role == "real" for one in through))
        deaf = 0 < window.generator.steps == window.generator.no_gradient and not at_samples
        asked += [one for one in found if deaf and one.role == "unknown"]  # changed on the way, and without a graph
        window.numbers["fakes_judged"] = sum("generator" in steps_next(one.call.at, together) for one in asked)
        if through and at_samples:
            window.numbers["gradient_at_samples"] = max(float(e.value.norm()) for e in at_samples)
        if "turned" in window.numbers:
            window.numbers["cut"] = float(window.numbers["turned"] == 0.0)

    def _heard(self, window: Window, found: Sequence[Judged], marks: Sequence[StepMark]) -> None:
        """Whether any gradient, be it 0, came to the critic's scores of both sides on their way to its step."""
        made = self.players["generator"].listener.calls
        whose, together = owners(found, made, marks), spans(found, made, marks)
        own = [one for one in found if "critic" in steps_next(one.call.at, together)]
        own = [one for one in own if one.role in ("real", "fake", "joint")]
        roles = {one.role for one in own}
        if window.critic.steps and ("joint" in roles or roles >= {"real", "fake"}):
            came = [e for one in own for arrived in one.call.events for e in of_losses(one.call, arrived)]
            window.numbers["critic_heard"] = float(any(whose(e) in ("critic", BOTH) for e in came))
            window.critic.no_grad_calls = 0 if any(one.call.grad for one in own) else len(own)

    def _fits(self, window: Window, found: Sequence[Judged], split: dict[str, Any]) -> None:
        confined = {k for k, reach in self.history.reach.items() if reach.kind == "probability"}
        for name, entries in split.items():
            fits = []
            for of_unit in by_unit(entries):  # of several critics in a list each has outputs of its own
                computed = at_scores(self.players["critic"].network, of_unit)
                outputs = self.outputs([one.call for one, _ in of_unit]) if computed is None else [0]
                fits += [self._fit(computed or of_unit, k, name, k in confined, found) for k in outputs]
            known = [one for one in fits if one is not None]
            if known:
                window.player(name).fit = max(known, key=_telling)
        if (seen := window.critic.fit) is not None:
            window.critic.accounts = [without_scale(a, seen.factor) for a in window.critic.accounts]
        self._deaf(window, split)
        self._scores(window, split["critic"])

    def _deaf(self, window: Window, split: dict[str, Entries]) -> None:
        """Of several critics in a View, the scores that only one of the players hears."""
        heard = {name: self.outputs([one.call for one, _ in entries]) for name, entries in split.items()}
        network = self.players["critic"].network
        if isinstance(network, View) and network.call is None and all(heard.values()):  # else it returns more at a time
            every = sorted({k for outputs in heard.values() for k in outputs})
            for name, outputs in heard.items():
                window.numbers[f"{name}_deaf"] = len(every) - len(outputs)
            window.numbers["several"] = len(every)

    def _fit(
        self, entries: Entries, output: int, name: str, probabilities: bool, found: Sequence[Judged]
    ) -> Fit | None:
        claim = self.history.claim
        if name == "generator" and claim is not None and claim.paired:
            entries = [(_unasked(one), events) for one, events in entries]
            entries = [*entries, *_compared(entries, found)]
        seen = scored(entries, output)
        if seen is None or not bool(torch.isfinite(torch.cat([seen.real, seen.fake])).all()):
            return None
        if name == "critic" and not len(seen.real):
            roles = [one.role for one in found]
            return Fit("no real half", explained=0.0) if "unknown" not in roles and len(seen.fake) > 1 else None
        if name == "critic" and not len(seen.fake):
            roles = [one.role for one in found]
            return Fit("no fake half", explained=0.0) if "unknown" not in roles and len(seen.real) > 1 else None
        if not len(seen.fake):
            return None
        return fit(seen, self.history.claim, name, probabilities=probabilities)

    def outputs(self, calls: Sequence[Call]) -> list[int]:
        """Which of the tensors returned are scores: those that a View picks, else those that a loss went through."""
        if not calls:
            return []
        network = self.players["critic"].network
        number = min(len(call.outputs) for call in calls)
        heard = [k for k in range(number) if any(call.events[k] for call in calls)]
        heard = [k for k in heard if all(call.ends[k] for call in calls)] or heard
        if isinstance(network, View) and network.scores is not None and calls[0].outputs:
            try:
                outputs: Any = calls[0].outputs
                flat = outputs if len(outputs) > 1 else outputs[0]
                picked = scores_of(network.scores(flat if calls[0].nest is None else calls[0].nest))
                chosen = [k for k, o in enumerate(outputs) if any(o is p for p in picked)]
                return [k for k in heard if k in chosen] or heard
            except Exception:  # a function of the user's that expects another nest
                return heard
        if len(heard) > 1:
            return [k for k in heard if calls[0].outputs[k].numel() <= 4 * len(calls[0].outputs[k])] or heard
        return heard

    def _scores(self, window: Window, entries: Entries) -> None:
        entries = next(iter(by_unit(entries)), [])
        computed = at_scores(self.players["critic"].network, entries)
        outputs = self.outputs([one.call for one, _ in entries]) if computed is None else [0]
        entries = computed or entries
        seen = scored(entries, outputs[0]) if outputs else None
        if seen is None or not len(seen.real) or not len(seen.fake):
            return
        r, f = seen.real[:256], seen.fake[:256]
        auc = (r[:, None] > f[None]).double().mean() + 0.5 * (r[:, None] == f[None]).double().mean()
        window.numbers |= {
            "auc": float(auc), "d_real": float(r.mean()), "d_fake": float(f.mean()),
            "score_spread": float(torch.cat([r, f]).std()), "score_low": float(torch.cat([r, f]).min()),
            "score_high": float(torch.cat([r, f]).max()),
            "scores_zero": float((torch.cat([r, f]) == 0).double().mean()),
        }  # fmt: skip

    def _points(self, window: Window, found: Sequence[Judged], real: Tensor | None) -> None:
        points = [one for one in found if one.call.leaf or one.call.attached]
        asked = [one for one in points if any(probes(arrived) for arrived in one.call.events)]
        window.numbers["points"] = len(asked)
        made = self.players["generator"].listener.calls
        places = {one.call.at: where(one, found, real, made) for one in asked}
        if not asked:  # taken inside of a function transform, of which the batch is known that fits
            places = {one.call.at: one.role for one in found if one.role in ("real", "fake")}
        window.critic.accounts = [replace(a, place=_placed(a, places)) for a in window.critic.accounts]
        if asked:
            window.words["place"] = places[asked[0].call.at]
            graphs = [e.graph for one in asked for arrived in one.call.events for e in probes(arrived)]
            window.numbers["points_with_graph"] = float(any(graphs))

    def _coupling(self, window: Window, found: Sequence[Judged], split: dict[str, Any]) -> None:
        """Joint batches in the critic's phase, and whether the generator's phase is composed alike."""
        sides = ("real", "fake", "joint")  # not a penalty's points, which may lie near real rows
        own = [one.role == "joint" for one, _ in split["critic"] if one.role in sides and not one.call.leaf]
        other = [one.role == "joint" for one, _ in split["generator"] if one.role in sides]
        if own:
            window.numbers["joint"] = float(all(own))
            window.numbers["joint_differs"] = float(bool(other) and any(own) != any(other))

    def shares(self, window: Window, entries: Entries, after: int | None = None) -> None:
        """How much of the gradient at the samples came through the critic, while it is as it was in its calls."""
        if "cut" in window.numbers or not self._share_due() or not entries:
            return
        critic, made = self.players["critic"], self.players["generator"].listener.calls
        since = min(e.at for _, events in entries for part in events for e in part) - 1 if after is None else after
        window.numbers |= shares(critic.module, entries, made, self.outputs, since)

    def _share_due(self) -> bool:
        known = [value for _, value in self.history.series("other_share")]
        return len(known) < 3 or max(known[:3]) > 0.01 or len(self.history.windows) % 4 == 0


def _placed(one: Account, places: dict[int, str]) -> str:
    """Where the points of an account lie; of several batches of them that of all, if it is real and generated rows."""
    sides = {places.get(at, "") for at in one.beside}
    return BOTH_SIDES if sides == {"real", "fake"} else places.get(one.at, "")


def _telling(one: Fit) -> tuple[int, float]:
    """Which of several outputs' losses is reported: a known other one, the claim, what is unknown (classes, say)."""
    return 0 if one.kind in ("none", "unknown") else 1 if one.kind == "claim" else 2, one.residual


def _compared(entries: Entries, found: Sequence[Judged]) -> Entries:
    """The last call on real samples before the generator's loss, where that loss uses its scores without a gradient.

    Rows that are drawn for the generator's turn alone are nowhere passed: there they are what else the critic is shown
    with the weights that it has in that turn.
    """
    if not entries or any(one.role == "real" for one, _ in entries):
        return []
    after = max(e.at for _, events in entries for part in events for e in part)
    own = entries[-1][0].call
    real = [one for one in found if one.role == "real" and one.call.at < after]
    turn = [
        one for one in found
        if one.role in ("real", "unknown") and not (one.call.attached or one.call.leaf) and one.call.at < after
        and one.call.weights == own.weights != UNKNOWN and _shape(one.call) == _shape(own)
    ]  # fmt: skip
    chosen = replace(turn[-1], role="real") if turn else real[-1] if real else None
    return [] if chosen is None else [(chosen, [[] for _ in chosen.call.outputs])]


def _shape(call: Call) -> tuple[int, ...] | None:
    return None if call.x is None else tuple(call.x.shape[1:])


def _unasked(one: Judged) -> Judged:
    """What the generator's loss compares its samples with, where no row tells: real rows of that turn's own."""
    plain = one.role == "unknown" and not (one.call.attached or one.call.leaf)
    return replace(one, role="real") if plain else one
