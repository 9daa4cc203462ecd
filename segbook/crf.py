"""The fully connected CRF: every pixel talks to every other, the louder the more alike they are in place and colour.

The energy of a labelling x is Σ_i −log P_i(x_i) + Σ_{i<j} [x_i ≠ x_j] Σ_m w_m k_m(f_i, f_j), with Gaussian kernels
k(f_i, f_j) = exp(−|f_i − f_j|²/2) of features f: position / σ_xy (smoothness), and also colour / σ_rgb (appearance).
Source: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials" (2011).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from segbook.gaussian_filters import AllPairs, PermutohedralLattice
from segbook.guards import one_of, whole

METHODS = {"lattice": PermutohedralLattice, "exact": AllPairs}
NORMALIZATIONS = ("symmetric", "after", "none")


@dataclass(frozen=True)
class Gaussian:
    """The smoothness kernel: ``weight`` ≥ 0 and ``sigma_xy`` > 0 in pixels. ValueError for other numbers."""

    weight: float
    sigma_xy: float

    def __post_init__(self):
        for name, value in vars(self).items():
            if not 0 <= value < math.inf or (value == 0 and name != "weight"):
                raise ValueError(
                    f"{name} must be {'0 or more' if name == 'weight' else 'positive'} and finite, not {value}"
                )


@dataclass(frozen=True)
class Bilateral(Gaussian):
    """The appearance kernel: as :class:`Gaussian`, and ``sigma_rgb`` > 0 in grey levels (colours run from 0 to 255)."""

    sigma_rgb: float


def normalized(kernel, ones: Tensor, normalization: str):
    """Scale a kernel K by its response D_i = Σ_j k(f_i, f_j) to ``ones`` [N, 1], the pair i = j included; return it.

    "symmetric" makes it D^-½ K D^-½ and "after" D^-1 K, so that weights mean the same in images of any size; "none"
    leaves the kernel as it is, the paper's sum: a pixel in a crowd of similar ones hears as many voices as there are, and
    weights must be small. These are the authors' NORMALIZE_SYMMETRIC, NORMALIZE_AFTER and NO_NORMALIZATION. Unscaled, the
    lattice keeps the constant by which it differs from the sum over all pairs, as the authors' does.
    """
    if normalization == "none":
        return kernel
    response = kernel(ones).flatten()
    root = response.rsqrt()
    columns, rows = (root, root) if normalization == "symmetric" else (ones.flatten(), 1 / response)
    kernel.normalize_(columns, rows)
    return kernel


def positions(size, sigma_xy: float, dtype, device) -> Tensor:
    """Features [H·W, 2] of the pixels of an image of ``size`` (height, width): (x, y) over ``sigma_xy``."""
    y, x = (torch.arange(n, dtype=dtype, device=device) / sigma_xy for n in size)
    return torch.cartesian_prod(y, x).flip(1)


def build_kernel(features: Tensor, method: str, normalization: str):
    """The normalised kernel of pixels with such features: a function values [N, K] -> messages [N, K]."""
    return normalized(METHODS[method](features), torch.ones_like(features[:, :1]), normalization)


def appearance_kernel(image: Tensor, sigma_xy, sigma_rgb, dtype, method, normalization):
    """The kernel of position and colour. Every image has its own."""
    colors = image.flatten(1).T.to(dtype) / sigma_rgb
    features = torch.cat([positions(image.shape[1:], sigma_xy, dtype, image.device), colors], dim=1)  # [N, 5]
    return build_kernel(features, method, normalization)


@lru_cache(maxsize=1)
def smoothness_kernel(size, sigma_xy, dtype, device, method, normalization):
    """The kernel of position alone. The images of a data set share it, so that the last one is kept."""
    return build_kernel(positions(size, sigma_xy, dtype, device), method, normalization)


def local_update(minus_energy: Tensor, out: Tensor | None = None) -> Tensor:
    """Q [N, K] = exp(−energy), normalised for each pixel. Softmax is slow over short rows, over columns it is not."""
    short = minus_energy.shape[1] < 16
    return minus_energy.T.softmax(0).T.contiguous() if short else torch.softmax(minus_energy, 1, out=out)


def mean_field(probabilities: Tensor, kernels, iterations: int) -> Tensor:
    """The paper's algorithm 1: from P [N, K] and ``kernels``, pairs of w_m and a function Q -> message, to Q [N, K]."""
    minus_unary = probabilities.log()
    q = local_update(minus_unary)
    for _ in range(iterations):
        minus_energy = minus_unary
        for weight, kernel in kernels:
            message = kernel(q)  # message passing
            # Compatibility transform: against label l counts the sum of the messages of all other labels. As Q sums to
            # one, that is a number equal for all l, which the local update cancels, minus the message of l.
            # (``out``, here and below: to ask for new memory takes longer than the sum.)
            minus_energy = torch.add(minus_energy, message, alpha=weight, out=message)
        q = local_update(minus_energy, out=q)
    return q


@dataclass(frozen=True)
class DenseCRF:
    """``crf(image uint8 [3, H, W], probabilities [K, H, W]) -> probabilities [K, H, W]`` with the image's edges.

    ``iterations`` of mean field; ``method`` "exact" (all pairs, in time (H·W)², for small images) or "lattice" (nearly the
    same, in time H·W); ``normalization``: see :func:`normalized`. Image and probabilities (float32, or float64 for more
    digits) lie on one device. A label of probability 0 stays impossible: raise zeros that are not certain to 1e-5, say.
    Raises TypeError for other types, ValueError for other shapes, logits, and numbers that cannot be used.
    """

    appearance: Bilateral
    smoothness: Gaussian
    iterations: int = 10
    method: str = "lattice"
    normalization: str = "symmetric"

    def __post_init__(self):
        if type(self.appearance) is not Bilateral or type(self.smoothness) is not Gaussian:
            raise TypeError("appearance must be a Bilateral(weight, sigma_xy, sigma_rgb), smoothness a Gaussian(…)")
        one_of("method", self.method, METHODS)
        one_of("normalization", self.normalization, NORMALIZATIONS)
        whole("iterations", self.iterations, 0)

    @torch.no_grad()
    def __call__(self, image: Tensor, probabilities: Tensor) -> Tensor:
        check(image, probabilities)
        kernels = self.kernels(image, probabilities.dtype)
        q = mean_field(probabilities.flatten(1).T.contiguous(), kernels, self.iterations)
        return q.T.contiguous().view(probabilities.shape)

    def kernels(self, image: Tensor, dtype=torch.float32) -> list:
        """The pairs (weight, kernel) for :func:`mean_field`. A kernel without weight is left out."""
        near, alike, how = self.smoothness, self.appearance, (self.method, self.normalization)
        kernels = []
        if alike.weight > 0:
            kernels.append((alike.weight, appearance_kernel(image, alike.sigma_xy, alike.sigma_rgb, dtype, *how)))
        if near.weight > 0:
            size = tuple(image.shape[1:])
            kernels.append((near.weight, smoothness_kernel(size, near.sigma_xy, dtype, image.device, *how)))
        return kernels


def check(image: Tensor, probabilities: Tensor) -> None:
    """Refuse what is no image, or no probabilities of the labels of its pixels."""
    for name, value, dtypes in (
        ("image", image, (torch.uint8,)),
        ("probabilities", probabilities, (torch.float32, torch.float64)),
    ):
        wanted = f"{name} must be a tensor of {' or '.join(str(dtype).removeprefix('torch.') for dtype in dtypes)}"
        if isinstance(value, np.ndarray):
            raise TypeError(f"{wanted}, not a NumPy array of {value.dtype}: torch.from_numpy(…) makes a tensor of it")
        if not isinstance(value, Tensor):
            raise TypeError(f"{wanted}, not {type(value).__name__}")
        if value.dtype not in dtypes:
            raise TypeError(f"{wanted}, not {str(value.dtype).removeprefix('torch.')}")
    if image.ndim != 3 or len(image) != 3 or image.numel() == 0:
        raise ValueError(f"image must have the shape [3, height, width], not {list(image.shape)}")
    if probabilities.ndim != 3 or probabilities.shape[1:] != image.shape[1:] or len(probabilities) == 0:
        wanted = f"[labels, {image.shape[1]}, {image.shape[2]}], as the image"
        raise ValueError(f"probabilities must have the shape {wanted}, not {list(probabilities.shape)}")
    if probabilities.device != image.device:
        raise ValueError(f"image is on {image.device}, probabilities on {probabilities.device}: move one of them")
    if not ((probabilities.sum(dim=0) - 1).abs() < 1e-3).all() or probabilities.min() < 0:
        raise ValueError("probabilities must be 0 or more and sum to 1 in every pixel; logits become so by .softmax(0)")
