"""Layer spectra as a page: one chart per layer, kernel values beside those of the layer as a linear map."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.drawing.charts import Floats, spectrum_chart
from tightrope.drawing.numbers import number
from tightrope.drawing.scales import choose_scale
from tightrope.report.html import document
from tightrope.spectra import LayerSpectrum


def spectrum_page(spectra: Sequence[LayerSpectrum], title: str = "Layer spectra") -> str:
    """A complete HTML document with a chart and a row per layer.

    Args:
        spectra: As ``tightrope.spectra.layer_spectra`` returns them.
        title: Heading of the page.

    Raises:
        UserError: There is no layer.
    """
    if not spectra:
        raise UserError("Expected the spectrum of at least one layer, got none; pass what spectra.layer_spectra found.")
    operators = [_floats(s.operator.values if s.operator is not None else s.kernel) for s in spectra]
    kernels = [_floats(s.kernel) for s in spectra]
    scale = choose_scale(np.concatenate([*operators, *kernels]), log=True)
    charts = "".join(
        spectrum_chart(f"{s.name or '(itself)'} {s.kind}", operator, None if s.operator is None else kernel, scale)
        for s, operator, kernel in zip(spectra, operators, kernels, strict=True)
    )
    said = (
        "Solid: singular values of each layer as a linear map at the input size it meets, largest first. Dashed: those "
        "of its reshaped kernel. Where they differ, a constraint on the kernel bounds something else than the layer."
    )
    return document(
        title,
        f"<header><h1>{escape(title)}</h1></header><main><p>{said}</p>"
        f'<div class="smalls">{charts}</div>{_table(spectra)}</main>',
    )


def _floats(values: Tensor) -> Floats:
    return values.detach().double().cpu().numpy().reshape(-1)


def _table(spectra: Sequence[LayerSpectrum]) -> str:
    head = ("Layer", "Input", "Kernel norm", "Operator norm", "Stable rank", "Effective rank", "Condition number",
            "How found", "Constraint")  # fmt: skip
    body = ""
    for s in spectra:
        way = s.operator.way if s.operator is not None else s.norm.way
        ranks = (f"{number(s.stable_rank)} of {s.kernel.numel()}", number(s.effective_rank))
        between = f"<br><small>{number(s.norm.lower, 5)} to {number(s.norm.upper, 5)}</small>"
        cells = ("\u00d7".join(map(str, s.input_shape)), number(s.kernel_norm), number(s.norm.value) + between, *ranks,
                 number(s.condition_number), escape(way), escape(s.constraint or "none"))  # fmt: skip
        name = f'<th scope="row"><code>{escape(s.name or "(itself)")}</code></th>'
        body += f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    titles = "".join(f"<th>{title}</th>" for title in head)
    return f'<table class="cards"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
