"""A trained generator in forms that need no tightrope: torch's exported programs, ONNX, safetensors with a card."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tightrope import constraints
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import make_folder, saving, write_atomically
from tightrope._plumbing.version import __version__
from tightrope.methods.citations import bibtex
from tightrope.runs import rows as records
from tightrope.runs.config import network_mark
from tightrope.runs.folder import MODEL
from tightrope.runs.serialize import write_tensors
from tightrope.runs.trained import TrainedGenerator

OPSET = 18
"""Version of the ONNX operators that are used."""


def export(generator: TrainedGenerator, out: Path, *, evaluations: Path | None = None) -> Path:
    """Write a generator with plain weights, in eval mode, in the form that the ending asks for.

    Samples come out in training scale: images from -1 to 1. The batch may have any size.

    Args:
        generator: From ``tightrope.load``.
        out: A .pt2 for ``torch.export.load``, an .onnx (opset 18; needs ``pip install 'tightrope[onnx]'``), or a new
            folder for ``model.safetensors``, ``config.json`` and a model card ``README.md``.
        evaluations: A run folder, whose last measurements go into the card.

    Returns:
        ``out``.

    Raises:
        UserError: Another ending, a folder that holds something, a package that is missing, or a generator that torch
            cannot export.
    """
    plain = constraints.export(generator.generator).eval().cpu()
    if out.suffix.lower() == ".pt2":
        with saving(out):  # torch 2.6 writes files of its own
            program = _program(plain, _inputs(generator))
        whole = io.BytesIO()  # torch ends the process where the disk is full
        torch.export.save(program, whole)
        return write_atomically(out, whole.getvalue())
    if out.suffix.lower() == ".onnx":
        return _onnx(plain, generator, out)
    if out.suffix:
        raise UserError(f"Expected --out as a .pt2, an .onnx or a new folder, got {out}; change its ending.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"Expected a new or empty folder, got {out}; choose another --out.")
    make_folder(out)
    words = {"tightrope": __version__, "network": network_mark(generator.config)}
    words |= {} if generator.step is None else {"step": str(generator.step)}
    write_tensors(out / MODEL, plain.state_dict(), words)
    whole_config = json.dumps(generator.config.to_json(), indent=2) + "\n"
    write_atomically(out / "config.json", whole_config.encode())
    write_atomically(out / "README.md", card(generator, evaluations).encode())
    return out


def _inputs(generator: TrainedGenerator) -> dict[str, Tensor]:
    """Two latents, and two classes of a conditional generator."""
    z = torch.randn(2, generator.latent, generator=torch.Generator().manual_seed(0))
    return {"z": z, "labels": torch.tensor([0, 0])} if generator.classes else {"z": z}


def _program(network: nn.Module, inputs: dict[str, Tensor]) -> Any:
    """The network as torch's exported program, for batches of any size."""
    free = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return torch.export.export(network, tuple(inputs.values()), dynamic_shapes=free, strict=False)
    except OSError:
        raise
    except Exception as error:  # whatever the tracer meets in a network of the caller's own
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(
            f"Expected a generator that torch.export can follow, got one that it cannot ({reason}); write it without "
            "Python decisions by values or sizes of the batch, or export a folder of weights."
        ) from error


def _onnx(network: nn.Module, generator: TrainedGenerator, out: Path) -> Path:
    if importlib.util.find_spec("onnxscript") is None:
        raise UserError("Expected the package onnxscript, got none; run pip install 'tightrope[onnx]'.")
    inputs = _inputs(generator)
    with saving(out):
        program = _program(network, inputs)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _errors_only("torch.onnx"):
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            program,
            f=path,
            input_names=list(inputs),
            output_names=["samples"],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            dynamo=True,
        )
        return write_atomically(out, path.read_bytes())


@contextlib.contextmanager
def _errors_only(name: str) -> Iterator[None]:
    """A logger without its warnings: torch's exporter has one for every operation of torchvision."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def card(generator: TrainedGenerator, run: Path | None = None) -> str:
    """A model card in Markdown: what it is, what it was trained on, what was measured, how to load it."""
    config = generator.config
    size = " x ".join(map(str, generator.shape))
    lines = [
        "---",
        "library_name: tightrope",
        "tags: [gan, unconditional-image-generation]" if not generator.classes else "tags: [gan]",
        "---",
        "",
        f"# {config.method.name} on {config.data.name}",
        "",
        f"A generator of {config.data.kind} ({size}), trained by `{config.method.name}` with the network "
        f"`{config.network.name}` on {config.data.n:,} samples. Written by tightrope {__version__}.",
        "",
        "| | |",
        "|---|---|",
        f"| latents | {generator.latent}, standard normal |",
        f"| classes | {', '.join(generator.classes) or 'none'} |",
        f"| weights | averaged{'' if generator.step is None else f', of step {generator.step}'} |",
        "| output | training scale; images from -1 to 1 |",
        f"| command | `{config.command or 'called from Python'}` |",
    ]
    measured = [] if run is None else records.decode(run / records.EVALUATIONS, records.Evaluation)[0]
    rows = [row for row in measured if row.measurements]
    last = next((row for row in reversed(rows) if row.step == generator.step), rows[-1] if rows else None)
    if last is not None:
        lines += [
            "",
            f"Measured at step {last.step}{'' if last.step == generator.step else ', which these weights are not of'}:",
            "",
            "| metric | value | 95 % interval | floor |",
            "|---|---|---|---|",
        ]
        for m in last.measurements:
            interval = "" if m.interval is None else f"{m.interval[0]:.4g} to {m.interval[1]:.4g}"
            lines.append(f"| {m.name} | {m.value:.4g} | {interval} | {'' if m.floor is None else f'{m.floor:.4g}'} |")
    lines += [
        "",
        "The weights are in `model.safetensors`, the whole configuration in `config.json`:",
        "",
        "```python",
        "import tightrope",
        "",
        'generator = tightrope.load("path/to/this/folder")  # or "hub:owner/name"',
        f"samples = generator.sample(16, seed=0)  # {[16, *generator.shape]}",
        "```",
        "",
    ]
    return "\n".join([*lines, "```bibtex", bibtex(config.method.name), "```", ""])
