"""Whatever holds the network, checks find it: a penalty per sample on batch normalisation is refused every way."""

from __future__ import annotations

import collections
import contextvars
import functools
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tightrope import penalties
from tightrope._plumbing.errors import UserError
from tightrope.autodiff.view import modules_of

CRITIC = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
OTHER = nn.Linear(4, 1)
X = torch.randn(16, 4)


class Slots:
    __slots__ = ("critic", "other")

    def __init__(self, critic: nn.Module, other: nn.Module = OTHER) -> None:
        self.critic, self.other = critic, other

    def __call__(self, x: Tensor) -> Tensor:
        return self.critic(x)

    def score(self, x: Tensor) -> Tensor:
        return self.critic(x)


class Derived(Slots):
    __slots__ = ()

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x)


@dataclass(slots=True)
class Record:
    network: nn.Module

    def __call__(self, x: Tensor) -> Tensor:
        return self.network(x)


class Helped:
    """Its call reaches the network by a method and a property of its own."""

    def __init__(self, critic: nn.Module, other: nn.Module = OTHER) -> None:
        self._critic, self.other = critic, other

    @property
    def net(self) -> nn.Module:
        return self._critic

    def run(self, x: Tensor) -> Tensor:
        return self.net(x)

    def __call__(self, x: Tensor) -> Tensor:
        return self.run(x)


class MadeUp:
    """Its attributes are no attributes."""

    def __init__(self, critic: nn.Module) -> None:
        self.__dict__["_held"] = {"critic": critic}

    def __getattr__(self, name: str) -> Any:
        return self._held[name]

    def __call__(self, x: Tensor) -> Tensor:
        return self.critic(x)


VARIABLE: contextvars.ContextVar[nn.Module] = contextvars.ContextVar("critic")
VARIABLE.set(CRITIC)
QUEUE, PROXY = collections.deque([CRITIC]), types.MappingProxyType({"critic": CRITIC})
REFERENCE, CHAIN = weakref.ref(CRITIC), collections.ChainMap({"critic": CRITIC})
WEAK: Any = weakref.WeakValueDictionary(critic=CRITIC)

HELPED = Helped(CRITIC)

HOLDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "lru_cache": functools.lru_cache(lambda x: CRITIC(x)),
    "staticmethod": staticmethod(CRITIC.forward),
    "slots": Slots(CRITIC),
    "method of slots": Slots(CRITIC).score,
    "derived": Derived(CRITIC),
    "record": Record(CRITIC),
    "helped": Helped(CRITIC),
    "method": Helped(CRITIC).run,
    "lambda of a method": lambda x: HELPED.run(x),
    "made up": MadeUp(CRITIC),
    "reference": lambda x: REFERENCE()(x),  # type: ignore[misc]
    "queue": lambda x: QUEUE[0](x),
    "proxy": lambda x: PROXY["critic"](x),
    "chain": lambda x: CHAIN["critic"](x),
    "weak values": lambda x: WEAK["critic"](x),
    "variable": lambda x: VARIABLE.get()(x),
}


@pytest.mark.parametrize("way", HOLDERS)
def test_the_network_is_found(way: str) -> None:
    with pytest.raises(UserError, match="batch normalisation in training mode couples the samples"):
        penalties.gradient_penalty(HOLDERS[way], X, X + 1)
    assert modules_of(HOLDERS[way]) == (CRITIC,), "and nothing that the call does not reach"


def test_values_that_hold_nothing() -> None:
    for thing in (3, 2.5, b"a", None, "text", X, torch, int, object(), [], {}, collections.deque(), weakref.ref(Slots)):
        assert modules_of(thing) == ()
