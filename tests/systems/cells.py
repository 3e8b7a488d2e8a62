"""The eight columns of the table: each applies functions of this library to a system and holds them to an oracle.

A cell is the largest difference to the oracle relative to its size, or the sentence of a refusal; where both are given,
the refusal is that of training mode and the number that of evaluation mode.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from systems.system import System, seeded
from tightrope import Method, UserError, conditioning, constraints, critics, dynamics, penalties, spectra, start, train
from tightrope.autodiff import scores_of
from tightrope.layers.find import find_layers
from tightrope.layers.kernel import effective_weight
from tightrope.optimizers.settings import SGD


@dataclass(frozen=True)
class Cell:
    """Error against the oracle, what it says, or why it does not."""

    error: float | None = None
    note: str = ""
    refusal: str = ""


def relative(ours: Tensor, theirs: Tensor) -> float:
    ours, theirs = ours.detach().double(), theirs.detach().double()
    assert ours.shape == theirs.shape, f"{ours.shape} and {theirs.shape}"
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))


def losses_of(system: System) -> Cell:
    """Their losses, and what goes with them."""
    pairs = system.losses(system, system.real, system.fake)
    return Cell(max(relative(*pair) for pair in pairs.values()), ", ".join(pairs))


def penalty_of(system: System) -> Cell:
    """Their gradient penalty; and whether R1 in training mode is a number or a sentence."""
    pairs = system.penalties(system, system.real, system.fake)
    refusal = ""
    try:
        assert penalties.r1(system.judge, system.real).isfinite()
    except UserError as sentence:
        refusal = str(sentence)
    return Cell(max(relative(*pair) for pair in pairs.values()), ", ".join(pairs), refusal)


def constraints_of(make: Callable[[], System]) -> Cell:
    """Kernel norms 1, orthogonal kernels, and clipped entries, put upon what the critic brings along."""
    errors = []
    critic = constraints.spectral_norm(make().critic, exact=True, replace=True)
    errors += [abs(float(one.max()) - 1) for one in _kernel_values(critic)]
    critic = constraints.orthogonal(make().critic, replace=True)
    errors += [float((one - 1).abs().max()) for one in _kernel_values(critic)]
    critic = constraints.remove(constraints.export(make().critic))
    constraints.clip_weights_(critic, 0.01)
    assert max(float(p.abs().max()) for p in critic.parameters()) <= 0.01
    return Cell(max(errors), "kernel norms 1, kernels orthogonal, entries within the bound")


def _kernel_values(critic: nn.Module) -> Iterator[Tensor]:
    """Singular values of every layer's kernel, group by group, by a full decomposition of the weight itself."""
    for layer in find_layers(critic).values():
        groups = getattr(layer, "groups", 1)
        yield torch.linalg.svdvals(layer.weight.detach().double().unflatten(0, (groups, -1)).flatten(2))


def spectra_of(system: System, *, dense: bool = True) -> Cell:
    """Kernel and operator norms of all layers that work, and no weight left out without a word."""
    found = spectra.layer_spectra(system.judge, system.real[: getattr(system.judge, "rows", 1)], complete=dense)
    layers, error = find_layers(system.critic), 0.0
    for one in found:
        layer = layers[one.name]
        weight = effective_weight(layer).detach().double()
        blocks = weight.unflatten(0, (getattr(layer, "groups", 1), -1)).flatten(2)
        error = max(error, abs(one.kernel_norm / float(torch.linalg.svdvals(blocks).max()) - 1))
        assert one.norm.lower <= one.norm.upper < math.inf
        if dense:
            largest = float(torch.linalg.svdvals(_matrix(layer, weight, one.input_shape)).max())
            error = max(error, abs(one.norm.value / largest - 1))
    named = {one.name for one in found} | set(found.not_understood)
    missing = [name for name in layers if not any(name in said or said in name for said in named)]
    assert not missing, f"not a word about {missing}"
    return Cell(error, f"{len(found)} spectra, {len(found.not_understood)} said to be missing")


def _matrix(layer: nn.Module, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The layer as a matrix, column by column, from what it gives for unit inputs."""
    units = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    if isinstance(layer, nn.Linear):
        return (units @ weight.T).flatten(1)
    function = nn.functional.conv1d if weight.dim() == 3 else nn.functional.conv2d
    return function(units, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups).flatten(1)  # type: ignore[attr-defined]


def interval_of(system: System) -> Cell:
    """A lower bound at least as large as any slope at the data, an upper bound above it, and why it is infinite."""
    system.critic.eval()
    found = critics.lipschitz_interval(system.judge, system.real, system.fake)
    x = system.real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(sum(scores.sum() for scores in scores_of(system.judge(x))), x)  # type: ignore[arg-type]
    rows = getattr(system.judge, "rows", 1)
    largest = float(slope.reshape(len(x) // rows, -1).norm(dim=1).max())
    assert found.lower <= found.upper * (1 + 1e-9)
    assert found.upper < math.inf or found.reasons, "infinite without a reason"
    note = f"[{found.lower:.3g}, {found.upper:.3g}]" + "".join(f"; {reason}" for reason in found.reasons)
    return Cell(max(0.0, largest / found.lower - 1), note)


def conditioning_of(system: System) -> Cell:
    """Singular values of the generator's Jacobian in evaluation mode."""
    system.generator.eval()
    z = system.z[:3]
    ours = conditioning.singular_values(system.maker, z)
    rows = []
    for k in range(len(z)):

        def at(point: Tensor, k: int = k) -> Tensor:
            return system.maker(torch.cat((z[:k], point[None], z[k + 1 :])))[k].flatten()

        values = torch.linalg.svdvals(torch.autograd.functional.jacobian(at, z[k]))
        rows.append(torch.cat((values, values.new_zeros(z.shape[1] - len(values)))))  # latents beyond the outputs
    return Cell(relative(ours, torch.stack(rows)), f"{ours.shape[1]} values")


def dynamics_of(system: System) -> Cell:
    """The eigenvalues of the game with their largest real part, of the parameters with at most ``most`` entries."""
    for p in (*system.critic.parameters(), *system.generator.parameters()):
        p.requires_grad_(p.numel() <= system.most)
    z, real, loss = system.z, system.real, system.loss

    def generator_loss() -> Tensor:
        return loss.generator(system.judge(system.maker(z)), system.judge(real) if loss.paired else None)

    def critic_loss() -> Tensor:
        return loss.critic(system.judge(real), system.judge(system.maker(z)))

    refusal = ""
    try:
        dynamics.eigenvalues((generator_loss, critic_loss), (system.maker, system.judge), k=2)
    except UserError as sentence:
        refusal = str(sentence)
    if refusal or any(isinstance(m, nn.Dropout) for m in system.critic.modules()):  # one mask is not the mean of all
        system.critic.eval(), system.generator.eval()
    ours = dynamics.eigenvalues((generator_loss, critic_loss), (system.maker, system.judge), k=2).values
    theirs = _eigenvalues((generator_loss, critic_loss), (system.generator, system.critic))
    nearest = max(float((theirs - value).abs().min()) for value in ours)
    leading = abs(float(ours.real.max() - theirs.real.max()))
    return Cell(max(nearest, leading) / float(theirs.abs().max()), f"leading {complex(ours[0]):.3g}", refusal)


def _eigenvalues(losses: tuple[Callable[[], Tensor], ...], players: tuple[nn.Module, ...]) -> Tensor:
    """Of the whole Jacobian of ``-(d L_G / d theta, d L_D / d psi)``, by central differences of plain gradients.

    Not by differentiating twice: torch 2.13's second derivative of its fused weight norm is wrong by 0.2 % here.
    """
    own = [[p for p in player.parameters() if p.requires_grad] for player in players]

    def field() -> Tensor:
        slopes = [
            torch.autograd.grad(loss(), one, materialize_grads=True) for loss, one in zip(losses, own, strict=True)
        ]
        return -torch.cat([slope.flatten() for one in slopes for slope in one])

    return torch.linalg.eigvals(central_differences(field, [p.detach().view(-1) for one in own for p in one]))


def central_differences(field: Callable[[], Tensor], variables: Sequence[Tensor], step: float = 1e-6) -> Tensor:
    """Jacobian of a field by its variables, column by column, with a step that no kink lies within.

    Gradients of piecewise linear activations jump where one changes sides; a jump within the step would enter divided
    by it. There the differences ahead and behind disagree, and the step is shortened.
    """
    here, columns = field(), []
    rounding = 1e-12 * (1 + here.abs().max())
    for entries in variables:
        for k in range(len(entries)):
            by = step
            while True:
                ahead, behind = _shifted(field, entries, k, by) - here, here - _shifted(field, entries, k, -by)
                if bool(((ahead - behind).abs() <= 1e-3 * ahead.abs().max() + rounding).all()):
                    break
                by /= 4
                assert by > 1e-10, "the game is not smooth here"
            columns.append((ahead + behind) / (2 * by))
    return torch.stack(columns, 1)


def _shifted(field: Callable[[], Tensor], entries: Tensor, k: int, by: float) -> Tensor:
    kept = entries[k].item()
    entries[k] += by
    found = field()
    entries[k] = kept
    return found


def start_of(system: System) -> Cell:
    """Three steps; the average is what its formula gives for the parameters of every step."""
    n, half_life = len(system.real), 100.0
    method = Method("of theirs", system.loss, SGD(1e-3), SGD(1e-3), penalties=system.penalty, batch_size=n)
    run = start(
        method, system.maker, system.judge, seed=0, latent=system.z.shape[1], shape=tuple(system.real.shape[1:]),
        batch_size=n, ema_half_life_images=half_life, ema_ramp_up=None,
    )  # fmt: skip
    weights = [p.detach().clone() for p in system.generator.parameters()]
    for step in train(run, [system.real], steps=3):
        assert step.critic.objective.loss.isfinite()
        decay = 0.5 ** (n / half_life)
        weights = [
            decay * w + (1 - decay) * p.detach() for w, p in zip(weights, system.generator.parameters(), strict=True)
        ]
    error = max(relative(a, b) for a, b in zip(run.average.parameters(), weights, strict=True) if bool(b.any()))
    return Cell(error, "three steps, the average by its formula")


COLUMNS: dict[str, Callable[[Callable[[], System]], Cell]] = {
    "losses": lambda make: losses_of(make()),
    "R1 / GP": lambda make: penalty_of(make()),
    "SN / orthogonal / clip": constraints_of,
    "spectra": lambda make: spectra_of(make()),
    "interval": lambda make: interval_of(make()),
    "conditioning": lambda make: conditioning_of(make()),
    "dynamics": lambda make: dynamics_of(make()),
    "start / EMA": lambda make: start_of(make()),
}


def cell(column: str, make: Callable[[], System]) -> Cell:
    """One cell; what is refused in both modes is its sentence alone, and everything else is raised."""
    with seeded(5), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return COLUMNS[column](make)
        except UserError as sentence:
            return Cell(refusal=str(sentence))
