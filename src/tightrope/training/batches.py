"""Batches as people have them: what a step accepts, made ready for the run, or refused in a sentence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tightrope._plumbing.checks import check_samples
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.walk import floating_type
from tightrope.autodiff.view import described
from tightrope.training.run import Run


def to_device(run: Run, real: Tensor | None, labels: Tensor | None) -> tuple[Any, Tensor | None]:
    """A batch and its labels where the run trains, in the critic's dtype and layout; labels only where they are used.

    Raises:
        UserError: Samples that are no tensor in floating point, or labels that are no classes ``[batch]``.
    """
    if real is not None:
        _check_samples(real, run.sample_shape)
        real = real.to(run.device, floating_type(run.critic), non_blocking=True)
        if run.channels_last and real.dim() == 4:
            real = real.contiguous(memory_format=torch.channels_last)
    classes = getattr(run.generator, "classes", 0) or getattr(run.critic, "classes", 0)
    if not classes:
        return real, None
    return real, _checked_labels(labels, classes, real).to(run.device, non_blocking=True)


def samples_and_labels(batch: object) -> tuple[Any, Any]:
    """Samples and labels of what a loader hands out: a tensor, or ``(samples, labels, ...)``.

    Raises:
        UserError: It is something else, such as a dict.
    """
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, (tuple, list)) and batch:
        return batch[0], batch[1] if len(batch) > 1 else None
    raise UserError(
        f"Expected batches as tensors or (samples, labels) tuples, got {described(batch)}; take the tensors out of it "
        "in the loader's collate_fn or in the data set."
    )


def _check_samples(real: object, shape: tuple[int, ...] | None) -> None:
    if not isinstance(real, Tensor):
        raise UserError(f"Expected samples as a tensor [batch, *shape], got {described(real)}; pass the tensor itself.")
    check_samples(real)
    if real.is_meta:
        raise UserError("Expected samples that hold values, got a tensor on the device meta; pass the data itself.")
    if shape is not None and tuple(real.shape[1:]) != shape:
        raise UserError(
            f"Expected samples of shape {shape}, as the generator makes them, got {tuple(real.shape[1:])}; resize or "
            "reshape the data, or change the generator's output."
        )


def require(real: object) -> None:
    """Refuse a missing batch.

    Raises:
        UserError: It is None.
    """
    if real is None:
        raise UserError("Expected real samples as a tensor [batch, *shape], got none; pass a batch of the data.")


def _checked_labels(labels: object, classes: int, real: Tensor | None) -> Tensor:
    """Labels as int64 ``[batch]`` in ``0 .. classes - 1``; values are looked at on the CPU alone."""
    if labels is None:
        raise UserError(
            f"Expected labels [batch], since the networks have {classes} classes, got none; hand out batches of "
            "(samples, labels)."
        )
    if not isinstance(labels, Tensor):
        raise UserError(f"Expected labels as a tensor [batch] of classes, got {described(labels)}; convert them.")
    if labels.dim() != 1:
        remedy = "labels.argmax(1)" if labels.dim() == 2 and labels.shape[1] > 1 else "labels.flatten()"
        raise UserError(f"Expected labels of shape [batch], one class each, got {list(labels.shape)}; use {remedy}.")
    if labels.is_floating_point() or labels.is_complex():
        raise UserError(f"Expected labels as whole numbers, got {labels.dtype}; use labels.long().")
    if real is not None and len(labels) != len(real):
        raise UserError(f"Expected one label per sample, got {len(labels)} for {len(real)}; pass those of this batch.")
    if labels.device.type == "cpu" and len(labels):
        low, high = (int(end) for end in torch.aminmax(labels.long()))
        if low < 0 or high >= classes:
            raise UserError(
                f"Expected labels from 0 to {classes - 1}, since the networks have {classes} classes, got {low} to "
                f"{high}; number the classes from 0."
            )
    return labels.long()
