"""Memory that a step frees stays with the process: the next step does not fault it in again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from torch import nn
from tightrope import methods, training

def dense(*sizes):
    layers = [part for a, b in zip(sizes, sizes[1:]) for part in (nn.Linear(a, b), nn.LeakyReLU())]
    return nn.Sequential(*layers[:-1])

torch.set_num_threads(1)
method = methods.build("wgan_gp")
run = training.start(method, dense(4, 64, 2), dense(2, 128, 128, 1), seed=0, latent=4, shape=(2,))
real = torch.randn(4096, 2)
for step in range(20):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    training.critic_step(run, real)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory in ways of their own")
def test_a_step_does_not_fault_in_again_what_the_step_before_it_freed():
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 5000  # ten steps took 40,000, a step's 16 MB page by page
