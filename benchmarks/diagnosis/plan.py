"""One planted run as a value: everything that decides it, so that a seed makes it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

HEALTHY = ""


@dataclass(frozen=True)
class Net:
    """How the two networks are built."""

    kind: str = "mlp"  # mlp, conv, conv1d
    width: int = 48
    depth: int = 2
    act: str = "lrelu"
    norm_g: str = ""  # "", bn, ln, gn
    norm_d: str = ""  # "", bn, ln, sn, gn
    dropout: float = 0.0  # of the critic
    latent: int = 8


@dataclass(frozen=True)
class Recipe:
    """What a sound user of the method sets."""

    loss: str = "ns"  # ns, prob (a probability by design), wgan, hinge, lsgan
    lr_g: float = 2e-3
    lr_d: float = 2e-3
    beta1: float = 0.5
    beta2: float = 0.99
    optimizer: str = "adam"
    n_critic: int = 1
    penalty: str = ""  # "", r1, gp, clip
    weight: float = 1.0
    lazy: int = 1
    ema: float = 0.0
    conditional: bool = False
    joint: bool = False
    batch: int = 64
    decay: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A run: the loop's style, what it trains on, with what, and the fault planted in it (none in a twin)."""

    style: str
    data: str
    net: Net = field(default_factory=Net)
    recipe: Recipe = field(default_factory=Recipe)
    fault: str = HEALTHY
    strength: float = 0.0
    odd: str = ""  # an oddity that is sound
    seed: int = 0
    steps: int = 200

    def twin(self) -> Plan:
        """The same run without its fault."""
        return replace(self, fault=HEALTHY, strength=0.0)

    @property
    def key(self) -> str:
        """A short name, the same for the same plan."""
        from hashlib import sha256

        text = repr(sorted(asdict(self).items()))
        what = self.fault or self.odd or "healthy"
        return f"{self.style}/{self.data}/{what}@{self.strength:g}/{self.seed}/{sha256(text.encode()).hexdigest()[:8]}"
