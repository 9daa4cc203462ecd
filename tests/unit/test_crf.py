"""The fully connected CRF: a worked example, the lattice against all pairs, laws that hold for any image, refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data
from torch.nn.functional import avg_pool2d, interpolate, one_hot, scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

import segbook
from segbook.crf import Bilateral, DenseCRF, Gaussian, mean_field, normalized, smoothness_kernel
from segbook.gaussian_filters import AllPairs, PermutohedralLattice

PLAIN = {"appearance": Bilateral(5, 50, 10), "smoothness": Gaussian(3, 3)}  # of DeepLab v1
VOC = {"appearance": Bilateral(4, 67, 3), "smoothness": Gaussian(3, 1)}  # of DeepLab v2
OFF = {"appearance": Bilateral(0, 1, 1), "smoothness": Gaussian(0, 1)}


def toy():
    """An image of 6 x 8 pixels with an edge in the middle, and probabilities of 3 labels, without random numbers."""
    y, x = torch.meshgrid(torch.arange(6), torch.arange(8), indexing="ij")
    logits = [
        2.0 * (x < 4) + 0.5 * ((3 * x + 5 * y) % 7 == 0),
        2.0 * (x >= 4) - 1.5 * ((x + 2 * y) % 5 == 0),
        1.0 * ((x * y) % 4 == 1),
    ]
    image = torch.stack([40 + 10 * y, torch.where(x < 4, 60, 180), 200 - 5 * x]).to(torch.uint8)
    return image, torch.stack(logits).double().softmax(0)


def photograph(name: str, height: int, width: int) -> torch.Tensor:
    image = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float()
    return interpolate(image, (height, width), mode="bilinear", antialias=True)[0].round().clamp(0, 255).to(torch.uint8)


def coarse_probabilities(image: torch.Tensor, labels: int, stride: int = 8) -> torch.Tensor:
    """What a net of this stride might say of an image whose classes are steps of brightness: shares of each cell."""
    gray = image.float().mean(dim=0)
    steps = torch.bucketize(gray, gray.quantile(torch.linspace(0, 1, labels + 1)[1:-1]))
    shares = avg_pool2d(one_hot(steps, labels).permute(2, 0, 1).float(), stride, ceil_mode=True)
    large = interpolate(shares[None], image.shape[1:], mode="bilinear")[0]
    return 0.9 * large / large.sum(dim=0) + 0.1 / labels


def random_case(labels, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    return image, torch.randn(labels, height, width, generator=generator).softmax(0)


def mean_difference(a, b):
    return float((a - b).abs().mean())


def equal_labels(a, b):
    return float((a.argmax(0) == b.argmax(0)).float().mean())


def assert_printed(q, pixel_0, pixel_13=None, total=None):
    q = q.flatten(1).T
    assert q[0].tolist() == pytest.approx(pixel_0, abs=6e-7)
    assert pixel_13 is None or q[13].tolist() == pytest.approx(pixel_13, abs=6e-7)
    assert total is None or float(q[:, 0].sum()) == pytest.approx(total, abs=6e-7)


def test_the_package_offers_it():
    assert segbook.crf.DenseCRF is DenseCRF


# The worked example: computed once with an independent program that holds all 48 x 48 kernel values.


@pytest.mark.parametrize(
    ("iterations", "pixel_0", "pixel_13", "total"),
    [
        (0, [0.908760, 0.016645, 0.074596], [0.090031, 0.665241, 0.244728], 22.650212),
        (1, [0.998881, 0.000215, 0.000904], [0.004486, 0.989448, 0.006066], 24.208432),
        (5, [0.999832, 0.000045, 0.000123], [0.000252, 0.999524, 0.000225], 24.005888),
        (10, [0.999832, 0.000045, 0.000123], [0.000252, 0.999524, 0.000225], 24.005888),
    ],
)
def test_the_worked_example(iterations, pixel_0, pixel_13, total):
    image, probabilities = toy()
    q = DenseCRF(**PLAIN, iterations=iterations, method="exact")(image, probabilities)
    assert q.dtype == torch.float64
    assert_printed(q, pixel_0, pixel_13, total)
    lattice = DenseCRF(**PLAIN, iterations=iterations)(image, probabilities)
    assert (lattice - q).abs().max() < (0.02 if iterations < 5 else 0.0013)
    assert torch.equal(lattice.argmax(0), q.argmax(0))
    single = DenseCRF(**PLAIN, iterations=iterations, method="exact")(image, probabilities.float())
    torch.testing.assert_close(single.double(), q, atol=2e-6, rtol=0)


def test_the_worked_example_normalized_after():
    after = DenseCRF(**PLAIN, method="exact", normalization="after")
    assert_printed(after(*toy()), [0.999928, 0.000021, 0.000051])


WHISPER = {"appearance": Bilateral(0.02, 50, 10), "smoothness": Gaussian(0.03, 3)}  # for sums that nothing divides


@pytest.mark.parametrize(
    ("iterations", "pixel_0", "pixel_13"),
    [
        (1, [0.927405, 0.013662, 0.058934], [0.086893, 0.712001, 0.201106]),
        (5, [0.929274, 0.013437, 0.057288], [0.086975, 0.717798, 0.195227]),
    ],
)
def test_without_normalization_the_lattice_is_the_authors(iterations, pixel_0, pixel_13):
    # The numbers are what the authors' C++ library gives under NO_NORMALIZATION.
    assert_printed(DenseCRF(**WHISPER, iterations=iterations, normalization="none")(*toy()), pixel_0, pixel_13)


def test_without_normalization_the_sum_over_all_pairs_is_divided_by_nothing():
    image, probabilities = toy()
    y, x = torch.meshgrid(torch.arange(6.0).double(), torch.arange(8.0).double(), indexing="ij")
    near, alike = torch.stack([x, y]) / 3, torch.cat([torch.stack([x, y]) / 50, image / 10])
    message = torch.zeros_like(probabilities)
    for weight, features in ((0.03, near), (0.02, alike)):
        features = features.flatten(1).T
        kernel = torch.exp(-((features[:, None] - features) ** 2).sum(-1) / 2)
        message += weight * (probabilities.flatten(1) @ kernel).view_as(message)
    expected = (probabilities.log() + message).softmax(0)
    q = DenseCRF(**WHISPER, iterations=1, normalization="none", method="exact")(image, probabilities)
    torch.testing.assert_close(q, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("normalization", "pixel_0"),
    [("symmetric", [0.999764, 0.000064, 0.000172]), ("after", [0.999924, 0.000023, 0.000053])],
)
def test_the_worked_example_without_the_pair_of_a_pixel_with_itself(normalization, pixel_0):
    class OtherPixels(AllPairs):
        def __call__(self, values):
            alone = (self.query * self.key).sum(dim=1, keepdim=True).exp()  # what a pixel says to itself, as scaled
            return super().__call__(values) - alone * values

    image, probabilities = toy()
    y, x = torch.meshgrid(torch.arange(6.0).double(), torch.arange(8.0).double(), indexing="ij")
    near, alike = torch.stack([x, y]) / 3, torch.cat([torch.stack([x, y]) / 50, image / 10])
    ones = torch.ones(48, 1, dtype=torch.float64)
    kernels = [
        (weight, normalized(OtherPixels(features.flatten(1).T), ones, normalization))
        for weight, features in ((3, near), (5, alike))
    ]
    q = mean_field(probabilities.flatten(1).T.contiguous(), kernels, 10)
    assert_printed(q.T, pixel_0)


def test_the_worked_example_with_smoothness_alone():
    only_smooth = {"appearance": Bilateral(0, 1, 1), "smoothness": Gaussian(3, 1), "iterations": 5}
    assert_printed(DenseCRF(**only_smooth, method="exact")(*toy()), [0.992500, 0.001361, 0.006139])
    # What the authors' C++ library prints: the lattice has its own error, and the same one.
    assert_printed(DenseCRF(**only_smooth)(*toy()), [0.992077, 0.001435, 0.006488])


# The filters.


def test_all_pairs_is_the_double_sum():
    generator = torch.Generator().manual_seed(0)
    features, values = torch.randn(700, 5, generator=generator) * 3 + 50, torch.rand(700, 4, generator=generator)
    distance = (features[:, None] - features).double().square().sum(dim=2)
    torch.testing.assert_close(
        AllPairs(features)(values).double(), (distance / -2).exp() @ values.double(), atol=1e-4, rtol=1e-4
    )


def test_all_pairs_never_holds_all_pairs():
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.numel())
            return result

    kernel, values = AllPairs(torch.rand(3000, 2)), torch.rand(3000, 2)
    with Watch():
        kernel(values)
    assert 3000 * 7 <= largest <= 2**18 < 3000**2


@pytest.mark.parametrize("labels", [1, 6])
def test_the_message_is_attention_with_a_gaussian_kernel(labels):
    generator = torch.Generator().manual_seed(1)
    features, values = torch.randn(200, 5, generator=generator), torch.rand(200, labels, generator=generator)
    kernel = AllPairs(features)
    attention = scaled_dot_product_attention(kernel.query[None], kernel.key[None], values[None], scale=1)[0]
    torch.testing.assert_close(attention, kernel(values) / kernel(torch.ones(200, 1)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_lattice_steps(d):
    features = torch.randn(500, d, generator=torch.Generator().manual_seed(d)).double() * 2
    lattice, values = PermutohedralLattice(features), torch.ones(500, 1, dtype=torch.float64)
    # The weights with which a pixel is splatted are those of a mean, so nothing is lost and nothing negative.
    assert lattice.splat_weights.min() > -1e-12
    table = lattice.splat(values)
    assert float(table.sum()) == pytest.approx(500)
    assert table[-1] == 0 and lattice.blur(table)[-1] == 0
    # Neighbourhood is mutual: whose neighbour after I am, that one is my neighbour before.
    for before, itself, after in lattice.neighbors.long().transpose(1, 2):
        known = (after < len(itself) - 1).nonzero()[:, 0]
        assert torch.equal(before[after[known]], itself[known])
        assert int((before < len(itself) - 1).sum()) == len(known)
        assert not (before[:-1] == itself[:-1]).any() and before[-1] == itself[-1] == after[-1]


def test_lattice_passes_a_value_on_as_a_gaussian_does():
    y, x = torch.meshgrid(torch.arange(61.0), torch.arange(61.0), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).view(-1, 2)
    spikes = torch.zeros(61, 61, 49)
    spikes[27:34, 27:34] = torch.eye(49).view(7, 7, 49)  # each label starts in another pixel of the middle
    spread, exact = (kernel(pixels / 6)(spikes.view(-1, 49)) for kernel in (PermutohedralLattice, AllPairs))
    spread, exact = spread / spread.sum(dim=0), exact / exact.sum(dim=0)
    assert float((spread - exact).abs().sum(dim=0).mean()) / 2 < 0.07  # share that lands elsewhere
    deviation = (spread.T @ pixels.square() - (spread.T @ pixels).square()).sqrt().mean(dim=0)
    torch.testing.assert_close(deviation, torch.tensor([6.0, 6.0]), rtol=0.02, atol=0)
    torch.testing.assert_close((spread.T @ pixels)[24], torch.tensor([30.0, 30.0]), rtol=0, atol=0.05)


# Photographs.


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_lattice_against_all_pairs_on_photographs(name):
    image = photograph(name, 90, 120)
    probabilities = coarse_probabilities(image, 21)  # the data set that the parameters were chosen on has 21 labels
    lattice = DenseCRF(**VOC, iterations=5)(image, probabilities)
    exact = DenseCRF(**VOC, iterations=5, method="exact")(image, probabilities)
    assert mean_difference(lattice, exact) <= 0.005
    assert equal_labels(lattice, exact) >= 0.96
    assert mean_difference(exact, probabilities) > 0.02  # it did something


@pytest.mark.parametrize("settings", [VOC, PLAIN, {"appearance": Bilateral(10, 80, 13), "smoothness": Gaussian(3, 3)}])
@pytest.mark.parametrize(
    ("name", "size", "labels"), [("astronaut", (90, 120), 5), ("chelsea", (91, 121), 21), ("coffee", (67, 33), 2)]
)
def test_lattice_against_the_authors_library(name, size, labels, settings):
    library = pytest.importorskip("pydensecrf.densecrf", reason="the C++ library pydensecrf2 is not installed")
    image = photograph(name, *size)
    probabilities = coarse_probabilities(image, labels)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    scales = [
        ("symmetric", library.NORMALIZE_SYMMETRIC, 1),
        ("after", library.NORMALIZE_AFTER, 1),
        ("none", library.NO_NORMALIZATION, 1000),  # sums over so many pixels say everything at the usual weights
    ]
    for ours, theirs, divided in scales:
        near = Gaussian(settings["smoothness"].weight / divided, settings["smoothness"].sigma_xy)
        alike = replace(settings["appearance"], weight=settings["appearance"].weight / divided)
        peer = library.DenseCRF2D(size[1], size[0], labels)
        peer.setUnaryEnergy(-probabilities.log().flatten(1).numpy())
        peer.addPairwiseGaussian(sxy=near.sigma_xy, compat=near.weight, normalization=theirs)
        peer.addPairwiseBilateral(alike.sigma_xy, alike.sigma_rgb, pixels, compat=alike.weight, normalization=theirs)
        expected = torch.from_numpy(np.array(peer.inference(10))).view(labels, *size)
        q = DenseCRF(alike, near, normalization=ours)(image, probabilities)
        assert mean_difference(q, expected) <= 1e-5
        assert equal_labels(q, expected) >= 0.9999


# Laws.


@pytest.mark.parametrize("method", ["lattice", "exact"])
@pytest.mark.parametrize(
    ("labels", "height", "width"), [(1, 7, 5), (2, 1, 1), (3, 1, 9), (4, 13, 1), (15, 9, 10), (16, 11, 7), (40, 5, 6)]
)
def test_any_size_and_any_number_of_labels(method, labels, height, width):
    image, probabilities = random_case(labels, height, width)
    before = probabilities.clone()
    q = DenseCRF(**PLAIN, method=method)(image, probabilities)
    assert q.shape == probabilities.shape and q.dtype == torch.float32 and q.is_contiguous()
    assert q.min() >= 0 and (q.sum(dim=0) - 1).abs().max() < 1e-5
    assert torch.equal(probabilities, before)


@pytest.mark.parametrize("method", ["lattice", "exact"])
def test_labels_may_change_places(method):
    image, probabilities = photograph("coffee", 30, 41), random_case(6, 30, 41)[1]
    crf, order = DenseCRF(**PLAIN, method=method), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(crf(image, probabilities[order]), crf(image, probabilities)[order], atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ["lattice", "exact"])
@pytest.mark.parametrize("labels", [5, 21])
def test_without_weights_or_iterations_nothing_happens(method, labels):
    image, probabilities = random_case(labels, 12, 17)
    for crf in (DenseCRF(**OFF, method=method), DenseCRF(**PLAIN, iterations=0, method=method)):
        torch.testing.assert_close(crf(image, probabilities), probabilities, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", ["lattice", "exact"])
def test_who_has_no_preference_gets_none(method):
    image = photograph("chelsea", 20, 31)
    q = DenseCRF(**PLAIN, method=method)(image, torch.full((4, 20, 31), 0.25))
    torch.testing.assert_close(q, torch.full((4, 20, 31), 0.25), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("method", "bound"), [("exact", 1e-5), ("lattice", 5e-3)])
def test_in_a_constant_image_appearance_is_a_plain_gaussian(method, bound):
    probabilities = coarse_probabilities(photograph("coffee", 40, 53), 4)
    constant = torch.full((3, 40, 53), 90, dtype=torch.uint8)
    bilateral = DenseCRF(Bilateral(3, 5, 13), Gaussian(0, 1), method=method)(constant, probabilities)
    gaussian = DenseCRF(Bilateral(0, 1, 1), Gaussian(3, 5), method=method)(constant, probabilities)
    assert mean_difference(bilateral, gaussian) < bound
    assert mean_difference(gaussian, probabilities) > 0.02


def test_edges_of_the_image_stop_a_label():
    image = torch.zeros(3, 24, 32, dtype=torch.uint8)
    image[:, :, 13:] = 200
    truth = (torch.arange(32) >= 13).long().expand(24, 32)
    blurred = interpolate(one_hot(truth, 2).permute(2, 0, 1)[None, :, ::8, ::8].float(), (24, 32), mode="bilinear")[0]
    blurred = 0.8 * blurred + 0.1
    assert (blurred.argmax(0) != truth).any()
    for method in ("lattice", "exact"):
        q = DenseCRF(Bilateral(5, 20, 10), Gaussian(1, 1), method=method)(image, blurred)
        assert torch.equal(q.argmax(0), truth)


def test_a_label_that_is_impossible_stays_so():
    image, probabilities = random_case(3, 8, 9)
    probabilities[2] = 0
    q = DenseCRF(**PLAIN)(image, probabilities / probabilities.sum(dim=0))
    assert not q[2].any() and not q.isnan().any()


def test_the_smoothness_lattice_is_kept_for_images_of_a_size(monkeypatch):
    built = []

    class Counted(PermutohedralLattice):
        def __init__(self, features):
            built.append(features.shape[1])
            super().__init__(features)

    monkeypatch.setitem(segbook.crf.METHODS, "lattice", Counted)
    smoothness_kernel.cache_clear()
    image, probabilities = random_case(3, 10, 12)
    first = DenseCRF(**PLAIN)(image, probabilities)
    assert sorted(built) == [2, 5]  # and not once an iteration
    other, _ = random_case(3, 10, 12, seed=2)
    changed = DenseCRF(**PLAIN)(other, probabilities)
    DenseCRF(**PLAIN)(other, random_case(7, 10, 12, seed=1)[1])
    assert sorted(built) == [2, 5, 5, 5]  # it depends on the size alone
    image.copy_(other)  # the same tensor with other pixels is another image
    assert torch.equal(DenseCRF(**PLAIN)(image, probabilities), changed)
    assert not torch.equal(changed, first)
    DenseCRF(**PLAIN)(*random_case(3, 12, 10))
    DenseCRF(**PLAIN)(image, probabilities)
    assert built.count(2) == 3  # only one is alive
    smoothness_kernel.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("method", ["lattice", "exact"])
def test_on_a_gpu(method):
    image = photograph("coffee", 61, 83)
    probabilities = coarse_probabilities(image, 5)
    crf = DenseCRF(**VOC, method=method)
    q = crf(image.cuda(), probabilities.cuda())
    assert q.is_cuda and mean_difference(q.cpu(), crf(image, probabilities)) < 1e-4


# Refusals.


@pytest.mark.parametrize(
    ("image", "probabilities", "error", "message"),
    [
        (torch.zeros(3, 4, 5), torch.ones(1, 4, 5), TypeError, "image must be a tensor of uint8, not float32"),
        (np.zeros((3, 4, 5), np.uint8), torch.ones(1, 4, 5), TypeError, "not a NumPy array of uint8: torch.from_numpy"),
        (
            torch.zeros(3, 4, 5).byte(),
            np.ones((1, 4, 5), np.float32),
            TypeError,
            "probabilities must be a tensor of float32 or float64, not a NumPy array of float32: torch.from_numpy",
        ),
        (None, torch.ones(1, 4, 5), TypeError, "not NoneType"),
        (
            torch.zeros(4, 5, 3).byte(),
            torch.ones(1, 4, 5),
            ValueError,
            r"image .*\[3, height, width\], not \[4, 5, 3\]",
        ),
        (torch.zeros(1, 3, 4, 5).byte(), torch.ones(1, 4, 5), ValueError, r"not \[1, 3, 4, 5\]"),
        (torch.zeros(3, 0, 5).byte(), torch.ones(1, 0, 5), ValueError, r"not \[3, 0, 5\]"),
        (torch.zeros(3, 4, 5).byte(), torch.ones(1, 4, 5).long(), TypeError, "probabilities .* not int64"),
        (torch.zeros(3, 4, 5).byte(), torch.ones(1, 4, 5).half(), TypeError, "float32 or float64, not float16"),
        (
            torch.zeros(3, 4, 5).byte(),
            torch.ones(1, 5, 4),
            ValueError,
            r"\[labels, 4, 5\], as the image, not \[1, 5, 4\]",
        ),
        (torch.zeros(3, 4, 5).byte(), torch.ones(4, 5), ValueError, r"not \[4, 5\]"),
        (torch.zeros(3, 4, 5).byte(), torch.ones(0, 4, 5), ValueError, r"not \[0, 4, 5\]"),
        (
            torch.zeros(3, 4, 5).byte(),
            torch.ones(1, 4, 5, device="meta"),
            ValueError,
            "image is on cpu, probabilities on meta",
        ),
        (torch.zeros(3, 4, 5).byte(), torch.ones(2, 4, 5), ValueError, r"sum to 1 .*softmax"),
        (torch.zeros(3, 4, 5).byte(), torch.full((1, 4, 5), torch.nan), ValueError, "sum to 1"),
        (
            torch.zeros(3, 4, 5).byte(),
            torch.tensor([1.5, -0.5])[:, None, None].expand(2, 4, 5),
            ValueError,
            "0 or more",
        ),
    ],
)
def test_wrong_inputs_are_refused(image, probabilities, error, message):
    with pytest.raises(error, match=message):
        DenseCRF(**PLAIN)(image, probabilities)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(1, -3), "sigma_xy must be positive and finite, not -3"),
        (lambda: Gaussian(1, 0), "sigma_xy must be positive"),
        (lambda: Gaussian(-1, 3), "weight must be 0 or more and finite, not -1"),
        (lambda: Gaussian(float("nan"), 3), "weight"),
        (lambda: Bilateral(1, 3, -0.1), "sigma_rgb must be positive"),
        (lambda: Bilateral(1, 3, float("inf")), "sigma_rgb"),
        (lambda: DenseCRF(**PLAIN, iterations=-1), "iterations must be a whole number"),
        (lambda: DenseCRF(**PLAIN, iterations=2.5), "iterations must be a whole number"),
        (lambda: DenseCRF(**PLAIN, method="grid"), "method must be one of lattice, exact; got 'grid'"),
        (lambda: DenseCRF(**PLAIN, normalization="before"), "normalization must be one of symmetric, after, none"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_kernels_in_each_others_place_are_refused():
    with pytest.raises(TypeError, match="appearance must be a Bilateral"):
        DenseCRF(Gaussian(3, 3), Bilateral(5, 50, 10))
    with pytest.raises(TypeError, match="smoothness a Gaussian"):
        DenseCRF(Bilateral(5, 50, 10), Bilateral(5, 50, 10))


@pytest.mark.parametrize("sigma", [1e-3, 1e-30, 1e-300])
def test_a_sigma_too_small_for_the_lattice_is_refused(sigma):
    image, probabilities = random_case(2, 20, 30)
    with pytest.raises(ValueError, match="use a larger sigma"):
        DenseCRF(Bilateral(1, sigma, sigma), Gaussian(1, 1))(image, probabilities)
