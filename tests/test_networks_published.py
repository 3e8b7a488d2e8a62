from __future__ import annotations

import inspect
import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from network_cases import ONE_EACH, batch, convs, count, make, options, rng, shake_
from tightrope.networks import NETWORKS, deep_resnet, r3gan, sn_resnet
from tightrope.networks import mescheder_resnet as mescheder
from tightrope.networks.layers import ConditionalBatchNorm2d, Head

# --------------------------------------------------------------------------- published architectures, derived by hand


def test_dcgan_64_parameters():
    # 4x4 kernels without biases between 100, 512, 256, 128, 64, 3 channels, and two numbers per normalised channel.
    widths = (100, 512, 256, 128, 64, 3)
    kernels = sum(16 * a * b for a, b in pairwise(widths))
    assert count(NETWORKS["dcgan"].generator((3, 64, 64), rng=rng())) == kernels + 2 * (512 + 256 + 128 + 64) == 3576704
    widths = (3, 64, 128, 256, 512, 1)
    kernels = sum(16 * a * b for a, b in pairwise(widths))
    critic = NETWORKS["dcgan"].critic((3, 64, 64), critic_batch_norm=True, rng=rng())
    assert count(critic) == kernels + 2 * (128 + 256 + 512) == 2765568
    assert count(NETWORKS["dcgan"].critic((3, 64, 64), rng=rng())) == kernels + 64 + 128 + 256 + 512 + 1


def test_dcgan_widths_stop_growing():
    critic = make("dcgan", "critic", (1, 256, 256), width=2)
    assert [c.out_channels for c in convs(critic)] == [2, 4, 8, 16, 32, 32]
    generator = make("dcgan", "generator", (1, 256, 256), width=2)
    assert [c.out_channels for c in convs(generator)] == [32, 16, 8, 4, 2, 1]


def test_dcgan_extra_layers_stand_at_the_largest_hidden_map():
    generator = make("dcgan", "generator", (3, 32, 32), extra_layers=2)
    layers = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convs(generator)]
    assert layers == [(32, 16, 4, 2), (16, 8, 4, 2), (8, 8, 3, 1), (8, 8, 3, 1), (8, 3, 4, 2)]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in generator.modules()) == 5
    critic = make("dcgan", "critic", (3, 32, 32), extra_layers=2, critic_batch_norm=True)
    layers = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convs(critic)]
    assert layers == [(3, 8, 4, 2), (8, 8, 3, 1), (8, 8, 3, 1), (8, 16, 4, 2), (16, 32, 4, 2)]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in critic.modules()) == 4


def test_sn_cnn_table_3():
    critic = NETWORKS["sn_cnn"].critic((3, 32, 32), rng=rng())
    layers = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0], c.padding[0]) for c in convs(critic)]
    assert layers == [
        (3, 64, 3, 1, 1),
        (64, 64, 4, 2, 1),
        (64, 128, 3, 1, 1),
        (128, 128, 4, 2, 1),
        (128, 256, 3, 1, 1),
        (256, 256, 4, 2, 1),
        (256, 512, 3, 1, 1),
    ]
    assert [min(c.weight.flatten(1).shape) for c in convs(critic)] == [27, 64, 128, 128, 256, 256, 512]  # figure 3
    weights = 1728 + 65536 + 73728 + 262144 + 294912 + 1048576 + 1179648 + 512 * 16
    assert count(critic) == weights + (64 + 64 + 128 + 128 + 256 + 256 + 512) + 1
    assert {m.negative_slope for m in critic.modules() if isinstance(m, nn.LeakyReLU)} == {0.1}
    generator = NETWORKS["sn_cnn"].generator((3, 48, 48), rng=rng())
    assert generator.latent == 128
    assert generator.first.out_features == 6 * 6 * 512
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convs(generator)] == [
        (512, 256, 4),
        (256, 128, 4),
        (128, 64, 4),
        (64, 3, 3),
    ]
    assert [m.num_features for m in generator.modules() if isinstance(m, nn.BatchNorm2d)] == [512, 256, 128, 64]


def test_sn_resnet_32_parameters():
    def conv(a, b, k):
        return a * b * k * k + b

    block = 2 * 256 + conv(256, 256, 3) + 2 * 256 + conv(256, 256, 3) + conv(256, 256, 1)
    by_hand = (128 * 4096 + 4096) + 3 * block + 2 * 256 + conv(256, 3, 3)
    assert count(NETWORKS["sn_resnet"].generator((3, 32, 32), rng=rng())) == by_hand == 4276739
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    by_hand = first + 2 * conv(128, 128, 3) + conv(128, 128, 1) + 2 * 2 * conv(128, 128, 3) + 128
    assert count(NETWORKS["sn_resnet"].critic((3, 32, 32), rng=rng())) == by_hand == 1053824


@pytest.mark.parametrize(
    ("size", "base", "up", "down", "halved"),
    [
        (32, 4, (4, 4, 4, 4), (2, 2, 2, 2), 2),
        (48, 6, (8, 4, 2, 1), (1, 2, 4, 8, 16), 4),
        (128, 4, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), 5),
    ],
)
def test_sn_resnet_tables(size, base, up, down, halved):
    generator, critic = make("sn_resnet", "generator", (3, size, size)), make("sn_resnet", "critic", (3, size, size))
    assert generator.dense.out_features == base**2 * up[0] * 4
    assert [b.conv1.out_channels for b in generator.blocks] == [4 * units for units in up[1:]]
    assert [b.conv2.out_channels for b in critic.blocks] == [4 * units for units in down]
    hidden = [4 * units for units in (down[0], *down[:-1])]
    assert [b.conv1.out_channels for b in critic.blocks] == hidden  # in-channels, except in the first block
    assert [getattr(b, "downsample", True) for b in critic.blocks] == [i < halved for i in range(len(down))]
    assert [b.skip is not None for b in critic.blocks] == [
        i < halved or a != b for i, (a, b) in enumerate(pairwise((0, *down)))
    ]
    assert critic.head.dense.bias is None


def test_sn_resnet_concat_follows_the_third_block():
    critic = make("sn_resnet", "critic", (3, 128, 128), classes=5, conditioning="concat")
    assert [b.conv1.in_channels for b in critic.blocks] == [3, 4, 8, 16 + 8, 32, 64]
    assert critic.label_embedding.weight.shape == (5, 8)
    assert critic.head.embedding is None


def test_mescheder_widths():
    generator = make("mescheder_resnet", "generator", (3, 64, 64), width=4, max_width=16)
    critic = make("mescheder_resnet", "critic", (3, 64, 64), width=4, max_width=16, classes=7)
    for player in ("generator", "critic"):  # the authors' settings of LSUN: nfilter 64, nfilter_max 1024
        options = inspect.signature(getattr(mescheder, player)).parameters
        assert (options["width"].default, options["max_width"].default) == (64, 1024)
    assert generator.latent == 256
    channels = [(b.conv1.in_channels, b.conv1.out_channels, b.conv2.out_channels) for b in generator.blocks]
    assert channels == [(16, 16, 16), (16, 16, 16), (16, 8, 8), (8, 4, 4), (4, 4, 4)]
    channels = [(b.conv1.in_channels, b.conv1.out_channels, b.conv2.out_channels) for b in critic.blocks]
    assert channels == [(4, 4, 4), (4, 4, 8), (8, 8, 16), (16, 16, 16), (16, 16, 16)]
    assert [b.skip is not None for b in critic.blocks] == [False, True, True, False, False]
    assert (critic.dense.in_features, critic.dense.out_features) == (16 * 16, 7)
    assert not [m for m in [*generator.modules(), *critic.modules()] if isinstance(m, nn.BatchNorm2d)]


def test_wgan_mlp():
    # 3 hidden ReLU layers of 512 and a linear output: dense layers 100-512-512-512-d.
    generator = NETWORKS["mlp"].generator((12,), latent=100, width=512, depth=3, activation="relu", rng=rng())
    widths = (100, 512, 512, 512, 12)
    assert [m.weight.shape for m in generator.modules() if isinstance(m, nn.Linear)] == [
        (b, a) for a, b in pairwise(widths)
    ]
    assert sum(isinstance(m, nn.ReLU) for m in generator.hidden) == 3


# -------------------------------------------------------------------------------------- pieces against plain formulas


def test_head_is_dense_plus_projection():
    head = shake_(Head(5, 3).double())
    h, labels = torch.randn(4, 5, dtype=torch.float64, generator=rng()), torch.tensor([2, 0, 1, 2])
    expected = [
        sum(head.dense.weight[0, j] * h[i, j] + head.embedding.weight[labels[i], j] * h[i, j] for j in range(5))
        + head.dense.bias[0]
        for i in range(4)
    ]
    torch.testing.assert_close(head(h, labels), torch.stack(expected))


def test_conditional_batch_norm():
    norm = shake_(ConditionalBatchNorm2d(2, 3).double())
    x, labels = torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=rng()), torch.tensor([2, 0, 1, 2])
    out = norm(x, labels)
    for c in range(2):
        mean, var = x[:, c].mean(), x[:, c].var(correction=0)
        for i in range(4):
            plain = (x[i, c] - mean) / (var + 1e-5).sqrt()
            torch.testing.assert_close(
                out[i, c], plain * norm.scale.weight[labels[i], c] + norm.shift.weight[labels[i], c]
            )
    generator = make("sn_resnet", "generator", (1, 32, 32), classes=3)
    norms = [m for m in generator.modules() if isinstance(m, ConditionalBatchNorm2d)]
    assert len(norms) == 6
    assert all((m.scale.weight == 1).all() and (m.shift.weight == 0).all() for m in norms)


def conv(layer, x):
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[2] // 2)


def pooled(x):
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def test_sn_resnet_blocks():
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=rng())
    before = x.clone()
    block = shake_(sn_resnet.CriticBlock(4, 8, True).double())
    branch = conv(block.conv2, conv(block.conv1, x.clamp(min=0)).clamp(min=0))
    torch.testing.assert_close(block(x), pooled(branch) + pooled(conv(block.skip, x)))
    block = shake_(sn_resnet.CriticBlock(4, 4, False).double())
    branch = conv(block.conv2, conv(block.conv1, x.clamp(min=0)).clamp(min=0))
    torch.testing.assert_close(block(x), branch + x)
    block = shake_(sn_resnet.FirstCriticBlock(4, 8).double())
    branch = conv(block.conv2, conv(block.conv1, x).clamp(min=0))
    torch.testing.assert_close(block(x), pooled(branch) + conv(block.skip, pooled(x)))
    block = shake_(sn_resnet.GeneratorBlock(4, 3, 0).double()).eval()
    repeated = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    branch = conv(block.conv1, block.norm1.norm(repeated).clamp(min=0))
    branch = conv(block.conv2, block.norm2.norm(branch).clamp(min=0))
    torch.testing.assert_close(block(x, None), branch + conv(block.skip, repeated))
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_sn_resnet_critic_sums_over_pixels():
    critic = make("sn_resnet", "critic", (1, 32, 32))
    x, _ = batch((1, 32, 32), 0)
    h = x
    for block in critic.blocks:
        h = block(h)
    assert h.shape[2:] == (8, 8)
    expected = 64 * h.clamp(min=0).mean((2, 3)) @ critic.head.dense.weight[0]
    torch.testing.assert_close(critic(x), expected)


def test_mescheder_block_and_pooling():
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=rng())
    before = x.clone()

    def leaky(h):
        return torch.where(h > 0, h, 0.2 * h)

    for after in (4, 6):
        block = shake_(mescheder.Block(4, after).double())
        branch = conv(block.conv2, leaky(conv(block.conv1, leaky(x))))
        torch.testing.assert_close(block(x), 0.1 * branch + (x if after == 4 else conv(block.skip, x)))
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    critic = make("mescheder_resnet", "critic", (1, 8, 8), classes=3).double()
    x, labels = torch.randn(3, 1, 8, 8, dtype=torch.float64, generator=rng()), torch.tensor([2, 0, 1])
    h = critic.blocks[0](critic.first(x))
    padded = F.pad(h, (1, 1, 1, 1))
    h = sum(padded[:, :, i : i + 7 : 2, j : j + 7 : 2] for i in range(3) for j in range(3)) / 9
    every = critic.dense(leaky(critic.blocks[1](h)).flatten(1))
    torch.testing.assert_close(critic(x, labels), torch.stack([every[i, labels[i]] for i in range(3)]))


def test_mescheder_label_embedding_has_length_one():
    generator = make("mescheder_resnet", "generator", (1, 8, 8), classes=3)
    z, labels = torch.randn(3, 256, generator=rng()), torch.arange(3)
    out = generator(z, labels)
    with torch.no_grad():
        generator.label_embedding.weight.mul_(7.0)
    torch.testing.assert_close(generator(z, labels), out)


def test_r3gan_block_and_resampling():
    block = shake_(r3gan.Block(16).double())
    assert (block.conv2.groups, block.conv2.out_channels) == (2, 32)
    x = torch.randn(2, 16, 4, 4, dtype=torch.float64, generator=rng())
    h = F.leaky_relu(conv(block.conv1, x), 0.2)
    halves = [
        F.conv2d(h[:, s], block.conv2.weight[s], block.conv2.bias[s], padding=1) for s in (slice(0, 16), slice(16, 32))
    ]
    torch.testing.assert_close(block(x), x + conv(block.conv3, F.leaky_relu(torch.cat(halves, 1), 0.2)))
    up, down = r3gan.Resample(up=True).double(), r3gan.Resample(up=False).double()
    row = torch.tensor([1.0, 3.0, 5.0, 9.0], dtype=torch.float64)
    out = up(row.expand(1, 1, 4, 4))
    expected = torch.tensor([0.75, 1.5, 2.5, 3.5, 4.5, 6.0, 8.0, 6.75], dtype=torch.float64)  # 1/4 and 3/4, 0 outside
    torch.testing.assert_close(out[0, 0, 2], expected)
    halved = down(torch.arange(8, dtype=torch.float64).expand(1, 1, 8, 8))  # (1, 3, 3, 1) / 8, written out
    torch.testing.assert_close(halved[0, 0, 1], torch.tensor([5 / 8, 2.5, 4.5, 44 / 8], dtype=torch.float64))
    y = torch.randn(2, 16, 8, 8, dtype=torch.float64, generator=rng())
    torch.testing.assert_close((up(x) * y).sum(), 4 * (x * down(y)).sum())
    assert not up.state_dict()
    fresh = make("r3gan", "critic", (1, 8, 8))
    blocks = [b for b in fresh.stages if isinstance(b, r3gan.Block)]
    assert len(blocks) == 4
    assert all((b.conv3.weight == 0).all() for b in blocks)
    wide = make("r3gan", "critic", (1, 8, 8), width=32)  # 4 blocks: gain 4**(-1/4) times He's for leaky ReLU 0.2
    expected = 4**-0.25 * math.sqrt(2 / 1.04) / math.sqrt(16 * 9)
    assert std_of(wide.stages[0].conv2.weight) == pytest.approx(expected, rel=0.05)


def test_deep_resnet_block():
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=rng())
    before = x.clone()
    block = shake_(deep_resnet.Block(4, 8, True, 0.3).double())
    half = pooled(x)
    branch = conv(block.conv2, conv(block.conv1, half.clamp(min=0)).clamp(min=0))
    torch.testing.assert_close(block(x), conv(block.skip, half) + 0.3 * branch)
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    critic = make("deep_resnet", "critic", (1, 32, 32), depth=20)
    assert {round(b.scale, 6) for b in critic.blocks} == {round(9**-0.5, 6)}
    zero = make("deep_resnet", "critic", (1, 32, 32), depth=20, branch="zero")
    assert all((b.conv2.weight == 0).all() and (b.conv1.weight != 0).all() for b in zero.blocks)


# ------------------------------------------------------------------------------------- initialisation and determinism


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("role", ["generator", "critic"])
@pytest.mark.parametrize(("name", "shape"), ONE_EACH)
def test_one_generator_determines_the_network(name, role, shape, classes):
    with torch.random.fork_rng(devices=[]):
        states = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            states.append(make(name, role, shape, classes=classes).state_dict())
            assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        other = make(name, role, shape, seed=9, classes=classes).state_dict()
        drawn = [key for key in other if not torch.equal(other[key], states[0][key])]
        assert any("weight" in key for key in drawn)
        # Without rng, torch's global state decides and moves on.
        build = getattr(NETWORKS[name], role)
        torch.manual_seed(3)
        a, b = (build(shape, classes=classes, **options(name, role)).state_dict() for _ in range(2))
        torch.manual_seed(3)
        c = build(shape, classes=classes, **options(name, role)).state_dict()
        assert all(torch.equal(a[key], c[key]) for key in a)
        assert not all(torch.equal(a[key], b[key]) for key in a)


def std_of(weight):
    return weight.detach().double().std().item()


def test_published_initialisations():
    critic = NETWORKS["dcgan"].critic((3, 16, 16), critic_batch_norm=True, rng=rng())
    for layer in convs(critic):
        assert std_of(layer.weight) == pytest.approx(0.02, rel=0.05)
    norm = next(m for m in critic.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.weight.mean().item() == pytest.approx(1.0, abs=0.01)
    assert std_of(norm.weight) == pytest.approx(0.02, rel=0.25)
    critic = NETWORKS["sn_cnn"].critic((3, 8, 8), width=16, rng=rng())
    assert std_of(critic.body[2].weight) == pytest.approx(0.02, rel=0.05)
    critic = NETWORKS["sn_resnet"].critic((3, 32, 32), classes=50, width=32, rng=rng())
    block = critic.blocks[1]
    bound = math.sqrt(2) * math.sqrt(6 / (64 * 9 + 64 * 9))  # Glorot-uniform times sqrt(2)
    assert block.conv1.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert std_of(block.conv1.weight) == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert block.skip.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 128), rel=1e-2)
    assert critic.head.embedding.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 114), rel=1e-2)
    generator = NETWORKS["mescheder_resnet"].generator((3, 8, 8), width=16, classes=9, rng=rng())
    assert generator.dense.weight.abs().max().item() == pytest.approx(1 / math.sqrt(512), rel=1e-3)
    assert std_of(generator.label_embedding.weight) == pytest.approx(1.0, rel=0.1)
    for network in (critic, generator):
        assert all((p == 0).all() for key, p in network.named_parameters() if key.endswith("bias"))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "groupsort", "maxmin"])
def test_mlp_initialisation_keeps_the_signal(activation):
    critic = NETWORKS["mlp"].critic((64,), width=256, depth=12, activation=activation, rng=rng())
    x = torch.randn(200, 64, generator=rng(1))
    assert 0.4 < critic.hidden(x).square().mean().item() < 2.5
