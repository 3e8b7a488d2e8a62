"""What stands in the way of training runs side by side, in a sentence each."""

from __future__ import annotations

from tightrope._plumbing.errors import UserError

REMEDY = "pass how='processes', which trains each seed by itself"


class UnstackableError(UserError):
    """These runs cannot be trained side by side; each by itself they can."""


def explain(problem: RuntimeError) -> None:
    """Say in a sentence what ``torch.vmap`` met in a network.

    Raises:
        UnstackableError: It was one of the known obstacles.
    """
    text = str(problem)
    if "random" in text:
        what = "draws that come from the runs' own streams, got a network that draws by itself (dropout, noise layers)"
    elif "data-dependent" in text or ".item()" in text:
        what = "networks without Python decisions by values of tensors, got one (an if, float() or item() on a tensor)"
    elif "vmap" in text or "BatchedTensor" in text:
        what = f"networks that torch.vmap can map over seeds, got one that it refuses ({text.splitlines()[0][:120]})"
    else:
        return
    raise UnstackableError(f"Expected {what}; {REMEDY}.") from problem
