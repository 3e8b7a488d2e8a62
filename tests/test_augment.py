"""Augmentations against torch's own resampling, loops over pixels, and what the papers say they leave alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from tightrope import UserError
from tightrope.perturbations import AdaptiveStrength, Augmentation, ada_augment, colour, diff_augment, geometry
from tightrope.schedules import Linear


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, channels: int = 3, height: int = 8, width: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(n, channels, height, width, generator=rng(seed), dtype=torch.float64) * 2 - 1


def maps(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).view(-1, 2, 3)


# ---------------------------------------------------------------------------------------------------------- geometry


def test_resampling_agrees_with_torch_on_random_affine_maps():
    x = images(16, height=7, width=10)
    found = geometry.placed(x, 0.9, "bg", rng(3))
    theta = found.clone()
    half = torch.tensor([(10 - 1) / 2, (7 - 1) / 2], dtype=torch.float64)
    theta[:, :, :2] *= half / half[:, None]  # pixels about the centre -> torch's units, -1 to 1 at the pixels' centres
    theta[:, :, 2] /= half
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=True)
    wanted = grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    assert torch.allclose(geometry.resampled(x, found), wanted, atol=2e-5)


def test_flips_turns_and_shifts_are_exact():
    x = images(1, height=6, width=6)
    assert torch.equal(geometry.resampled(x, maps((1, 0, 0, 0, 1, 0))), x)
    assert torch.equal(geometry.resampled(x, maps((-1, 0, 0, 0, 1, 0))), x.flip(3))
    cos, sin = math.cos(math.pi / 2), math.sin(math.pi / 2)
    turned = geometry.resampled(x, maps((cos, -sin, 0, sin, cos, 0)))
    assert torch.equal(turned, x.rot90(1, (2, 3))) or torch.equal(turned, x.rot90(-1, (2, 3)))
    shifted = geometry.resampled(x, maps((1, 0, 2, 0, 1, -1)))  # from two to the right and one above
    assert torch.equal(shifted[..., 1:, :4], x[..., :5, 2:])
    assert torch.equal(shifted[..., 0, :4], x[..., 1, 2:])  # mirrored in the outermost row
    assert torch.allclose(geometry.resampled(x, maps((1, 0, 0.5, 0, 1, 0)))[..., :5], (x[..., :5] + x[..., 1:]) / 2)


def test_whole_moves_only_rearrange_pixels():
    x = images(64, 1, 8, 8)
    moved = ada_augment(x, p=1.0, kinds="b", rng=rng())
    for before, after in zip(x, moved, strict=True):
        assert set(after.flatten().tolist()) <= set(before.flatten().tolist())
    assert sum(torch.equal(a, b) for a, b in zip(x, moved, strict=True)) < 8


def test_each_transformation_comes_with_probability_p():
    n = 4000  # bounds are 4 standard errors
    x = torch.zeros(n, 1, 4, 64)
    for p in (0.2, 0.7):
        whole = geometry.placed(x, p, "b", rng(1))
        turned = whole[:, 0, 1].abs() > 0.5  # a quarter turn either way: 2 of 4 angles
        assert abs(turned.double().mean().item() - p / 2) < 4 * math.sqrt(0.25 / n)
        mirrored = whole[:, :, :2].det() < 0
        assert abs(mirrored.double().mean().item() - p / 2) < 4 * math.sqrt(0.25 / n)
        general = geometry.placed(x, p, "g", rng(2))[:, :, :2]
        scaled = (general.det() - 1).abs() > 1e-9
        assert abs(scaled.double().mean().item() - p) < 4 * math.sqrt(0.25 / n)
        logs = -general.det()[scaled].log2() / 2  # log2 of the size: normal of standard deviation 0.2
        assert abs(logs.mean().item()) < 4 * 0.2 / math.sqrt(len(logs))
        assert abs(logs.std().item() - 0.2) < 4 * 0.2 / math.sqrt(2 * len(logs))
        slanted = general[:, 0, 1].abs() > 1e-9  # by the turn before or after the stretch: either with probability p
        assert abs(slanted.double().mean().item() - p) < 4 * math.sqrt(0.25 / n)
        colours = colour.mixed(torch.zeros(n, 3, 2, 2), p, rng(3))
        brighter = colours[:, :, 3].mean(1).abs() > 1e-9
        assert abs(brighter.double().mean().item() - p) < 4 * math.sqrt(0.25 / n)


def test_augmentations_are_differentiable_twice_and_stay_differentiable_in_the_samples():
    x = images(2, 3, 4, 5).requires_grad_()
    for function in (
        lambda x: ada_augment(x, p=0.9, rng=rng(5)),
        lambda x: diff_augment(x, rng=rng(5)),
    ):
        assert torch.autograd.gradcheck(function, (x,))
        assert torch.autograd.gradgradcheck(lambda x, function=function: function(x) ** 2, (x,))


# ------------------------------------------------------------------------------------------------------------ colours


def test_hue_and_saturation_leave_grey_alone_and_luma_flips_it():
    grey = torch.ones(500, 3, 1, 1, dtype=torch.float64)
    changed = colour.mixed(grey, 1.0, rng(4))
    linear = changed[:, :, :3] @ grey.view(500, 3, 1)
    assert torch.allclose(linear, linear.mean(1, keepdim=True).expand_as(linear), atol=1e-12)  # grey stays grey
    assert 150 < int((linear[:, 0, 0] < 0).sum()) < 350  # flipped in half of the samples
    size = changed[:, :, :3].det().abs()
    assert bool((size > 0).all())


def test_a_grey_image_changes_as_the_colour_image_with_three_equal_channels():
    one = images(9, 1)
    moved = colour.mixed(one, 1.0, rng(7))
    three = colour.recoloured(one.expand(-1, 3, -1, -1), moved).mean(1, keepdim=True)
    assert torch.allclose(colour.recoloured(one, moved), three, atol=1e-12)


def test_the_contrast_follows_the_brightness():
    n = 4000
    maps = colour.mixed(torch.zeros(n, 1, 2, 2), 1.0, rng(8)).mean(1)  # of grey images: a gain and an offset
    gain, offset = maps[:, :3].sum(1), maps[:, 3]
    assert abs((offset / gain).std().item() - 0.2) < 4 * 0.2 / math.sqrt(2 * n)
    assert abs(gain.abs().log2().std().item() - 0.5) < 4 * 0.5 / math.sqrt(2 * n)


def test_the_hue_is_a_rotation_about_grey():
    angle = torch.tensor([0.0, 1.0, -2.5], dtype=torch.float64)
    turn = colour._hue(angle)
    eye = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    assert torch.allclose(turn @ turn.mT, eye, atol=1e-12) and torch.allclose(turn.det(), torch.ones(3).double())
    assert torch.allclose(turn.diagonal(dim1=1, dim2=2).sum(1), 1 + 2 * angle.cos())


# -------------------------------------------------------------------------------------------------------- DiffAugment


def test_translation_is_a_shift_of_at_most_an_eighth_into_zeros():
    x = images(30, 1, 8, 16) + 3  # no zeros of its own
    moved = diff_augment(x, policy="translation", rng=rng(1))
    shifts = set()
    for before, after in zip(x, moved, strict=True):
        fits = []
        for down in range(-2, 3):
            for across in range(-3, 4):
                wanted = torch.zeros_like(before)
                for i in range(8):
                    for j in range(16):
                        if 0 <= i + down < 8 and 0 <= j + across < 16:
                            wanted[:, i, j] = before[:, i + down, j + across]
                fits += [(down, across)] if torch.equal(wanted, after) else []
        assert len(fits) == 1
        shifts.update(fits)
    assert {down for down, _ in shifts} == {-1, 0, 1} and {across for _, across in shifts} == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10)])
def test_cutout_is_a_box_of_half_the_sides(height: int, width: int):
    x = images(60, 2, height, width) + 3
    sides = int(height / 2 + 0.5), int(width / 2 + 0.5)
    whole = 0
    for image, kept in zip(diff_augment(x, policy="cutout", rng=rng(2)), x, strict=True):
        hole = image[0] == 0
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        assert int(hole.sum()) == len(rows) * len(columns) > 0  # one box
        assert len(rows) <= sides[0] and len(columns) <= sides[1]
        whole += (len(rows), len(columns)) == sides
        assert torch.equal(image[:, ~hole], kept[:, ~hole])
    assert whole > 5


def test_colours_change_by_the_published_ranges():
    x = images(300)
    draws = rng(6)
    bright, saturated, contrast = (torch.rand(300, 1, 1, 1, generator=draws).double() for _ in range(3))
    wanted = x + bright - 0.5
    grey = wanted.mean(1, keepdim=True)
    wanted = grey + (wanted - grey) * saturated * 2
    level = wanted.mean((1, 2, 3), keepdim=True)
    wanted = level + (wanted - level) * (contrast + 0.5)
    assert torch.allclose(diff_augment(x, policy="color", rng=rng(6)), wanted, atol=1e-12)


# ----------------------------------------------------------------------------------------------------------- strength


def test_the_strength_follows_the_overfitting():
    strength = AdaptiveStrength(target=0.6, images=1000, every=2)
    strength.observe(torch.ones(10))
    assert strength.p == 0.0 and math.isnan(strength.overfitting)
    strength.observe(torch.cat([torch.ones(8), -torch.ones(2)]))
    assert strength.overfitting == pytest.approx(0.8) and strength.p == pytest.approx(0.02)
    for _ in range(2):
        strength.observe([torch.ones(10), -torch.ones(10, 3)])  # two critics: 1 of 4 scores above 0
    assert strength.overfitting == pytest.approx(-0.5) and strength.p == 0.0  # never below
    other = AdaptiveStrength(target=0.6, images=1000, every=2)
    other.load_state_dict({**strength.state_dict(), "overfitting": 0.3})
    assert other.overfitting == 0.3 and other.p == strength.p


def test_an_augmentation_as_a_method_carries_it():
    x = images(4)
    assert torch.equal(Augmentation("diff")(x, images_seen=0, rng=rng(1)), diff_augment(x, rng=rng(1)))
    ramp = Augmentation("ada", p=Linear(0.0, 0.5, images=100))
    assert ramp(x, images_seen=0) is x and ramp.adaptive is None
    assert torch.equal(ramp(x, images_seen=100, rng=rng(1)), ada_augment(x, p=0.5, rng=rng(1)))
    adaptive = Augmentation("ada")
    mine = adaptive.fresh()
    mine.adaptive.observe(torch.ones(3))
    assert adaptive.adaptive.seen == 0 and mine.adaptive.seen == 3


def test_the_global_stream_is_left_alone_and_a_seed_repeats():
    x, state = images(4), torch.get_rng_state()
    for call in (lambda s: ada_augment(x, p=0.8, rng=rng(s)), lambda s: diff_augment(x, rng=rng(s))):
        assert torch.equal(call(1), call(1)) and not torch.equal(call(1), call(2))
    assert torch.equal(state, torch.get_rng_state())


def test_wrong_use_is_refused():
    x = images(2)
    for call in (
        lambda: ada_augment(x, p=1.5),
        lambda: ada_augment(x, p=math.nan),
        lambda: ada_augment(x, p=0.5, kinds="x"),
        lambda: ada_augment(images(2, 4), p=0.5),
        lambda: ada_augment(x[0], p=0.5),
        lambda: ada_augment(x.long(), p=0.5),
        lambda: diff_augment(x.flatten(1)),
        lambda: diff_augment(x, policy="colour"),
        lambda: diff_augment(x, policy=""),
        lambda: diff_augment(x, rng=3),
        lambda: AdaptiveStrength(target=2.0),
        lambda: AdaptiveStrength(every=0),
        lambda: AdaptiveStrength().load_state_dict({}),
        lambda: Augmentation("both"),
    ):
        with pytest.raises(UserError, match=r"[Ee]xpected"):
            call()
