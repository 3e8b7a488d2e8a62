"""Networks called with samples, and what torch says of samples that do not fit turned into a sentence."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from tightrope._plumbing.errors import UserError, UserTypeError

_UNFIT = re.compile(
    r"mat1 and mat2|m1 and m2|same dtype|same device|expected device|size of tensor|expected input|Expected \d"
    r"|positional argument|Given (groups|normalized)|should be the same|index out of range|both arguments to"
    r"|Kernel size can't|Output size is too small|zero batch or zero channel|sizes should be greater than 0"
    r"|must be Tensor|[Dd]imension out of range|too many indices|inconsistent tensor size|input\.size"
)


def called(network: Any, x: Tensor, *more: Any, who: str = "critic", what: str = "samples") -> Any:
    """``network(x, *more)``.

    Raises:
        UserTypeError: It is no network or function.
        UserError: It does not take samples of this shape, dtype or device, or takes more than samples.
    """
    if isinstance(network, type) or not callable(network):
        got = f"the class {network.__name__}" if isinstance(network, type) else f"a {type(network).__name__}"
        raise UserTypeError(f"Expected the {who} as a module or a function, got {got}; pass the built network itself.")
    if type(network).__name__ == "ExportedProgram":
        raise UserTypeError(f"Expected the {who} as a module, got an ExportedProgram; pass its .module().")
    try:
        return network(x, *more)
    except (RuntimeError, TypeError, IndexError) as problem:
        first = str(problem).splitlines()[0] if str(problem) else ""
        if isinstance(problem, UserError) or not _UNFIT.search(first):
            raise
        remedy = f"pass {what} as it was built for, and labels if it wants some"
        if "required positional argument" in first:
            remedy = f"say how it is called: View({who}, call=lambda {who}, x: {who}(x, ...)), or pass labels"
        raise UserError(
            f"The {who} does not take {what} of shape {list(x.shape)}, {x.dtype}, on {x.device.type} ({first}); "
            f"{remedy}."
        ) from problem
