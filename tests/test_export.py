"""What ``tightrope export`` writes gives the generator's own samples, without tightrope."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pytest
import torch

from tightrope import UserError, load
from tightrope.cli import main
from tightrope.runs.export import export

TINY = ["--steps", "3", "--batch-size", "8", "--latent", "4", "--width", "4", "--log-every", "1", "--evaluate-every",
        "0", "--evaluate-n", "60", "--limit", "300", "--conditioning-every", "0", "--threads", "1",
        "--quiet"]  # fmt: skip


@pytest.fixture(scope="module", params=["unconditional", "conditional"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    more = ["--conditional"] if request.param == "conditional" else []
    words = ["train", "digits", "--network", "dcgan", "--method", "r1", "--out", str(folder), *TINY, *more]
    assert main(words) == 0
    return folder


def drawn(run: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    generator = load(run)
    z, labels = generator.drawn(5, seed=3)
    inputs = {"z": z} if labels is None else {"z": z, "labels": labels}
    return inputs, generator.decode(z, labels)


def test_a_program_of_torch(run, tmp_path):
    assert main(["export", str(run), "--out", str(tmp_path / "g.pt2")]) == 0
    inputs, samples = drawn(run)
    module = torch.export.load(tmp_path / "g.pt2").module()
    assert torch.allclose(module(*inputs.values()), samples, atol=1e-6)


def test_onnx_says_nothing_of_what_others_have_not_installed(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from torch import nn

    from tightrope.runs import export as module

    heard = logging.getLogger("torch.onnx._internal.exporter._registration")

    def written(program, *, f, **options):
        heard.warning("torchvision is not installed. Skipping torchvision::nms")
        heard.error("something that matters")
        f.write_bytes(b"model")

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(module, "_program", lambda network, inputs: None)
    monkeypatch.setattr(module, "_inputs", lambda generator: {"z": None})
    monkeypatch.setattr(torch.onnx, "export", written)
    said: list[str] = []
    listener = logging.Handler()
    monkeypatch.setattr(listener, "emit", lambda record: said.append(record.getMessage()))
    heard.addHandler(listener)
    try:
        module._onnx(nn.Identity(), SimpleNamespace(), tmp_path / "x.onnx")
        heard.warning("as before")
    finally:
        heard.removeHandler(listener)
    assert said == ["something that matters", "as before"]
    assert (tmp_path / "x.onnx").read_bytes() == b"model"


def test_onnx_gives_the_same_images(run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", str(run), "--out", str(tmp_path / "g.onnx")]) == 0
    inputs, samples = drawn(run)
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == set(inputs)
    (found,) = session.run(["samples"], {name: value.numpy() for name, value in inputs.items()})
    assert abs(found - samples.numpy()).max() < 1e-4


def test_weights_with_a_card(run, tmp_path):
    from safetensors.torch import load_file

    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    weights = load_file(tmp_path / "model" / "model.safetensors")
    own = load(run).generator.state_dict()
    assert weights.keys() == own.keys() and all(torch.equal(weights[key], own[key]) for key in own)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "r1 on digits" in card and "1801.04406" in card and "Measured at step 3" in card
    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 2


def test_a_card_has_the_numbers_of_its_own_weights(run, tmp_path):
    longer = tmp_path / "longer"
    shutil.copytree(run, longer)
    assert main(["resume", str(longer), "--more-steps", "2", "--quiet"]) == 0
    for step, measured in (
        (3, "Measured at step 3:"),
        ("newest", "Measured at step 5:"),
        (4, "which these weights are"),
    ):
        out = tmp_path / f"of-{step}"
        assert main(["export", str(longer), "--step", str(step), "--out", str(out)]) == 0
        card = (out / "README.md").read_text()
        assert measured in card and f"of step {5 if step == 'newest' else step} |" in card
        shown = re.search(r"```python\n(.*?)```", card, re.DOTALL)
        scope: dict[str, torch.Tensor] = {}
        exec(shown[1].replace("path/to/this/folder", str(out)), scope)
        assert list(scope["samples"].shape) == [16, *load(run).shape]
        assert load(out).step == (5 if step == "newest" else step)


def test_wrong_wishes(run, tmp_path, capsys, monkeypatch):
    assert main(["export", str(run), "--out", str(tmp_path / "x.pth")]) == 2
    assert ".pt2, an .onnx or a new folder" in capsys.readouterr().err

    class Deciding(torch.nn.Linear):
        def forward(self, z, labels=None):
            return super().forward(z) if z.sum() > 0 else -super().forward(z)

    import dataclasses

    odd = dataclasses.replace(load(run), generator=Deciding(4, 2), classes=())
    with pytest.raises(UserError, match=r"torch.export can follow"):
        export(odd, tmp_path / "x.pt2")
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"tightrope\[onnx\]"):
        export(load(run), tmp_path / "x.onnx")
