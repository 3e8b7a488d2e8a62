"""``torch.compile`` of a whole step: right, or refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tightrope import UserError
from tightrope.methods import METHODS, build
from tightrope.training import Run, critic_step, joint_step, start


def begun(method: str) -> Run:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    return start(build(method), generator, critic, seed=0, latent=4, shape=(2,), batch_size=8)


def derived_twice(name: str) -> bool:
    method = build(name)
    return bool(method.penalties) or method.play.corrects


@pytest.mark.filterwarnings("ignore:Graph break due to unsupported builtin:UserWarning")  # torch 2.6, at the question
@pytest.mark.parametrize("name", [name for name in METHODS if derived_twice(name)])
def test_methods_that_differentiate_a_gradient_are_refused_by_name(name: str) -> None:
    run = begun(name)
    step = joint_step if run.method.simultaneous else critic_step
    before = [p.clone() for p in run.critic.parameters()]
    torch._dynamo.reset()
    with pytest.raises(UserError, match=f"method {name} as it is"):
        torch.compile(step, backend="eager")(run, torch.randn(8, 2))
    assert all(torch.equal(a, b) for a, b in zip(before, run.critic.parameters(), strict=True))
    step(run, torch.randn(8, 2))  # and works again outside


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # the tracer's
@pytest.mark.parametrize("name", ["dcgan", "sn_gan"])
def test_other_methods_give_the_same_numbers(name: str) -> None:
    compiled, plain, real = begun(name), begun(name), torch.randn(8, 2)
    torch._dynamo.reset()
    step = torch.compile(critic_step, backend="aot_eager")
    for _ in range(2):
        step(compiled, real)
        critic_step(plain, real)
    for a, b in zip(compiled.critic.parameters(), plain.critic.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    assert compiled.critic_steps == 2
