"""What ``tightrope export`` writes gives the generator's own samples, without tightrope."""

from __future__ import annotations

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
