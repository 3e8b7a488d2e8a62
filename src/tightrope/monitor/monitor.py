"""The Monitor: three lines in anybody's loop, which tell why a training fails or that it does what is claimed."""

from __future__ import annotations

import random
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tightrope._plumbing.checks import check_number, check_whole
from tightrope._plumbing.errors import UserError, UserTypeError
from tightrope.autodiff.streams import streams_kept, streams_of
from tightrope.monitor.capture import Listener
from tightrope.monitor.claims import PLAYERS, claims_of, inner, optimizers_of
from tightrope.monitor.finding import Diagnosis
from tightrope.monitor.history import History
from tightrope.monitor.ledger.hypotheses import claim_of
from tightrope.monitor.observe import Observer
from tightrope.monitor.players import Player
from tightrope.monitor.responses import with_responses, worth_asking
from tightrope.monitor.rules import diagnosis
from tightrope.monitor.steps import StepListener

FIXED = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946, 17711, 28657)
"""Updates at which a window is opened whatever it costs: so few that their share of a long run goes to nothing."""
START = 2_000_000
"""Most parameters of both networks together of which the first values are kept, to play from the start again."""
ENTRY = 3e-6
"""Seconds that a hook takes before and after the clock is read; on the two cores of a small machine."""


class Monitor:
    """Watches a training from outside of its loop and names what is wrong with it.

    Hooks count calls and optimiser steps always; in *windows* (generator updates 1, 2, 3, 5, 8, 13, 21, 34, 55, 89 and
    so on, and about every ``every``-th while the budget allows it) they capture what the networks are called with and
    what the backward passes bring, and the gradient that is applied is compared with what the claimed loss and penalty
    give: in each window until three in a row agree, then in every fourth. Training is never disturbed:
    weights with and without a monitor are the same, bit for bit. The monitor raises nothing into the loop; if it fails
    it says so in its diagnosis and goes quiet.

    Example:
        >>> from tightrope.monitor import Monitor
        >>> generator, critic = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> both = torch.optim.SGD(generator.parameters(), 0.01), torch.optim.SGD(critic.parameters(), 0.01)
        >>> monitor = Monitor(generator, critic, loss="hinge", optimizers=both)
        >>> for _ in range(3):
        ...     real, z = torch.randn(16, 2), torch.randn(16, 4)
        ...     both[1].zero_grad()
        ...     loss = (1 - critic(real)).relu().mean() + (1 + critic(generator(z).detach())).relu().mean()
        ...     loss.backward()
        ...     both[1].step()
        ...     both[0].zero_grad()
        ...     critic(generator(z)).mean().backward()  # the sign is wrong
        ...     both[0].step()
        ...     monitor.step(real, z)
        >>> monitor.diagnose()[0].cause
        'generator_sign_flipped'

    Args:
        generator: The generator, a module or a :class:`~tightrope.View` of one.
        critic: The critic, likewise.
        loss: What is claimed: the name of a loss, a :class:`~tightrope.losses.Loss`, a function ``(d_real, d_fake) ->
            (critic loss, generator loss)``, or None.
        every: Period of windows in generator updates, after the dense first ones.
        penalty: What is claimed to act on the critic: ``("gp", 10.0)``, ``("gp1", 10.0)`` (one-sided), ``("r1", 1.0)``
            (with the half of the paper), ``("r2", 1.0)``, ``("clip", 0.01)``, ``"spectral_norm"``, or a list of these.
        optimizers: ``(generator's, critic's)``, one that steps both players, or a dict by player. They are found
            without it, but whose they should be is known only so.
        labels: Not used up to now except as the default of ``step``.
        sample: Draws samples as the user does: ``() -> [n, *shape]``. Called now and then, with random states restored,
            those of streams that it holds too (not what an iterator has drawn, such as a DataLoader's).
        ema: The averaged generator.
        held_out: Real rows that are not trained on, ``[n, *shape]``, to see the critic overfit.
        budget: Share of the training time that the monitor may take. Periodic windows are put off to keep it; those
            at the fixed updates above are not.

    Raises:
        UserError: A loss, penalty, optimiser or number that is none.
        UserTypeError: A network that is no module.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        loss: Any = None,
        every: int = 50,
        penalty: Any = None,
        *,
        optimizers: Any = None,
        labels: Tensor | None = None,
        sample: Callable[[], Any] | None = None,
        ema: nn.Module | None = None,
        held_out: Tensor | None = None,
        budget: float = 0.03,
    ) -> None:
        check_whole("every", every, 1, 50)
        check_number("budget", budget, 0.03)
        self.steps, self.every, self.budget = 0, every, budget
        self.failures: dict[str, str] = {}
        self._labels = labels
        self._clock = self._depth = 0
        self._spent, self._began = 0.0, 0.0
        self._stride = random.Random(0)
        self._closed = False
        self._stepped: dict[int, weakref.ref[torch.optim.Optimizer]] = {}
        claimed, said = optimizers_of(optimizers), (claim_of(loss), claims_of(penalty))
        self.players: dict[str, Player] = {}
        for name, network in zip(PLAYERS, (generator, critic), strict=True):
            module = inner(network)
            if module is None:
                raise UserTypeError(f"Expected the {name} as a module, got a {type(network).__name__}; pass it itself.")
            listener = Listener(name, module, self._tick, self._capture)
            self.players[name] = Player(name, network, module, listener, claimed.get(name, ()))
        own = [set(map(id, player.module.modules())) for player in self.players.values()]
        for player in self.players.values():
            player.listener.parts.foreign = own[0] & own[1]
        self.history = History(*said, told=bool(claimed))
        halves = () if said[0] is None else (said[0].critic, said[0].generator)
        self._asked = (sample, *halves, generator, critic, ema)
        self._streams: list[Any] = []
        self._observer = Observer(self.players, self.history, sample=sample, ema=ema, held_out=held_out)
        self.recent, self.held_out = self._observer.reader.recent, held_out
        self.start: dict[str, dict[str, Tensor]] = {}
        self._steps = StepListener(self._before, self._evaluated, self._after)
        self._guarded("start", self._observer.begin)
        self._guarded("first weights", self._keep_start)
        self._next = 1
        self._open_window()

    def step(self, real: Tensor | None, z: Any = None, labels: Tensor | None = None) -> None:
        """Call it once per generator update, at its end.

        Args:
            real: The real batch that the critic was trained on last ``[batch, *shape]``; None to use what the critic
                was shown.
            z: The latents ``[batch, ...]``; not needed where the generator is called as a module.
            labels: Classes ``[batch]``, of the real rows; those that samples were asked for are known as such.
        """
        if self._closed:
            return
        self.steps += 1
        self._guarded("step", self._ended, real, z, self._labels if labels is None else labels)

    def diagnose(self) -> Diagnosis:
        """What was found so far: printable, iterable, ``.healthy``, ``.to_json()``."""
        return with_responses(diagnosis(self.history, self.steps, self.failures), self.history)

    def troubled(self) -> bool:
        """Whether samples are far from the data and do not come closer, and nothing stronger explains it."""
        return worth_asking(self.history, diagnosis(self.history, self.steps, self.failures))

    def rehearse(self, player: str) -> None:
        """Count a player's optimisers as if they stepped now, which they do not; for checks before the training.

        Args:
            player: ``"generator"`` or ``"critic"``.

        Raises:
            UserError: It is neither.
        """
        self._check_player(player)
        for optimizer in self.players[player].claimed:
            self._guarded("optimizer", self._observer.rehearsed, optimizer, player)
            self._guarded("optimizer", self._observer.after_step, optimizer, self._tick(), player)
        if not self.players[player].claimed:
            self._guarded("optimizer", lambda: self._observer.mark(player, self._tick()))

    @property
    def cost(self) -> float:
        """Share of the time since the training's first call or step that the monitor took for itself."""
        spent = self._spent + sum(player.listener.spent for player in self.players.values())
        return spent / max(time.perf_counter() - self._began, 1e-9) if self._began else 0.0

    def close(self) -> None:
        """Take all hooks off; the diagnosis stays."""
        self._closed = True
        self._steps.close()
        for player in self.players.values():
            player.listener.close()
            player.listener.forget()

    def steppers(self, player: str) -> list[torch.optim.Optimizer]:
        """The optimisers of a player, as claimed, else those seen to step its parameters and no others.

        Args:
            player: ``"generator"`` or ``"critic"``.

        Raises:
            UserError: It is neither.
        """
        self._check_player(player)
        if self.players[player].claimed:
            return list(self.players[player].claimed)
        own = {id(p) for p in self.players[player].module.parameters()}
        seen = [held for ref in self._stepped.values() if (held := ref()) is not None]
        return [o for o in seen if all(id(p) in own for group in o.param_groups for p in group["params"])]

    def _check_player(self, player: str) -> None:
        if player not in self.players:
            raise UserError(f"Expected player as 'generator' or 'critic', got {player!r}; name one of the two.")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep_start(self) -> None:
        modules = {name: player.module for name, player in self.players.items()}
        if sum(p.numel() for module in modules.values() for p in module.parameters()) <= START:
            self.start = {
                name: {key: value.detach().clone() for key, value in module.state_dict().items()}
                for name, module in modules.items()
            }

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    def _ended(self, real: Any, z: Any, labels: Any) -> None:
        self._observer.count_cycle()
        if "optimizer" in self.failures or "capture" in self.failures:  # windows would tell tales
            self._observer.abandon()
            return
        if self._observer.open:
            self._observer.end(self.steps, real, z, labels)
            self._next = self._following()
        if self.steps + 1 >= self._next:
            if self.steps + 1 not in FIXED and self.cost > self.budget:
                self._next = self._at_latest(self.steps + 1 + max(1, self.every // 2))
            else:
                self._open_window()

    def _open_window(self) -> None:
        self._guarded("window", self._start_window)

    def _start_window(self) -> None:
        self._streams = streams_of(*self._asked)  # what is asked in a window may draw from them
        self._observer.start()

    def _following(self) -> int:
        return self._at_latest(self.steps + max(1, round(self.every * self._stride.uniform(0.7, 1.3))))

    def _at_latest(self, step: int) -> int:
        """A step, or the fixed window before it."""
        return min([step, *(fixed for fixed in FIXED if fixed > self.steps)])

    def _before(self, optimizer: torch.optim.Optimizer, closure: bool) -> None:
        if id(optimizer) not in self._stepped and not self._closed:
            self._stepped[id(optimizer)] = weakref.ref(optimizer)
        self._guarded("optimizer", self._observer.before_step, optimizer, closure)

    def _evaluated(self, optimizer: torch.optim.Optimizer) -> None:
        self._guarded("optimizer", self._observer.inspect, optimizer)

    def _after(self, optimizer: torch.optim.Optimizer) -> None:
        if self._observer.open:
            self._guarded("optimizer", self._observer.after_step, optimizer, self._tick())

    def _capture(self, work: Callable[[], None]) -> None:
        self._guarded("capture", work)

    def _guarded(self, part: str, work: Callable[..., None], *given: Any) -> None:
        """Do a part of the work; if it fails, say so and leave it from then on."""
        if self._closed or part in self.failures:
            return
        began, self._depth = time.perf_counter(), self._depth + 1
        if not self._began and part != "start":
            self._began = began
        try:
            if not self._observer.open:
                work(*given)
            else:
                with warnings.catch_warnings(), streams_kept(self._streams):
                    warnings.simplefilter("ignore")
                    work(*given)
        except Exception as problem:  # whatever it is, the training goes on
            self.failures[part] = f"{type(problem).__name__}: {str(problem).partition(chr(10))[0][:200]}"
            self._observer.abandon()
        finally:
            self._depth -= 1
            if not self._depth:
                self._spent += time.perf_counter() - began + ENTRY
