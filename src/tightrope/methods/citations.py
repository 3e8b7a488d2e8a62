"""BibTeX of the papers that methods, losses and penalties name as their source."""

from __future__ import annotations

import re
from typing import Final

from tightrope.methods import Method, build


def _entry(key: str, title: str, authors: str, year: int, arxiv: str) -> str:
    return (
        f"@misc{{{key},\n  title = {{{title}}},\n  author = {{{authors}}},\n  year = {{{year}}},\n"
        f"  eprint = {{{arxiv}}},\n  archivePrefix = {{arXiv}}\n}}"
    )


PAPERS: Final[dict[str, str]] = {
    "1406.2661": _entry(
        "goodfellow2014generative",
        "Generative Adversarial Networks",
        "Goodfellow, Ian J. and Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and Warde-Farley, David and Ozair, "
        "Sherjil and Courville, Aaron and Bengio, Yoshua",
        2014,
        "1406.2661",
    ),
    "1511.06434": _entry(
        "radford2016unsupervised",
        "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        "Radford, Alec and Metz, Luke and Chintala, Soumith",
        2016,
        "1511.06434",
    ),
    "1611.04076": _entry(
        "mao2017least",
        "Least Squares Generative Adversarial Networks",
        "Mao, Xudong and Li, Qing and Xie, Haoran and Lau, Raymond Y. K. and Wang, Zhen and Smolley, Stephen Paul",
        2017,
        "1611.04076",
    ),
    "1701.07875": _entry(
        "arjovsky2017wasserstein",
        "Wasserstein GAN",
        "Arjovsky, Martin and Chintala, Soumith and Bottou, L{\\'e}on",
        2017,
        "1701.07875",
    ),
    "1704.00028": _entry(
        "gulrajani2017improved",
        "Improved Training of Wasserstein GANs",
        "Gulrajani, Ishaan and Ahmed, Faruk and Arjovsky, Martin and Dumoulin, Vincent and Courville, Aaron",
        2017,
        "1704.00028",
    ),
    "1705.10461": _entry(
        "mescheder2017numerics",
        "The Numerics of GANs",
        "Mescheder, Lars and Nowozin, Sebastian and Geiger, Andreas",
        2017,
        "1705.10461",
    ),
    "1706.08500": _entry(
        "heusel2017gans",
        "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
        "Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and Hochreiter, Sepp",
        2017,
        "1706.08500",
    ),
    "1709.08894": _entry(
        "petzka2018regularization",
        "On the regularization of Wasserstein GANs",
        "Petzka, Henning and Fischer, Asja and Lukovnikov, Denis",
        2018,
        "1709.08894",
    ),
    "1711.00141": _entry(
        "daskalakis2017training",
        "Training GANs with Optimism",
        "Daskalakis, Constantinos and Ilyas, Andrew and Syrgkanis, Vasilis and Zeng, Haoyang",
        2017,
        "1711.00141",
    ),
    "1801.04406": _entry(
        "mescheder2018which",
        "Which Training Methods for GANs do actually Converge?",
        "Mescheder, Lars and Geiger, Andreas and Nowozin, Sebastian",
        2018,
        "1801.04406",
    ),
    "1802.05642": _entry(
        "balduzzi2018mechanics",
        "The Mechanics of n-Player Differentiable Games",
        "Balduzzi, David and Racani{\\`e}re, S{\\'e}bastien and Martens, James and Foerster, Jakob and Tuyls, "
        "Karl and Graepel, Thore",
        2018,
        "1802.05642",
    ),
    "1802.05957": _entry(
        "miyato2018spectral",
        "Spectral Normalization for Generative Adversarial Networks",
        "Miyato, Takeru and Kataoka, Toshiki and Koyama, Masanori and Yoshida, Yuichi",
        2018,
        "1802.05957",
    ),
    "1802.08768": _entry(
        "odena2018generator",
        "Is Generator Conditioning Causally Related to GAN Performance?",
        "Odena, Augustus and Buckman, Jacob and Olsson, Catherine and Brown, Tom B. and Olah, Christopher and Raffel, "
        "Colin and Goodfellow, Ian",
        2018,
        "1802.08768",
    ),
    "1802.10551": _entry(
        "gidel2018variational",
        "A Variational Inequality Perspective on Generative Adversarial Networks",
        'Gidel, Gauthier and Berard, Hugo and Vignoud, Ga{\\"e}tan and Vincent, Pascal and Lacoste-Julien, Simon',
        2018,
        "1802.10551",
    ),
    "1807.00734": _entry(
        "jolicoeurmartineau2018relativistic",
        "The relativistic discriminator: a key element missing from standard GAN",
        "Jolicoeur-Martineau, Alexia",
        2018,
        "1807.00734",
    ),
    "1807.04740": _entry(
        "gidel2018negative",
        "Negative Momentum for Improved Game Dynamics",
        "Gidel, Gauthier and Askari Hemmat, Reyhane and Pezeshki, Mohammad and Le Priol, R{\\'e}mi and Huang, "
        "Gabriel and Lacoste-Julien, Simon and Mitliagkas, Ioannis",
        2018,
        "1807.04740",
    ),
    "2006.14567": _entry(
        "chavdarova2020taming",
        "Taming GANs with Lookahead-Minmax",
        "Chavdarova, Tatjana and Pagliardini, Matteo and Stich, Sebastian U. and Fleuret, Fran{\\c{c}}ois and "
        "Jaggi, Martin",
        2020,
        "2006.14567",
    ),
    "2501.05441": _entry(
        "huang2025gan",
        "The GAN is dead; long live the GAN! A Modern GAN Baseline",
        "Huang, Yiwen and Gokaslan, Aaron and Kuleshov, Volodymyr and Tompkin, James",
        2025,
        "2501.05441",
    ),
}


def sources(method: Method) -> list[str]:
    """Numbers on arXiv of a method, its own first, then its loss and penalties, in the order they are named."""
    texts = [method.source, method.loss.source, *((p.function.__doc__ or "") for p in method.penalties)]
    found = [number for text in texts for number in re.findall(r"\b\d{4}\.\d{4,5}\b", text)]
    return [number for number in dict.fromkeys(found) if number in PAPERS]


def bibtex(name: str) -> str:
    """BibTeX entries of the papers behind a method.

    Args:
        name: Key in ``METHODS``.

    Raises:
        UserError: Unknown method.
    """
    return "\n\n".join(PAPERS[number] for number in sources(build(name)))
