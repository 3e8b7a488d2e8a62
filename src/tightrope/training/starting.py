"""Starting a run: move, check and constrain the networks, build optimisers and the averaged generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral

import torch
from torch import nn

from tightrope._plumbing.allocator import keep_freed_memory
from tightrope._plumbing.checks import (
    check_device,
    check_module,
    check_number,
    check_seed,
    check_whole,
    refuse_frozen_code,
    refuse_sharded,
)
from tightrope._plumbing.errors import UserError, UserTypeError, said_by
from tightrope._plumbing.walk import first_parameter
from tightrope.autodiff import critic_scores, labelled, rows_of, samples_of, undisturbed
from tightrope.autodiff.view import taken_by
from tightrope.methods import Method
from tightrope.optimizers import Lookahead
from tightrope.optimizers.settings import Lookahead as LookaheadSettings
from tightrope.penalties import refuse_coupled
from tightrope.perturbations import adaptive_of
from tightrope.training.average import averaged_copy
from tightrope.training.pace import Pace
from tightrope.training.run import Precision, Run


def start(
    method: Method,
    generator: nn.Module,
    critic: nn.Module,
    *,
    seed: int,
    latent: int | None = None,
    shape: tuple[int, ...] | None = None,
    batch_size: int | None = None,
    precision: Precision = "fp32",
    device: torch.device | str | None = None,
    ema_half_life_images: float = 10_000.0,
    ema_ramp_up: float | None = 0.05,
) -> Run:
    """Bind a method to two networks: constrain the critic, build both optimisers and the averaged generator.

    The networks are edited in place (moved to ``device``, set to training mode, the critic constrained). In bf16, and
    on the CPU where a network has an attribute ``channels_last = True``, weights and samples take that memory layout.

    Args:
        method: What to train by.
        generator: Maps latents ``[batch, latent]`` (and labels ``[batch]``, if it has classes) to samples.
        critic: Maps samples ``[batch, *shape]`` (and labels) to scores ``[batch, ...]``, or to a list with one tensor
            of scores per critic. A critic that is called otherwise, or returns more, comes as a ``tightrope.View``.
        seed: Of latents, interpolation coefficients and perturbations.
        latent: Size of the latents; ``generator.latent`` if None.
        shape: Sample shape, to check that the two networks fit each other and the data before the first step.
        batch_size: Generated samples per generator step, the method's published number if None; a critic step
            generates as many as it is given real ones.
        precision: ``"fp32"``, or ``"bf16"`` for autocast with channels-last memory.
        device: Where to train; where the generator is if None.
        ema_half_life_images: Half-life of the averaged generator in real images; 0 for no averaging.
        ema_ramp_up: Cap of the half-life as a share of the images seen; None for no cap.

    Returns:
        The run, at step 0.

    Raises:
        UserError: Networks that do not fit each other, the latent size or the data, or have nothing to train; or a
            gradient penalty with a critic that has batch normalisation in training mode.

    Example:
        >>> from tightrope import methods, training
        >>> generator, critic = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> run = training.start(methods.build("r1"), generator, critic, seed=0, latent=4, shape=(2,))
        >>> run.step, run.images_seen
        (0, 0)
    """
    if not isinstance(method, Method):
        raise UserTypeError(f"Expected a Method, got {method!r}; build one: methods.build('r1').")
    _check_settings(batch_size, ema_half_life_images, ema_ramp_up, shape)
    check_seed(seed)
    seed = int(seed)
    size = latent if latent is not None else getattr(generator, "latent", None)
    if isinstance(size, Integral) and not isinstance(size, bool):
        size = int(size)
    if type(size) is not int or size < 1:
        raise UserError(
            f"Expected the size of the latents as a positive integer, got {size!r}; pass latent=... or give the "
            "generator an attribute `latent`."
        )
    if precision not in ("fp32", "bf16"):
        raise UserError(f"Expected a precision 'fp32' or 'bf16', got {precision!r}.")
    _check_players(generator=generator, critic=critic)
    where = None if device is None else check_device(device)
    keep_freed_memory()
    in_channels_last = {}
    for name, network in (("generator", generator), ("critic", critic)):
        network.to(device=where).train()
        in_channels_last[name] = precision == "bf16" or _wants_channels_last(network)
        if in_channels_last[name]:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    samples = method.batch_size if batch_size is None else batch_size
    rows = rows_of(critic)
    if samples * method.play.generator_batch_factor % rows:
        raise UserError(
            f"Expected a batch size that {rows} divides, since the critic judges {rows} samples together, got "
            f"{samples}; pass batch_size={-(-samples // rows) * rows}."
        )
    found = _check_fit(generator, critic, size, shape, samples)
    if method.constraint is not None:
        with torch.random.fork_rng(devices=[]):  # power iterations start at random: from the seed, and nowhere else
            torch.random.manual_seed(seed)
            critic = method.constraint(critic, found)
    for penalty in (p for p in method.penalties if p.per_sample):
        refuse_coupled(critic, f"The penalty {getattr(penalty.function, '__name__', 'given')}")
    if method.projection is not None:
        method.projection(critic)
    adapts = adaptive_of(method.perturbation) is not None
    if adapts:
        method = replace(method, perturbation=method.perturbation.fresh())  # type: ignore[union-attr]
    play = method.play
    return Run(
        method,
        generator,
        critic,
        averaged_copy(generator),
        method.critic_optimizer.build(critic.parameters()),
        method.generator_optimizer.build(generator.parameters()),
        torch.Generator().manual_seed(seed),
        size,
        int(samples),
        precision,
        ema_half_life_images,
        ema_ramp_up,
        _lookahead(play.lookahead, generator, critic),
        sample_shape=found,
        channels_last=in_channels_last["critic"],
        pace=Pace() if play.chosen_by_run else None,
        late_checks=_on_gpu(critic) and not (adapts or play.chosen_by_run or play.lookahead),
    )


def _on_gpu(network: nn.Module) -> bool:
    return first_parameter(network).device.type == "cuda"


def _wants_channels_last(network: nn.Module) -> bool:
    """Whether a network says that it is faster so in float32 on the CPU, and takes such maps."""
    on_cpu = next(network.parameters()).device.type == "cpu"
    return on_cpu and any(getattr(module, "channels_last", False) is True for module in network.modules())


def _lookahead(settings: LookaheadSettings | None, generator: nn.Module, critic: nn.Module) -> Lookahead | None:
    return None if settings is None else settings.build([*generator.parameters(), *critic.parameters()])


def _check_players(**players: nn.Module) -> None:
    """Refuse a player that has nothing to train."""
    for name, network in players.items():
        check_module(network, name)
        refuse_sharded(network, "training here")
        refuse_frozen_code(network, "training here")
        if any(isinstance(p, nn.parameter.UninitializedParameter) for p in network.parameters()):
            raise UserError(f"Expected a {name} whose sizes are known, got lazy layers; call it once before training.")
        if any(p.is_meta or p.is_complex() for p in network.parameters()):
            raise UserError(
                f"Expected a {name} with real weights that hold values, got some on the device meta or complex."
            )
        if any(p.dtype is torch.float16 for p in network.parameters()):
            raise UserError(
                f"Expected a {name} with weights in float32, bfloat16 or float64, got float16, in which the squares of "
                "small gradients are zero and steps become infinite; use network.float(), with precision='bf16' for "
                "speed."
            )
        if not any(p.requires_grad for p in network.parameters()):
            held = "frozen ones only" if any(True for _ in network.parameters()) else "none"
            raise UserError(
                f"Expected a {name} with parameters that require a gradient, got {held}; unfreeze it with "
                "requires_grad_(True), or pass the module that holds them."
            )
    generator, critic = players.values()
    theirs = {id(p): name for name, p in critic.named_parameters()}
    both = [theirs[id(p)] for p in generator.parameters() if id(p) in theirs and p.requires_grad]
    if both:
        raise UserError(
            f"Expected two players with weights of their own, got {both[0]} of the critic in the generator as well, "
            "which each would train against the other; use copy.deepcopy on what they share."
        )


def _check_settings(
    batch_size: int | None, half_life: float, ramp_up: float | None, shape: tuple[int, ...] | None
) -> None:
    if batch_size is not None:
        check_whole("batch_size", batch_size, 1, 64)
    check_number("ema_half_life_images", half_life, 10_000)
    if ramp_up is not None:
        check_number("ema_ramp_up", ramp_up, 0.05)
    if shape is not None and not (isinstance(shape, Sequence) and all(isinstance(n, Integral) for n in shape)):
        raise UserTypeError(
            f"Expected a sample shape as whole numbers without the batch, got {shape!r}; e.g. (3, 32, 32)."
        )


def _check_fit(
    generator: nn.Module, critic: nn.Module, latent: int, shape: tuple[int, ...] | None, batch_size: int
) -> tuple[int, ...]:
    """The sample shape, after two samples or packs have gone through both networks, or a batch if they do not fit.

    A network may want whole groups, as one with minibatch statistics does, and refuse two.
    """
    try:
        return _pass_through(generator, critic, latent, shape, 2 * rows_of(critic))
    except (RuntimeError, ValueError, AssertionError):
        if batch_size == 2 * rows_of(critic):
            raise
    return _pass_through(generator, critic, latent, shape, batch_size)


def _pass_through(
    generator: nn.Module, critic: nn.Module, latent: int, shape: tuple[int, ...] | None, n: int
) -> tuple[int, ...]:
    p = next(generator.parameters())
    labels = torch.zeros(n, dtype=torch.long, device=p.device)
    with undisturbed(generator, critic), torch.no_grad():
        generator.eval(), critic.eval()
        try:
            fake = labelled(generator, labels)(torch.zeros(n, latent, device=p.device, dtype=p.dtype))
        except UserError:
            raise
        except Exception as error:  # whatever layers of others say to a wrong size
            raise UserError(
                f"The generator does not accept latents of size {latent} ({said_by(error)}); make its "
                "input and the latent size equal."
            ) from error
        fake = taken_by(critic, samples_of(fake))
        if shape is not None and tuple(fake.shape[1:]) != tuple(shape):
            raise UserError(
                f"Expected samples of the data's shape {tuple(shape)}, got {tuple(fake.shape[1:])} from the generator; "
                "change the generator's output or the data's resolution and channels."
            )
        try:
            critic_scores(labelled(critic, labels), fake)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"The critic does not accept samples of shape {tuple(fake.shape[1:])} "
                f"({said_by(error)}); build both networks for one shape."
            ) from error
    return tuple(fake.shape[1:])
