from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tightrope.data import open_data
from tightrope.evaluation import evaluate
from tightrope.evaluation.features import inception
from tightrope.evaluation.features.inception import inception_network, is_reference, pooled, resize_like_tensorflow1
from tightrope.evaluation.features.pretrained import folded

# Every convolution: outputs, inputs, kernel height, kernel width.
SHAPES: dict[str, tuple[int, int, int, int]] = {
    "Conv2d_1a_3x3": (32, 3, 3, 3),
    "Conv2d_2a_3x3": (32, 32, 3, 3),
    "Conv2d_2b_3x3": (64, 32, 3, 3),
    "Conv2d_3b_1x1": (80, 64, 1, 1),
    "Conv2d_4a_3x3": (192, 80, 3, 3),
    "Mixed_6a.branch3x3": (384, 288, 3, 3),
    "Mixed_6a.branch3x3dbl_1": (64, 288, 1, 1),
    "Mixed_6a.branch3x3dbl_2": (96, 64, 3, 3),
    "Mixed_6a.branch3x3dbl_3": (96, 96, 3, 3),
    "Mixed_7a.branch3x3_1": (192, 768, 1, 1),
    "Mixed_7a.branch3x3_2": (320, 192, 3, 3),
    "Mixed_7a.branch7x7x3_1": (192, 768, 1, 1),
    "Mixed_7a.branch7x7x3_2": (192, 192, 1, 7),
    "Mixed_7a.branch7x7x3_3": (192, 192, 7, 1),
    "Mixed_7a.branch7x7x3_4": (192, 192, 3, 3),
}
for block, before, pool in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
    SHAPES |= {
        f"Mixed_{block}.branch1x1": (64, before, 1, 1),
        f"Mixed_{block}.branch5x5_1": (48, before, 1, 1),
        f"Mixed_{block}.branch5x5_2": (64, 48, 5, 5),
        f"Mixed_{block}.branch3x3dbl_1": (64, before, 1, 1),
        f"Mixed_{block}.branch3x3dbl_2": (96, 64, 3, 3),
        f"Mixed_{block}.branch3x3dbl_3": (96, 96, 3, 3),
        f"Mixed_{block}.branch_pool": (pool, before, 1, 1),
    }
for block, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
    SHAPES |= {
        f"Mixed_{block}.branch1x1": (192, 768, 1, 1),
        f"Mixed_{block}.branch7x7_1": (inner, 768, 1, 1),
        f"Mixed_{block}.branch7x7_2": (inner, inner, 1, 7),
        f"Mixed_{block}.branch7x7_3": (192, inner, 7, 1),
        f"Mixed_{block}.branch7x7dbl_1": (inner, 768, 1, 1),
        f"Mixed_{block}.branch7x7dbl_2": (inner, inner, 7, 1),
        f"Mixed_{block}.branch7x7dbl_3": (inner, inner, 1, 7),
        f"Mixed_{block}.branch7x7dbl_4": (inner, inner, 7, 1),
        f"Mixed_{block}.branch7x7dbl_5": (192, inner, 1, 7),
        f"Mixed_{block}.branch_pool": (192, 768, 1, 1),
    }
for block, before in (("7b", 1280), ("7c", 2048)):
    SHAPES |= {
        f"Mixed_{block}.branch1x1": (320, before, 1, 1),
        f"Mixed_{block}.branch3x3_1": (384, before, 1, 1),
        f"Mixed_{block}.branch3x3_2a": (384, 384, 1, 3),
        f"Mixed_{block}.branch3x3_2b": (384, 384, 3, 1),
        f"Mixed_{block}.branch3x3dbl_1": (448, before, 1, 1),
        f"Mixed_{block}.branch3x3dbl_2": (384, 448, 3, 3),
        f"Mixed_{block}.branch3x3dbl_3a": (384, 384, 1, 3),
        f"Mixed_{block}.branch3x3dbl_3b": (384, 384, 3, 1),
        f"Mixed_{block}.branch_pool": (192, before, 1, 1),
    }


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    tensors = {"fc.weight": torch.randn(1008, 2048, generator=rng) / 45, "fc.bias": torch.ones(1008)}
    for name, (after, before, height, width) in SHAPES.items():
        scale = (2 / (before * height * width)) ** 0.5
        tensors[f"{name}.conv.weight"] = scale * torch.randn(after, before, height, width, generator=rng)
        tensors[f"{name}.bn.weight"] = 0.8 + 0.6 * torch.rand(after, generator=rng)
        tensors[f"{name}.bn.bias"] = 0.1 * torch.randn(after, generator=rng)
        tensors[f"{name}.bn.running_mean"] = 0.1 * torch.randn(after, generator=rng)
        tensors[f"{name}.bn.running_var"] = 0.5 + torch.rand(after, generator=rng)
    return tensors


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TIGHTROPE_CACHE", str(tmp_path / "cache"))


# The graph as text, one line per node: result = operation(arguments). An independent way of writing the same network.
PROGRAM = """
a = Conv2d_1a_3x3/2 x | b = Conv2d_2a_3x3 a | c = Conv2d_2b_3x3+ b | d = max2 c
e = Conv2d_3b_1x1 d | f = Conv2d_4a_3x3 e | y = max2 f
@5b @5c @5d
p = Mixed_6a.branch3x3/2 y
q = Mixed_6a.branch3x3dbl_1 y | r = Mixed_6a.branch3x3dbl_2+ q | s = Mixed_6a.branch3x3dbl_3/2 r
t = max2 y | y = cat p s t
@6b @6c @6d @6e
p = Mixed_7a.branch3x3_1 y | q = Mixed_7a.branch3x3_2/2 p
r = Mixed_7a.branch7x7x3_1 y | s = Mixed_7a.branch7x7x3_2+ r | t = Mixed_7a.branch7x7x3_3+ s
u = Mixed_7a.branch7x7x3_4/2 t | v = max2 y | y = cat q u v
@7b @7c
"""
BLOCKS = {
    "5": "p = B.branch1x1 y | q = B.branch5x5_1 y | q = B.branch5x5_2+ q | r = B.branch3x3dbl_1 y | "
    "r = B.branch3x3dbl_2+ r | r = B.branch3x3dbl_3+ r | s = mean1 y | s = B.branch_pool s | y = cat p q r s",
    "6": "p = B.branch1x1 y | q = B.branch7x7_1 y | q = B.branch7x7_2+ q | q = B.branch7x7_3+ q | "
    "r = B.branch7x7dbl_1 y | r = B.branch7x7dbl_2+ r | r = B.branch7x7dbl_3+ r | r = B.branch7x7dbl_4+ r | "
    "r = B.branch7x7dbl_5+ r | s = mean1 y | s = B.branch_pool s | y = cat p q r s",
    "7": "p = B.branch1x1 y | q = B.branch3x3_1 y | t = B.branch3x3_2a+ q | u = B.branch3x3_2b+ q | "
    "r = B.branch3x3dbl_1 y | r = B.branch3x3dbl_2+ r | v = B.branch3x3dbl_3a+ r | w = B.branch3x3dbl_3b+ r | "
    "s = POOL y | s = B.branch_pool s | y = cat p t u v w s",
}


def slow_inception(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    text = PROGRAM
    for block in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b", "7c"):
        body = BLOCKS[block[0]].replace("B.", f"Mixed_{block}.").replace("POOL", "mean1" if block == "7b" else "max1")
        text = text.replace(f"@{block}", f"{body} |")
    values = {"x": x.double()}
    for line in text.replace("\n", "|").split("|"):
        if not line.strip():
            continue
        target, expression = (part.strip() for part in line.split("="))
        operation, *names = expression.split()
        inputs = [values[name] for name in names]
        if operation == "cat":
            values[target] = torch.cat(inputs, dim=1)
        elif operation == "max2":
            values[target] = functional.max_pool2d(inputs[0], 3, 2)
        elif operation == "max1":
            values[target] = functional.max_pool2d(inputs[0], 3, 1, 1)
        elif operation == "mean1":
            ones = torch.ones_like(inputs[0][:1, :1])
            values[target] = functional.avg_pool2d(inputs[0], 3, 1, 1) / functional.avg_pool2d(ones, 3, 1, 1)
        else:
            name, stride, same = operation.split("/")[0].rstrip("+"), 2 if "/2" in operation else 1, "+" in operation
            kernel = weights[f"{name}.conv.weight"].double()
            padding = (kernel.shape[2] // 2, kernel.shape[3] // 2) if same else 0
            norm = [weights[f"{name}.bn.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias")]
            out = functional.conv2d(inputs[0], kernel, stride=stride, padding=padding)
            values[target] = functional.relu(functional.batch_norm(out, *norm, eps=1e-3))
    return values["y"].mean(dim=(2, 3))


def test_against_the_graph_written_out(weights):
    x = torch.rand(1, 3, 139, 107, generator=torch.Generator().manual_seed(1)) * 2 - 1
    double = {key: value.double() for key, value in weights.items()}
    units = {name: folded(double, f"{name}.conv", f"{name}.bn", eps=1e-3) for name in SHAPES}
    features = pooled(x.double(), units)
    assert features.shape == (1, 2048)
    torch.testing.assert_close(features, slow_inception(double, x), rtol=1e-9, atol=1e-9)
    assert features.std() > 1e-3


def test_preprocessing_and_the_head_without_bias(weights):
    network = inception_network(weights, "0" * 64)
    x = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(1)) * 2 - 1
    eight_bits = ((x + 1) * 127.5).round().expand(-1, 3, -1, -1)
    with torch.no_grad():
        features = network.features(x)
        expected = slow_inception(weights, (resize_like_tensorflow1(eight_bits, 299) - 128) / 128)
        torch.testing.assert_close(features.double(), expected, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(network.head(features), features @ weights["fc.weight"].T)


def test_resize_by_hand():
    """Output i reads the input at i * size / side, the last pixel repeated beyond the end."""
    row = torch.tensor([0.0, 10.0, 40.0]).view(1, 1, 1, 3).expand(1, 1, 3, 3)
    assert resize_like_tensorflow1(row, 6)[0, 0, 0].tolist() == [0.0, 5.0, 10.0, 25.0, 40.0, 40.0]
    assert resize_like_tensorflow1(row.transpose(2, 3), 6)[0, 0, :, 0].tolist() == [0.0, 5.0, 10.0, 25.0, 40.0, 40.0]
    even = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert resize_like_tensorflow1(even, 2)[0, 0, 0].tolist() == [0.0, 2.0]
    assert torch.equal(resize_like_tensorflow1(even, 4), even)


def test_only_the_published_file_is_accepted(weights, tmp_path):
    with pytest.raises(FileNotFoundError, match="download"):
        inception(tmp_path / "absent.pth")
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    torch.save({"fc.weight": weights["fc.weight"][:1]}, path)
    with pytest.raises(ValueError, match="SHA-256 that begins with 6726825d"):
        inception(path)
    with pytest.raises(ValueError, match=r"must hold 'fc.weight'"):
        inception_network({}, "6726825d")


def test_only_its_values_bear_the_published_names(weights):
    train, test = open_data("digits", split="train"), open_data("digits", split="test")
    genuine = dataclasses.replace(
        inception_network(weights, "6726825d" + "0" * 56),
        features=lambda x: x.flatten(1)[:, :4],
        head=lambda f: f,
        dimension=4,
    )
    assert is_reference(genuine)

    def sample(n: int, seed: int) -> Tensor:
        return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1

    metrics = ["frechet", "frechet_extrapolated", "kernel", "classifier_score"]
    for network, names in (
        (genuine, ["fid", "fid_infinity", "kid", "inception_score"]),
        (dataclasses.replace(genuine, digest="0" * 64), metrics),
        (dataclasses.replace(genuine, name="mine"), metrics),
    ):
        found = evaluate(sample, train, test, n=50, features=network, metrics=metrics)
        assert [measurement.name for measurement in found] == names
        assert [measurement.protocol.metric for measurement in found] == names
        # The published score is a mean over ten splits, any other one of all samples at once.
        splits = any("10 splits" in note for note in found[-1].notes)
        assert splits == (names != metrics) == (found[-1].interval is None)
