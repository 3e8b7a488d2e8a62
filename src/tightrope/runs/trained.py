"""A trained generator, ready to sample: what ``tightrope.load(run)`` gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from tightrope._plumbing import rich
from tightrope._plumbing.checks import check_number, check_whole
from tightrope._plumbing.errors import UserError
from tightrope._plumbing.files import as_path
from tightrope._plumbing.words import closest
from tightrope.autodiff import undisturbed
from tightrope.data.cache import fits_in_memory
from tightrope.drawing.samples import thumbnails
from tightrope.runs.assemble import build_networks
from tightrope.runs.config import Config, read_config, refuse_other_network
from tightrope.runs.folder import BEST, GENERATOR, MODEL, checkpoint_steps
from tightrope.runs.remote import PREFIX, fetched
from tightrope.runs.serialize import misfit, read_state, read_tensors

LARGEST = 2**32
"""Numbers in the samples drawn at once, with their latents: 16 GiB."""

_COPIES = 3  # parts, the whole, and the form in which it is written


@dataclass(frozen=True)
class TrainedGenerator:
    """The averaged generator of a run in eval mode.

    Attributes:
        generator: Maps latents ``[batch, latent]`` (and labels ``[batch]``) to samples ``[batch, *shape]``.
        latent: Size of the latents.
        classes: Names of the classes; empty for an unconditional generator.
        shape: Sample shape.
        config: Configuration of the run.
        step: After how many generator updates; None where the file does not say.
    """

    generator: nn.Module
    latent: int
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    config: Config = field(repr=False)
    step: int | None = None

    def __call__(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples ``[batch, *shape]`` in training scale for latents ``[batch, latent]``.

        Raises:
            UserError: Labels for an unconditional generator.
        """
        if labels is not None and not self.classes:
            raise UserError("Expected no labels for an unconditional generator, got some; leave them out.")
        return self.generator(z, labels) if self.classes else self.generator(z)

    def _repr_html_(self) -> str:
        """As a notebook shows it: what it was trained on, and samples."""
        data, method = self.config.data, self.config.method
        rows = [
            ("classes", ", ".join(self.classes[:12])),
            ("latent", self.latent),
            ("sample", "×".join(map(str, self.shape))),
        ]
        shown = thumbnails(self.sample(16)) if len(self.shape) == 3 else ""
        return rich.table(f"{method.name} on {data.name}", rows) + shown

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        labels: Tensor | int | None = None,
        batch_size: int = 256,
        truncation: float | None = None,
    ) -> Tensor:
        """Draw ``n`` samples in training scale (images in ``[-1, 1]``); the global random state is not touched.

        The samples are a function of ``n``, ``seed`` and ``labels`` alone; latents are drawn at once, so another
        ``batch_size`` gives the same samples up to rounding.

        Args:
            n: How many.
            seed: Of the latents, and of the classes where none are given (uniform over the classes).
            labels: Classes ``[n]``, or one class for all; conditional generators only.
            batch_size: Samples per forward.
            truncation: Draw latents from the normal distribution cut at this size: fewer odd samples and less variety.

        Returns:
            Samples ``[n, *shape]`` on the CPU.

        Raises:
            UserError: Labels for an unconditional generator, or out of range; more samples than memory holds.
        """
        return self.decode(*self.drawn(n, seed=seed, labels=labels, truncation=truncation), batch_size=batch_size)

    def drawn(
        self, n: int, *, seed: int = 0, labels: Tensor | int | None = None, truncation: float | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The latents ``[n, latent]`` and classes ``[n]`` (None for an unconditional generator) of :meth:`sample`.

        Source: Brock et al. 2019 (1809.11096), section 3.1, for ``truncation``.

        Args:
            n: How many.
            seed: Of the latents and of classes that are not given.
            labels: Classes ``[n]``, or one class for all.
            truncation: No entry of a latent is larger; None for the whole normal distribution.

        Raises:
            UserError: As of :meth:`sample`.
        """
        self.check_size(n)
        rng = torch.Generator().manual_seed(seed)
        if truncation is None:
            z = torch.randn(n, self.latent, generator=rng)
        else:
            check_number("truncation", truncation, 2)
            if truncation <= 0:
                raise UserError(f"Expected a truncation above 0, got {truncation}; 0.5 is strong, 2 hardly any.")
            edge = torch.special.ndtr(torch.tensor(-float(truncation), dtype=torch.float64))
            shares = torch.rand(n, self.latent, generator=rng, dtype=torch.float64)
            z = torch.special.ndtri(edge + shares * (1 - 2 * edge)).float()
        return z, self._labels(n, labels, rng)

    @torch.no_grad()
    def decode(self, z: Tensor, labels: Tensor | None = None, *, batch_size: int = 256) -> Tensor:
        """Samples ``[n, *shape]`` on the CPU of latents ``[n, latent]`` and classes ``[n]``, in eval mode.

        Args:
            z: Latents.
            labels: Classes, for a conditional generator.
            batch_size: Samples per forward.

        Raises:
            UserError: Labels for an unconditional generator.
        """
        check_whole("batch_size", batch_size, 1, 256)
        n, chosen = len(z), labels
        device = next(self.generator.parameters()).device
        parts: list[Tensor] = []
        with undisturbed(self.generator):
            self.generator.eval()
            for i in range(0, n, batch_size):
                part = None if chosen is None else chosen[i : i + batch_size].to(device)
                parts.append(self(z[i : i + batch_size].to(device), part).float().cpu())
        return torch.cat(parts) if parts else torch.empty(0, *self.shape)

    def label_of(self, name: str) -> int:
        """The number of a class, given by its name or, where no class is called so, by its number.

        Raises:
            UserError: No such class, no classes, or a number that another class is called by, such as 2 beside 00002.
        """
        if not self.classes:
            raise UserError(f"Expected no class for an unconditional generator, got {name!r}; leave --label out.")
        if name in self.classes:
            return self.classes.index(name)
        if name.isascii() and name.isdigit() and len(name) < 10:
            number = int(name)
            same = [one for one in self.classes if one.isdecimal() and one.lstrip("0") == name.lstrip("0")]
            if same and (number >= len(self.classes) or self.classes[number] not in same):
                other = f", or {self.classes[number]} for class number {number}" if number < len(self.classes) else ""
                raise UserError(f"Expected a class by its name, got {name!r}; write {same[0]}{other}.")
            if number < len(self.classes):
                return number
        some = ", ".join(self.classes[:8]) + (", ..." if len(self.classes) > 8 else "")
        raise UserError(
            f"Expected a class of this run ({some}) or a number below {len(self.classes)}, got {name!r}"
            f"{closest(name, self.classes)}; choose one."
        )

    def check_size(self, n: int) -> None:
        """Raise if ``n`` samples are more than memory holds.

        Raises:
            UserError: They are.
        """
        numbers = n * (self.latent + math.prod(self.shape))
        if not 0 <= numbers <= LARGEST or not fits_in_memory(_COPIES * 4 * numbers, 0.5):
            raise UserError(
                f"Expected a number of samples that fits into memory, got {n:,} of shape {self.shape}; draw them in "
                "parts, with a seed for each."
            )

    def _labels(self, n: int, labels: Tensor | int | None, rng: torch.Generator) -> Tensor | None:
        if not self.classes:
            if labels is not None:
                raise UserError("Expected no labels for an unconditional generator, got some; leave them out.")
            return None
        if labels is None:
            return torch.randint(len(self.classes), (n,), generator=rng)
        chosen = torch.full((n,), labels) if isinstance(labels, int) else labels.long().cpu()
        if chosen.shape != (n,) or bool((chosen < 0).any()) or bool((chosen >= len(self.classes)).any()):
            raise UserError(
                f"Expected {n} labels from 0 to {len(self.classes) - 1}, got shape {tuple(chosen.shape)} with values "
                f"from {int(chosen.min())} to {int(chosen.max())}."
            )
        return chosen


def load(run: Path | str, *, generator: nn.Module | None = None, step: int | str = "newest") -> TrainedGenerator:
    """Load an averaged generator of a run folder, the newest, ready to sample. Nothing in the folder is executed.

    Args:
        run: Run folder, a folder that ``tightrope export`` wrote, or ``hub:owner/name`` for one on the Hugging Face
            hub.
        generator: The module to load the weights into, for runs that trained modules of the caller's own.
        step: ``"newest"``, ``"best"`` for the one that an evaluation found closest to the data, or the step of a
            checkpoint that is kept.

    Returns:
        The generator in eval mode.

    Raises:
        UserError: Not a run folder, nothing saved yet, or weights of another network.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from tightrope import runs
        >>> from tightrope.cli import main
        >>> folder = Path(tempfile.mkdtemp(), "ring")
        >>> short = "--steps 2 --latent 4 --evaluate-every 0 --evaluate-n 20 --quiet"
        >>> main(["train", "toy:ring", *short.split(), "--out", str(folder)])  # doctest: +ELLIPSIS
        report: ...report.html
        0
        >>> runs.load(folder).sample(3).shape
        torch.Size([3, 2])
    """
    folder = fetched(str(run)) if str(run).startswith(PREFIX) else as_path(run)
    config = read_config(folder)
    if generator is None:
        generator, _ = build_networks(config.network, config.data, config.training)
    weights, words, path = _weights(folder, step)
    refuse_other_network(config, words.get("network"), path)
    after = str(words.get("step", ""))
    try:
        generator.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"Expected the weights of this run's generator, got something else in {path} "
            f"({misfit(generator.state_dict(), weights) or 'of other kinds'}); the file belongs to another network."
        ) from error
    classes = config.data.classes if config.data.conditional else ()
    return TrainedGenerator(
        generator.eval(),
        config.training.latent,
        classes,
        config.data.shape,
        config,
        int(after) if after.isascii() and after.isdigit() else None,
    )


def _weights(folder: Path, step: int | str) -> tuple[dict[str, Tensor], Mapping[str, object], Path]:
    """The weights of an averaged generator, what the file says of them (network and step), and the file."""
    if step in ("newest", "best"):
        path = folder / (GENERATOR if step == "newest" else BEST)
        if step == "newest" and not path.is_file() and (folder / MODEL).is_file():
            path = folder / MODEL
        if not path.is_file():
            remedy = "train until the first checkpoint" if step == "newest" else "a run keeps it from its evaluations"
            raise UserError(f"Expected saved weights at {path}, got none; {remedy}.")
        weights, words = read_tensors(path, "generator", "resume the run, which writes it again")
        return weights, words, path
    kept = checkpoint_steps(folder)
    if isinstance(step, bool) or step not in kept:
        raise UserError(
            f"Expected 'newest', 'best' or the step of a checkpoint that is kept "
            f"({', '.join(map(str, kept)) or 'there is none'}), got {step!r}; train with --keep to keep more."
        )
    state = read_state(kept[int(step)])
    return state["run"]["average"], {"network": state.get("network"), "step": step}, kept[int(step)]
