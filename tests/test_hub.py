"""Generators to the hub and back, and films, against stand-ins for the packages that do it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import tightrope
from tightrope import UserError, runs
from tightrope.cli import main
from tightrope.drawing.samples import write_animation


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = runs.resolve("digits", network="mlp", width=8, depth=1, latent=4, steps=2, limit=200, conditional=True,
                          evaluate_n=60, batch_size=8, conditioning_every=0, threads=1)  # fmt: skip
    folder = tmp_path_factory.mktemp("hub") / "run"
    runs.begin(folder, config, quiet=True)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A hub in a folder, which notes how it was called."""
    store, calls = tmp_path / "hub", []

    class HfApi:
        def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
            assert exist_ok and repo_type == "model"
            calls.append(("create", repo_id, private))
            (store / repo_id).mkdir(parents=True, exist_ok=True)

        def upload_folder(self, *, folder_path: str, repo_id: str, repo_type: str) -> None:
            calls.append(("upload", repo_id))
            shutil.copytree(folder_path, store / repo_id, dirs_exist_ok=True)

    def snapshot_download(repo_id: str, *, repo_type: str, allow_patterns: list[str]) -> str:
        if not (store / repo_id).is_dir():
            raise OSError(f"404 {repo_id}\nsecond line")
        copy = tmp_path / "cache" / repo_id
        copy.mkdir(parents=True, exist_ok=True)
        for name in allow_patterns:
            shutil.copy(store / repo_id / name, copy / name)
        return str(copy)

    module = ModuleType("huggingface_hub")
    module.HfApi, module.snapshot_download = HfApi, snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return SimpleNamespace(store=store, calls=calls)


def test_a_generator_goes_to_the_hub_and_comes_back_the_same(run: Path, hub: SimpleNamespace, tmp_path: Path, capsys):
    assert runs.push_to_hub(run, "me/discs") == "hub:me/discs"
    assert hub.calls == [("create", "me/discs", True), ("upload", "me/discs")]
    held = {path.name for path in (hub.store / "me" / "discs").iterdir()}
    assert held == {"model.safetensors", "config.json", "README.md"}
    again = tightrope.load("hub:me/discs")
    assert again.classes == tightrope.load(run).classes
    assert torch.equal(again.sample(5, seed=3), tightrope.load(run).sample(5, seed=3))
    out = tmp_path / "grid.png"
    assert main(["sample", "hub:me/discs", "--n", "4", "--label", "7", "--out", str(out)]) == 0 and out.exists()
    assert main(["export", str(run), "--push", "me/other"]) == 0
    assert "hub:me/other" in capsys.readouterr().out and hub.calls[-1] == ("upload", "me/other")


def test_an_exported_folder_is_loaded_like_a_run(run: Path, tmp_path: Path):
    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 2, 3])
    assert torch.equal(tightrope.load(tmp_path / "model")(z, labels), tightrope.load(run)(z, labels))


@pytest.mark.parametrize("name", ["discs", "me/", "me/a/b", "../me/a", "me/../x", "-/", "me/a b"])
def test_malformed_repositories_are_refused_before_anything_is_sent(run: Path, hub: SimpleNamespace, name: str):
    with pytest.raises(UserError, match="owner/name"):
        runs.push_to_hub(run, name)
    with pytest.raises(UserError, match="owner/name"):
        tightrope.load(f"hub:{name}")
    assert not hub.calls


def test_what_the_hub_refuses_is_one_sentence(run: Path, hub: SimpleNamespace, monkeypatch, capsys):
    with pytest.raises(UserError, match=r"Downloading hub:me/none failed \(404 me/none\); check"):
        tightrope.load("hub:me/none")

    def refuse(self: Any, **words: Any) -> None:
        raise PermissionError("401 not yours")

    monkeypatch.setattr(sys.modules["huggingface_hub"].HfApi, "upload_folder", refuse)
    assert main(["export", str(run), "--push", "you/discs"]) == 2
    assert "Uploading to hub:you/discs failed (401 not yours)" in capsys.readouterr().err


def test_without_the_package_one_sentence_says_how_to_get_it(run: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: runs.push_to_hub(run, "me/discs"), lambda: tightrope.load("hub:me/discs")):
        with pytest.raises(UserError, match=r"pip install 'tightrope\[hub\]'"):
            call()


# --- films


def frames(count: int, side: int = 9, channels: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (4, channels, side, side), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_gets_every_frame_with_even_sides(tmp_path: Path, monkeypatch, channels: int):
    got: list[Any] = []

    def write_frames(path: str, size: tuple[int, int], *, fps: float, macro_block_size: int) -> Any:
        got.append((size, fps))
        count = 0
        while True:
            try:
                frame = yield
            except GeneratorExit:
                Path(path).write_bytes(b"film of %d" % count)
                return
            assert len(frame) == 3 * size[0] * size[1]
            count += 1

    module = ModuleType("imageio_ffmpeg")
    module.write_frames = write_frames  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", module)
    path = write_animation(tmp_path / "walk.mp4", frames(5, channels=channels), seconds=1 / 24)
    assert path.read_bytes() == b"film of 5"
    ((wide, high), fps) = got[0]
    assert wide % 2 == high % 2 == 0 and fps == pytest.approx(24)
    with pytest.raises(UserError, match="at least one frame"):
        write_animation(tmp_path / "none.mp4", [], seconds=1)


def test_a_film_without_the_package_is_one_sentence_before_anything_is_drawn(run: Path, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr(runs.TrainedGenerator, "decode", lambda *_: pytest.fail("drawn"))
    assert main(["sample", str(run), "--walk", "2", "--out", str(tmp_path / "walk.mp4")]) == 2
    assert "imageio-ffmpeg" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_real_film_where_the_package_is_installed(tmp_path: Path):
    pytest.importorskip("imageio_ffmpeg")
    film = write_animation(tmp_path / "walk.mp4", frames(6, side=48), seconds=1 / 12).read_bytes()
    assert film[4:8] == b"ftyp"
