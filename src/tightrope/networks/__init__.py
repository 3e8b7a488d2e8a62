"""Reference networks: pairs of a generator and a critic that the papers, or people who use them, train.

``NETWORKS[name].generator(shape, ...)`` and ``NETWORKS[name].critic(shape, ...)`` build plain modules. Nothing in the
papers' own modules knows about them: any generator and critic of your own do as well.

>>> from tightrope.networks import NETWORKS
>>> generator = NETWORKS["dcgan"].generator((3, 32, 32), latent=64, width=8)
>>> critic = NETWORKS["dcgan"].critic((3, 32, 32), width=8)
>>> critic(generator(torch.randn(4, 64))).shape
torch.Size([4])
"""

from __future__ import annotations

from tightrope._plumbing.door import keep_door
from tightrope.networks.activations import GroupSort, MaxMin
from tightrope.networks.dcgan import DCGAN
from tightrope.networks.deep_resnet import DEEP_RESNET
from tightrope.networks.mescheder_resnet import MESCHEDER_RESNET
from tightrope.networks.mlp import MLP
from tightrope.networks.network import Network
from tightrope.networks.r3gan import R3GAN
from tightrope.networks.sizes import require_sizes
from tightrope.networks.sn_cnn import SN_CNN
from tightrope.networks.sn_resnet import SN_RESNET

NETWORKS: dict[str, Network] = {
    network.name: network for network in (MLP, DCGAN, SN_CNN, SN_RESNET, MESCHEDER_RESNET, DEEP_RESNET, R3GAN)
}
"""The pairs by name."""

__all__ = ["NETWORKS", "GroupSort", "MaxMin", "Network", "recommended"]


def recommended(shape: tuple[int, ...]) -> str:
    """The network to start with for a sample shape.

    Args:
        shape: Sample shape without the batch axis.

    Returns:
        ``"mlp"`` for vectors, signals and images below 16 pixels (where a DCGAN critic is a single convolution),
        ``"dcgan"`` for larger square images.

    Raises:
        UserError: For other images, saying which sizes work.

    Example:
        >>> from tightrope.networks import recommended
        >>> recommended((2,)), recommended((1, 8, 8)), recommended((3, 32, 32))
        ('mlp', 'mlp', 'dcgan')
    """
    require_sizes("mlp", shape)
    name = "dcgan" if len(shape) == 3 and min(shape[1:]) >= 16 else "mlp"
    NETWORKS[name].check(shape)
    return name


keep_door(__name__, __all__)
