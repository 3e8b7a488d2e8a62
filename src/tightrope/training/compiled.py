"""Steps inside ``torch.compile``: refused by name where the backend would fail, after a minute, with a riddle."""

from __future__ import annotations

import torch

from tightrope._plumbing.errors import UserError
from tightrope.training.run import Run

_dynamo = torch._C._dynamo.eval_frame


def refuse_compiled(run: Run) -> None:
    """Refuse a step inside ``torch.compile`` that differentiates a gradient.

    Raises:
        UserError: The method has a penalty or a correction, and the step is being compiled.
    """
    if (run.method.penalties or run.method.play.corrects) and _inside_compile():
        raise UserError(
            f"Expected a step of the method {run.method.name} as it is, got it inside torch.compile, which cannot take "
            "a step apart around the derivative of a gradient; compile what it minimises, "
            "methods.game.critic_objective, or train without compile, which is no slower on a CPU."
        )


def _inside_compile() -> bool:
    return bool(_dynamo.get_eval_frame_callback())


_inside_compile._torchdynamo_disable = True  # type: ignore[attr-defined]  # as torch.compiler.disable
if hasattr(_dynamo, "set_code_exec_strategy"):  # torch 2.7 and later: the frame is called, never compiled
    _skip = _dynamo._FrameExecStrategy(_dynamo._FrameAction.SKIP, _dynamo._FrameAction.DEFAULT)
    _dynamo.set_code_exec_strategy(_inside_compile.__code__, _skip)
