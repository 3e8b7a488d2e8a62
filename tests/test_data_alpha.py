"""Opacity kept on request: read, resized, trained on, and written again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tightrope import UserError, runs
from tightrope.cli import main
from tightrope.data import open_data
from tightrope.data.images import with_channels
from tightrope.drawing.samples import _opaque, thumbnails, write_animation, write_grid
from tightrope.report import write_report


def sprites(folder: Path, count: int = 12, side: int = 16) -> Path:
    """A disc on nothing, whose transparent pixels hide colours; one image without opacity, one grey."""
    folder.mkdir()
    y, x = np.mgrid[:side, :side]
    for index in range(count):
        inside = (x - side / 2) ** 2 + (y - side / 2) ** 2 < (3 + index % 4) ** 2
        pixels = np.zeros((side, side, 4), np.uint8)
        pixels[..., 0], pixels[..., 2], pixels[..., 3] = 10 * index, 90, np.where(inside, 255, 0)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    Image.new("RGB", (side, side), (1, 2, 3)).save(folder / "opaque.png")
    Image.new("L", (side, side), 77).save(folder / "grey.png")
    return folder


def test_opacity_is_a_fourth_channel_and_hidden_colours_are_white(tmp_path: Path):
    source = sprites(tmp_path / "sprites")
    dataset = open_data(source, channels=4, progress=False)
    assert dataset.shape == (4, 16, 16) and not any("white" in note for note in dataset.notes)
    values = torch.cat([dataset.values, open_data(source, channels=4, split="test", progress=False).values])
    gone, there = values[:, 3] == 0, values[:, 3] == 255
    assert bool((gone | there).all()) and bool(gone.any())
    assert bool((values.permute(0, 2, 3, 1)[gone][:, :3] == 255).all())
    whole = values[there.flatten(1).all(1)]
    assert sorted(tuple(image[:, 0, 0].tolist()) for image in whole) == [(1, 2, 3, 255), (77, 77, 77, 255)]
    plain = open_data(source, progress=False)
    assert plain.shape[0] == 3 and plain.fingerprint != dataset.fingerprint
    assert any("placed on white" in note for note in plain.notes)


def test_resizing_does_not_mix_in_the_colour_of_what_is_not_there(tmp_path: Path):
    """Black that is invisible beside red that is not: red stays red, whatever its opacity becomes."""
    (tmp_path / "two").mkdir()
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 32:] = (200, 0, 0, 255)
    for name in "abc":
        Image.fromarray(pixels).save(tmp_path / "two" / f"{name}.png")
    values = open_data(tmp_path / "two", channels=4, resolution=16, progress=False).values[0].int()
    seen = values[3] > 40
    assert bool((values[0][seen] >= 195).all()) and bool((values[1][seen] <= 12).all())


def test_channels_from_fewer():
    grey = np.full((2, 3, 1), 9, np.uint8)
    assert with_channels(grey, 4)[0, 0].tolist() == [9, 9, 9, 255]
    assert with_channels(np.full((2, 3, 3), 9, np.uint8), 4)[1, 2].tolist() == [9, 9, 9, 255]


@pytest.mark.slow
def test_a_run_of_sprites_gives_sprites(tmp_path: Path, capsys):
    source, run = sprites(tmp_path / "sprites", count=24), tmp_path / "run"
    short = ["--keep-alpha", "--network", "dcgan", "--width", "4", "--batch-size", "4", "--latent", "4", "--steps", "2"]
    short += ["--threads", "1", "--evaluate-every", "0"]
    assert main(["train", str(source), *short, "--conditioning-every", "0", "--out", str(run), "--quiet"]) == 0
    assert runs.read_config(run).data.channels == 4 and runs.load(run).sample(2).shape == (2, 4, 16, 16)
    assert main(["sample", str(run), "--n", "3", "--out", str(tmp_path / "one")]) == 0
    with Image.open(next((tmp_path / "one").iterdir())) as image:
        assert image.mode == "RGBA" and image.size == (16, 16)
    with Image.open(run / "samples" / "real.png") as image:
        assert image.mode == "RGBA"
    page = write_report(run).read_text(encoding="utf-8")
    assert page.count("data:image/png") >= 3 and "could not be embedded" not in page
    assert "data:image/png" in runs.load(run)._repr_html_()


def test_pictures_that_move_and_stand(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 255, (5, 4, 8, 8), dtype=np.uint8)
    with Image.open(write_grid(tmp_path / "grid.png", images, scale=1)) as grid:
        assert grid.mode == "RGBA" and np.asarray(grid)[0, 0].tolist() == [128, 128, 128, 255]
        assert np.asarray(grid)[2:10, 2:10].transpose(2, 0, 1).tolist() == images[0].tolist()
    with Image.open(write_animation(tmp_path / "walk.webp", [images, images[::-1].copy()], seconds=0.1)) as moving:
        assert moving.n_frames == 2
    assert thumbnails(torch.zeros(2, 4, 8, 8)) and not thumbnails(torch.zeros(2, 5, 8, 8))
    half = np.array([[[0, 100, 255, 255], [0, 100, 255, 0], [0, 100, 255, 51]]], np.uint8)
    assert _opaque(half).tolist() == [[[0, 100, 255], [255, 255, 255], [204, 224, 255]]]


@pytest.mark.parametrize("given", [{"channels": 3}, {"augment": "diff"}, {"augment": "ada"}])
def test_what_does_not_go_with_opacity_is_refused(tmp_path: Path, given: dict[str, object]):
    with pytest.raises(UserError, match="--keep-alpha or"):
        runs.resolve(sprites(tmp_path / "sprites"), keep_alpha=True, steps=1, **given)


def test_arrays_of_four_channels_are_read_like_files(tmp_path: Path):
    """Random opacity too: an array and the files of the same images give the same pixels, kept or put on white."""
    pixels = np.random.default_rng(3).integers(0, 256, (12, 16, 16, 4), dtype=np.uint8)
    pixels[:, :4, :, 3] = 0
    (tmp_path / "d").mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "d" / f"{index:02d}.png")
    np.savez(tmp_path / "last.npz", x=pixels)
    np.savez(tmp_path / "first.npz", x=pixels.transpose(0, 3, 1, 2))
    for options in ({}, {"channels": 4}, {"channels": 1}, {"channels": 4, "resolution": 8}):
        expected = open_data(tmp_path / "d", progress=False, **options)
        for name in ("last", "first"):
            found = open_data(tmp_path / f"{name}.npz", progress=False, **options)
            assert torch.equal(found.values, expected.values)
            assert "red, green, blue and opacity" in found.notes[0]
    np.savez(tmp_path / "floats.npz", x=np.random.default_rng(3).normal(size=(12, 4, 16, 16)))
    assert open_data(tmp_path / "floats.npz", progress=False).kind == "signals"  # such as latents of other networks
