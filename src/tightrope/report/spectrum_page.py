"""Layer spectra as a page: one chart per layer, kernel values beside those of the layer as a linear map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from torch import Tensor

from tightrope._plumbing.errors import UserError
from tightrope.drawing.axes import Floats
from tightrope.drawing.numbers import number
from tightrope.report.curves import not_understood, spectrum_charts
from tightrope.report.render import Cell, render, table
from tightrope.spectra import LayerSpectra, LayerSpectrum

_SAID = (
    "Solid: singular values of each layer as a linear map at the input size it meets, largest first. Dashed: those "
    "of its reshaped kernel. Where they differ, a constraint on the kernel bounds something else than the layer."
)


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
    layers = []
    for s in spectra:
        solid, dashed = (s.kernel, None) if s.operator is None else (s.operator.values, s.kernel)
        layers.append((f"{s.name or '(itself)'} {s.kind}", _floats(solid), _floats(dashed)))
    said = _SAID + not_understood(spectra.not_understood if isinstance(spectra, LayerSpectra) else {})
    return render("spectra.html", title=title, charts=spectrum_charts(layers, said), table=_table(spectra))


def _floats(values: Tensor | None) -> Floats:
    return np.zeros(0) if values is None else values.detach().double().cpu().numpy().reshape(-1)


def _table(spectra: Sequence[LayerSpectrum]) -> Markup:
    head = ("Layer", "Input", "Kernel norm", "Operator norm", "Stable rank", "Effective rank", "Condition number",
            "How found", "Constraint")  # fmt: skip
    rows: list[tuple[str, list[Cell]]] = []
    for s in spectra:
        way = s.operator.way if s.operator is not None else s.norm.way
        norm = [number(s.norm.value), f"{number(s.norm.lower, 5)} to {number(s.norm.upper, 5)}"]
        ranks = (f"{number(s.stable_rank)} of {s.kernel.numel()}", number(s.effective_rank))
        cells = ["\u00d7".join(map(str, s.input_shape)), number(s.kernel_norm), norm, *ranks,
                 number(s.condition_number), way, s.constraint or "none"]  # fmt: skip
        rows.append((s.name or "(itself)", cells))
    return table("cards", head, rows, code=True)
