"""What the studies of stacked digits and of text count, against counting by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn

from tightrope import methods, training
from tightrope.studies import modern, text


def test_ngrams_are_counted_within_windows():
    rows = torch.tensor([[1, 2, 1, 2], [2, 1, 0, 26]])
    for n in (1, 2, 3):
        counted = Counter(tuple(row[k : k + n].tolist()) for row in rows for k in range(5 - n))
        shares = text.ngrams(rows, n)
        assert shares.shape == (27**n,) and float(shares.sum()) == pytest.approx(1)
        for gram, count in counted.items():
            place = sum(symbol * 27**k for k, symbol in enumerate(gram))
            assert float(shares[place]) == pytest.approx(count / counted.total())


def test_the_divergence_is_that_of_scipy():
    rng = torch.Generator().manual_seed(0)
    p, q = (torch.rand(30, generator=rng, dtype=torch.float64) for _ in range(2))
    p[:7], q[5:12] = 0, 0
    p, q = p / p.sum(), q / q.sum()
    assert text.jensen_shannon(p, q) == pytest.approx(jensenshannon(p.numpy(), q.numpy()) ** 2, abs=1e-12)
    assert text.jensen_shannon(p, p) == pytest.approx(0, abs=1e-15)


def test_the_corpus_is_letters_and_single_spaces_and_its_parts_are_apart():
    learnt, held = text.corpus("pydoc")
    assert int(learnt.min()) == 0 and int(learnt.max()) == 26 and len(learnt) > 8 * len(held) > 100_000
    assert not bool(((learnt[:-1] == 0) & (learnt[1:] == 0)).any())
    rows = text.windows(held, 50, 16, torch.Generator().manual_seed(0))
    floor = text.jensen_shannon(text.ngrams(rows, 1), text.ngrams(learnt[None], 1))
    shuffled = rows.flatten()[torch.randperm(800, generator=torch.Generator().manual_seed(0))].view(50, 16)
    whole = text.ngrams(held[None], 2)
    assert floor < 0.02
    assert text.jensen_shannon(text.ngrams(rows, 2), whole) < text.jensen_shannon(text.ngrams(shuffled, 2), whole)


def test_networks_for_text_fit_each_other_and_give_probabilities():
    G, D = text.networks(8, 16, 4, torch.Generator().manual_seed(0))
    samples = G(torch.randn(3, 8))
    assert samples.shape == (3, 27, 16) and torch.allclose(samples.sum(1), torch.ones(3, 16))
    training.start(methods.build("wgan_gp"), G, D, seed=0, latent=8, shape=(27, 16))


class Copier(nn.Module):
    """Gives back stacks of real digits, of ``kinds`` modes alone."""

    def __init__(self, digits: torch.Tensor, kinds: int) -> None:
        super().__init__()
        self.digits, self.kinds = digits, kinds

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        first = self.digits[(z[:, 0].abs() * 1000).long() % self.kinds]
        return torch.cat([first, self.digits[(z[:, 1].abs() * 1000).long() % 10]], 1)


@pytest.mark.parametrize("kinds", [1, 5, 10])
def test_modes_of_stacked_digits_are_counted(kinds: int):
    x, labels = modern.digits("digits", 8, "train")
    examples = torch.stack([x[(labels == k).nonzero()[0, 0]] for k in range(10)])
    found = modern.count_modes(Copier(examples, kinds), 2, "digits", 8, 4000, 2, torch.Generator().manual_seed(0))
    assert found["accuracy"] > 0.95 and found["sure"] > 0.5
    assert found["modes"] == 10 * kinds
    assert found["kl"] == pytest.approx(torch.tensor(10 / kinds).log().item(), abs=0.05)


def test_stacks_are_independent_digits():
    x, _ = modern.digits("digits", 8, "train")
    batch = next(modern.stacks(x, 3, 16, torch.Generator().manual_seed(0)))
    assert batch.shape == (16, 3, 8, 8)
    flat = x.flatten(1)
    assert all(bool((flat == one.flatten()).all(1).any()) for one in batch.flatten(0, 1))
