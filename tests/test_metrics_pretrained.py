from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tightrope.evaluation.features import cifar_resnet, mobilenet_v2

DATA = Path(__file__).parents[2] / "shared" / "data"
WEIGHTS = DATA / "weights"


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Block(nn.Module):
    """The block of a CIFAR ResNet, batch normalisation unfolded."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.stride, self.added = stride, after - before

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:
            zeros = torch.zeros(len(x), self.added // 2, *out.shape[2:], dtype=x.dtype)
            x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1)
        return functional.relu(out + x)


class SlowResNet(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        for stage, (before, after) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
            first = Block(before, after, 1 if stage == 1 else 2)
            setattr(self, f"layer{stage}", nn.Sequential(first, *[Block(after, after, 1) for _ in range(blocks - 1)]))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3))


def randomised(module: nn.Module) -> nn.Module:
    rng = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=rng)
        elif value.is_floating_point() and value.ndim < 4:
            value.normal_(0.5, 0.3, generator=rng)
    return module.eval()


def test_resnet_against_modules(tmp_path):
    module = randomised(SlowResNet(2))
    path = tmp_path / "resnet14.safetensors"
    save_file(module.state_dict(), path)
    network = cifar_resnet(path)
    assert network.name == "CIFAR ResNet-14"
    assert network.dimension == 64
    x = uniform(3, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = module(((x + 1) / 2 - mean[:, None, None]) / std[:, None, None])
        features = network(x)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.logits(features), module.linear(expected), rtol=1e-4, atol=1e-4)
    assert network(uniform(2, 1, 40, 28)).shape == (2, 64)
    with pytest.raises(ValueError, match="1 or 3"):
        network(uniform(2, 2, 32, 32))


def random_mobilenet() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    tensors = {}

    def add(name: str, after: int, before: int, size: int) -> None:
        tensors[f"{name}.weight_q"] = torch.randint(-127, 128, (after, before, size, size), generator=rng).to(
            torch.int8
        )
        gain = (2 / (before * size * size)) ** 0.5 / 73
        tensors[f"{name}.weight_scale"] = gain * (0.5 + torch.rand(after, generator=rng))
        tensors[f"{name}.bias"] = 0.1 * torch.randn(after, generator=rng)

    add("features.0.conv", 32, 3, 3)
    widths, before, block = [(16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)], 32, 0
    for after, repeats in widths:
        for _ in range(repeats):
            block += 1
            wide = before if block == 1 else 6 * before
            parts = [] if block == 1 else [(wide, before, 1)]
            for index, part in enumerate([*parts, (wide, 1, 3), (after, wide, 1)]):
                add(f"features.{block}.body.{index}.conv", *part)
            before = after
    add("features.18.conv", 1280, 320, 1)
    add("classifier", 1001, 1280, 1)
    tensors["classifier.weight_q"] = tensors["classifier.weight_q"][:, :, 0, 0]
    return tensors


def slow_mobilenet(tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """Layer by layer in float64, with the padding of an even input written out: one pixel right and below."""

    def conv(name: str, x: Tensor, stride: int) -> Tensor:
        kernel = tensors[f"{name}.weight_q"].double() * tensors[f"{name}.weight_scale"].double()[:, None, None, None]
        if kernel.shape[2] == 3:
            x = functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        groups = x.shape[1] if kernel.shape[1] == 1 else 1
        return functional.conv2d(x, kernel, tensors[f"{name}.bias"].double(), stride, groups=groups)

    x = functional.relu6(conv("features.0.conv", x.double(), 2))
    for block in range(1, 18):
        name, stride, y = f"features.{block}.body", 2 if block in (2, 4, 7, 14) else 1, x
        if block > 1:
            y = functional.relu6(conv(f"{name}.0.conv", y, 1))
        y = functional.relu6(conv(f"{name}.{int(block > 1)}.conv", y, stride))
        y = conv(f"{name}.{1 + int(block > 1)}.conv", y, 1)
        x = x + y if x.shape == y.shape else y
    return functional.relu6(conv("features.18.conv", x, 1)).mean(dim=(2, 3))


def test_mobilenet_against_a_plain_forward_pass(tmp_path):
    tensors = random_mobilenet()
    path = tmp_path / "mobilenet.safetensors"
    save_file(tensors, path)
    network = mobilenet_v2(path)
    assert network.dimension == 1280
    x = uniform(2, 3, 224, 224)
    with torch.no_grad():
        features = network.features(x)
    torch.testing.assert_close(features.double(), slow_mobilenet(tensors, x), rtol=1e-3, atol=1e-4)
    assert features.std() > 1e-3
    assert network.head(features).shape == (2, 1001)


def test_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="give the path"):
        cifar_resnet(tmp_path / "absent.safetensors")
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="belongs to another network"):
        cifar_resnet(path)
    with pytest.raises(ValueError, match="belongs to another network"):
        mobilenet_v2(path)


def read_images(file: Path, count: int) -> tuple[Tensor, Tensor]:
    np, parquet = pytest.importorskip("numpy"), pytest.importorskip("pyarrow.parquet")
    image = pytest.importorskip("PIL.Image")
    table = parquet.read_table(file).slice(0, count)
    arrays = [np.array(image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in table["image"].to_pylist()]
    x = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x, torch.tensor(table["label"].to_pylist())


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "published"), [(20, 0.9173), (56, 0.9339)])
def test_the_published_accuracy_on_a_slice_of_cifar10(depth, published):
    """1,000 test images: within three standard errors of the published accuracy."""
    path = WEIGHTS / f"resnet{depth}_cifar10.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    x, labels = read_images(DATA / "cifar10" / "test.parquet", 1000)
    network = cifar_resnet(path)
    accuracy = float((network.logits(network(x)).argmax(dim=1) == labels).float().mean())
    assert accuracy == pytest.approx(published, abs=3 * (published * (1 - published) / 1000) ** 0.5)


@pytest.mark.slow
def test_mobilenet_knows_mammals():
    """128 images of 64 pixels of 12 ImageNet classes: far above the chance of 1/12 among them."""
    path = WEIGHTS / "mobilenet_v2_imagenet_int8.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    x, labels = read_images(DATA / "tiny_imagenet_mammals" / "val.parquet", 128)
    classes = torch.tensor([151, 187, 207, 208, 235, 267, 281, 283, 285, 365, 367, 372]) + 1
    network = mobilenet_v2(path)
    predicted = network.logits(network(x))[:, classes].argmax(dim=1)
    assert float((predicted == labels).float().mean()) > 0.6
