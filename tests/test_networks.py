from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import torch

from network_cases import CASES, ONE_EACH, SMALL, count, make, pair, rng, shake_
from tightrope._plumbing.errors import UserError
from tightrope.networks import NETWORKS, recommended
from tightrope.networks.sizes import factor

# -------------------------------------------------------------------------------------------- shapes and the registry


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_shapes(name, shape, classes):
    generator, critic = pair(name, shape, classes)
    labels = torch.tensor([0, 2]) if classes else None
    z = torch.randn(2, generator.latent, generator=rng(1))
    x = generator(z, labels)
    assert x.shape == (2, *shape)
    assert x.isfinite().all()
    assert (generator.classes, critic.classes) == (classes, classes)
    if len(shape) == 3:
        assert x.abs().max() <= 1
    scores = critic(x, labels)
    assert scores.shape == (2,)
    assert scores.isfinite().all()
    NETWORKS[name].check(shape)


def test_every_network_is_covered_and_described():
    assert set(NETWORKS) == set(SMALL) == {name for name, _ in ONE_EACH}
    for name, network in NETWORKS.items():
        assert network.name == name
        assert network.summary
        assert re.search(r"\d{4}\.\d{4,5}", network.source)
        for build in (network.generator, network.critic):
            assert "**Source**" in build.__doc__
            assert "**Departures**" in build.__doc__
            parameters = inspect.signature(build, eval_str=True).parameters
            assert all(p.annotation is not inspect.Parameter.empty for p in parameters.values())
            documented = re.findall(
                r"^        (\w+):", build.__doc__.split("Args:")[1].split("Raises:")[0], re.MULTILINE
            )
            assert documented == list(parameters)


def test_options_of_both_builders_have_one_type():
    for network in NETWORKS.values():
        ours, theirs = (inspect.signature(b).parameters for b in (network.generator, network.critic))
        for option in ours.keys() & theirs.keys():
            assert ours[option].annotation == theirs[option].annotation, (network.name, option)


def test_images_end_in_tanh_and_other_samples_do_not():
    big = torch.full((1, 32), 1e6)
    assert make("mlp", "generator", (1, 8, 8))(big).abs().max() <= 1
    assert make("mlp", "generator", (64,))(big).abs().max() > 1
    assert make("mlp", "generator", (2, 32))(big).abs().max() > 1


def test_recommended():
    assert recommended((2,)) == "mlp"
    assert recommended((3, 100)) == "mlp"
    assert recommended((1, 8, 8)) == "mlp"
    assert recommended((1, 28, 28)) == "dcgan"
    with pytest.raises(UserError, match="--resolution 28 or --resolution 32"):
        recommended((1, 30, 30))


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "shape", "works"),
    [
        ("dcgan", (3, 30, 30), (28, 32)),
        ("dcgan", (3, 4, 4), (6,)),
        ("dcgan", (3, 32, 48), (32, 40)),
        ("dcgan", (3, 5000, 5000), (1024,)),
        ("sn_cnn", (3, 28, 28), (24, 32)),
        ("sn_cnn", (3, 4, 4), (8,)),
        ("sn_cnn", (3, 16, 32), (16, 24)),
        ("sn_resnet", (3, 28, 28), (32,)),
        ("sn_resnet", (3, 50, 50), (48, 64)),
        ("sn_resnet", (3, 256, 256), (128,)),
        ("mescheder_resnet", (1, 36, 36), (32, 40)),
        ("deep_resnet", (1, 7, 7), (6, 8)),
        ("r3gan", (1, 30, 30), (28, 32)),
    ],
)
def test_unbuildable_sizes_name_the_neighbours(name, shape, works):
    network = NETWORKS[name]
    for build in (network.check, network.generator, network.critic):
        with pytest.raises(UserError) as caught:
            build(shape)
        sentence = str(caught.value)
        owner = "dcgan" if build is NETWORKS["dcgan"].generator else name  # the deep critic stands beside it
        assert f"'{owner}'" in sentence
        assert f"{shape[1]}x{shape[2]}" in sentence
        assert tuple(map(int, re.findall(r"--resolution (\d+)", sentence))) == works
    for size in works:
        network.check((shape[0], size, size))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mlp"])
@pytest.mark.parametrize("shape", [(2,), (3, 100), (), (0, 32, 32)])
def test_image_networks_refuse_other_samples(name, shape):
    with pytest.raises(UserError, match=re.escape(str(shape))):
        NETWORKS[name].check(shape)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 4)])
def test_mlp_refuses_empty_samples(shape):
    with pytest.raises(UserError, match="at least one number"):
        NETWORKS["mlp"].generator(shape)


def test_factor():
    expected = {
        6: (3, 1),
        8: (4, 1),
        10: (5, 1),
        12: (6, 1),
        14: (7, 1),
        24: (6, 2),
        28: (7, 2),
        32: (4, 3),
        48: (6, 3),
    }
    assert {size: factor(size) for size in expected} == expected
    for size in range(1, 300):
        parts = factor(size)
        by_hand = {b * 2**k for b in range(3, 8) for k in range(1, 9)}
        assert (parts is not None) == (size in by_hand)
        assert parts is None or parts[0] * 2 ** parts[1] == size


@pytest.mark.parametrize("role", ["generator", "critic"])
@pytest.mark.parametrize(("name", "shape"), ONE_EACH)
def test_label_mistakes(name, shape, role):
    plain, conditional = make(name, role, shape), make(name, role, shape, classes=3)
    inputs = torch.zeros(2, *((plain.latent,) if role == "generator" else shape))
    with pytest.raises(ValueError, match="classes=0 and takes no labels"):
        plain(inputs, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="classes=3: pass labels"):
        conditional(inputs)
    for wrong in (torch.tensor([0]), torch.tensor([[0], [1]]), torch.tensor([0.0, 1.0])):
        with pytest.raises(ValueError, match=r"labels must be int64 of shape \[2\] with values 0 to 2"):
            conditional(inputs, wrong)
    with pytest.raises(ValueError, match=r"expects z of shape|built for samples of shape"):
        plain(torch.zeros(2, 77))
    with pytest.raises(ValueError, match="classes must be at least 0, got -1"):
        make(name, role, shape, classes=-1)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        getattr(NETWORKS["mlp"], role)((2,), width=0)


def test_wrong_choices():
    with pytest.raises(ValueError, match="activation must be relu, leaky_relu, groupsort or maxmin, got 'elu'"):
        make("dcgan", "critic", (1, 8, 8), activation="elu")
    with pytest.raises(ValueError, match="divisible by 4, got 6"):
        make("mlp", "critic", (2,), width=6, activation="groupsort")
    with pytest.raises(ValueError, match="conditioning must be projection or concat"):
        make("sn_resnet", "critic", (1, 32, 32), conditioning="sum")
    with pytest.raises(ValueError, match="branch must be scaled or zero"):
        make("deep_resnet", "critic", (1, 8, 8), branch="one")
    with pytest.raises(ValueError, match="depth must be at least 8 at this image size, got 7"):
        make("deep_resnet", "critic", (1, 32, 32), depth=7)
    with pytest.raises(ValueError, match="multiple of 8"):
        make("r3gan", "critic", (1, 8, 8), width=12)


# ------------------------------------------------------------------------------------------ labels and options matter


@pytest.mark.parametrize("role", ["generator", "critic"])
@pytest.mark.parametrize(("name", "shape"), ONE_EACH)
def test_labels_change_the_output_of_their_own_sample_only(name, shape, role):
    network = shake_(make(name, role, shape, classes=3)).eval()
    inputs = torch.randn(3, *((network.latent,) if role == "generator" else shape), generator=rng(2))
    a, b = network(inputs, torch.tensor([0, 1, 2])), network(inputs, torch.tensor([0, 2, 2]))
    torch.testing.assert_close(a[[0, 2]], b[[0, 2]])
    assert (a[1] - b[1]).abs().max() > 1e-5


OPTIONS = {
    ("mlp", "generator"): {
        "latent": 7, "width": 12, "depth": 2, "activation": "maxmin", "slope": 0.5, "embedding": 5,
    },
    ("mlp", "critic"): {"width": 12, "depth": 2, "activation": "groupsort", "slope": 0.5},
    ("dcgan", "generator"): {"latent": 7, "width": 12, "batch_norm": False, "extra_layers": 1, "embedding": 5},
    ("dcgan", "critic"): {
        "width": 12, "critic_batch_norm": True, "extra_layers": 1, "activation": "maxmin", "slope": 0.5,
    },
    ("sn_cnn", "generator"): {"latent": 7, "width": 12},
    ("sn_cnn", "critic"): {"width": 12, "activation": "groupsort", "slope": 0.5},
    ("sn_resnet", "generator"): {"latent": 7, "width": 5},
    ("sn_resnet", "critic"): {"width": 5, "conditioning": "concat"},
    ("mescheder_resnet", "generator"): {"latent": 7, "width": 5, "max_width": 6, "embedding": 5},
    ("mescheder_resnet", "critic"): {"width": 5, "max_width": 6},
    ("deep_resnet", "generator"): {"latent": 7, "width": 12, "batch_norm": False, "extra_layers": 1, "embedding": 5},
    ("deep_resnet", "critic"): {"width": 12, "depth": 21, "branch": "zero"},
    ("r3gan", "generator"): {"latent": 7, "width": 16, "blocks": 1, "embedding": 5, "tanh": False},
    ("r3gan", "critic"): {"width": 16, "blocks": 1},
}  # fmt: skip


@pytest.mark.parametrize(("name", "role"), OPTIONS)
def test_every_option_changes_something(name, role):
    changes, shape = OPTIONS[name, role], dict(ONE_EACH)[name]
    parameters = inspect.signature(getattr(NETWORKS[name], role)).parameters
    assert set(changes) == set(parameters) - {"shape", "classes", "rng"}

    def describe(**option):
        network = make(name, role, shape, classes=3, **option)
        inputs = torch.randn(3, *((network.latent,) if role == "generator" else shape), generator=rng(2))
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        return shapes, network(inputs, torch.arange(3)).detach()

    shapes, out = describe()
    for option, value in changes.items():
        new_shapes, new_out = describe(**{option: value})
        assert new_shapes != shapes or not torch.allclose(new_out, out), option


# ------------------------------------------------------------------------------------------------------- the doc page


def test_doc_page_states_true_parameter_counts():
    page = (Path(__file__).parents[1] / "docs" / "networks.md").read_text(encoding="utf-8")
    for name, network in NETWORKS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        stated = [int(cell.replace(",", "")) for cell in re.findall(r"\d[\d,]{4,}", row)]
        shape = (2,) if name == "mlp" else (3, 32, 32)
        assert stated[:2] == [count(network.generator(shape, rng=rng())), count(network.critic(shape, rng=rng()))]
