"""What the C library does with memory that a training step has freed."""

from __future__ import annotations

import functools

import torch

_LARGEST = 2**25 - 2**16  # glibc learns from blocks of up to 32 MiB


@functools.cache  # once per process
def keep_freed_memory() -> None:
    """Let glibc keep up to 64 MiB of what a step frees for the next step, as it does once a large tensor was freed.

    Until then it hands a few hundred kilobytes back at a time, and the next step takes the same pages from the system
    again, one fault for each: a fifth of the time of many small networks at once. Other C libraries learn nothing.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)  # never written to, so it takes no memory
