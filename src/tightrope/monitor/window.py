"""What a window saw, as plain numbers: the evidence that the rules read."""

from __future__ import annotations

from dataclasses import dataclass, field

from tightrope.monitor.ledger.parameters import Account
from tightrope.monitor.ledger.scores import Fit


@dataclass
class PlayerWindow:
    """One player in one window.

    Attributes:
        steps: Optimiser steps that touched it.
        fit: Which loss its scores saw, None where nothing could be said.
        accounts: How its gradient is explained, one per optimiser step.
        silent: Why there is no account, in words.
        no_gradient: Steps in which no parameter had a gradient.
        old_gradient: First steps whose gradient nothing had written to since the window began.
        zero_gradient: Steps in which all gradients were zero.
        finite: All gradients were finite.
        frozen: Parameters that did not require a gradient inside a step.
        parameters: Parameters in all.
        missing: Trainable parameters that no step of this window or an earlier one touched.
        moved: Relative movement of the parameters over the window.
        rate: Largest learning rate.
        decay: Largest weight decay.
        momentum: Largest first momentum.
        eval_calls: Its training calls made in eval mode, of a network for which that matters.
        calls: Training calls.
        stale_norms: Those in which a power iteration could not advance.
        downhill: Cosine of its last step and the way down its gradient, of sampled weights; None if unknown.
        lent: Of the critic, steps by an optimiser of both players after passes of the generator's loss alone.
        no_grad_calls: Of the critic, calls in its own phase under ``no_grad``.
    """

    steps: int = 0
    fit: Fit | None = None
    accounts: list[Account] = field(default_factory=list)
    silent: str = ""
    no_gradient: int = 0
    old_gradient: int = 0
    zero_gradient: int = 0
    finite: bool = True
    frozen: list[str] = field(default_factory=list)
    parameters: int = 0
    missing: list[str] = field(default_factory=list)
    moved: float = 0.0
    rate: float = 0.0
    decay: float = 0.0
    momentum: float = 0.0
    eval_calls: int = 0
    calls: int = 0
    stale_norms: int = 0
    lent: int = 0
    no_grad_calls: int = 0
    downhill: float | None = None


@dataclass
class Window:
    """One window.

    Attributes:
        step: Number of ``monitor.step`` calls at its end.
        generator: The generator.
        critic: The critic.
        numbers: Everything else, by name; what could not be measured is missing.
        words: What is not a number.
    """

    step: int
    generator: PlayerWindow = field(default_factory=PlayerWindow)
    critic: PlayerWindow = field(default_factory=PlayerWindow)
    numbers: dict[str, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def player(self, name: str) -> PlayerWindow:
        """One of the two."""
        return self.generator if name == "generator" else self.critic
