"""Time of the fully connected CRF beside the authors' C++ code (package pydensecrf2), on one thread.

    python tests/benchmarks/crf.py [--height 360] [--width 480] [--labels 21] [--iterations 10] [--runs 5]

Both programs get the same photograph and the same probabilities, take turns in one process, and include building the
lattice; "lattice kept" is a further call for the same photograph. Times are CPU seconds, medians over the runs; a ratio
below 1 means ours is faster. Agreement: mean difference of the probabilities, share of pixels with the same label.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from skimage import data
from torch.nn.functional import interpolate

from segbook.crf import Bilateral, DenseCRF, Gaussian, build_kernel

try:
    import pydensecrf.densecrf as library
except ImportError:
    sys.exit("this benchmark compares with the C++ library: pip install pydensecrf2 (needs a C++ compiler)")

PARAMETERS = {
    "4/67/3 + 3/1": (Bilateral(4, 67, 3), Gaussian(3, 1)),
    "5/50/5 + 3/3": (Bilateral(5, 50, 5), Gaussian(3, 3)),
    "10/80/13 + 3/3": (Bilateral(10, 80, 13), Gaussian(3, 3)),
}


def case(labels: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A photograph and smooth probabilities, random at one point in 24 pixels and interpolated between."""
    pixels = torch.from_numpy(data.coffee()).permute(2, 0, 1)[None].float()
    image = interpolate(pixels, (height, width), mode="bilinear", antialias=True)[0].round().clamp(0, 255).byte()
    generator = torch.Generator().manual_seed(0)
    coarse = 2 * torch.randn(1, labels, max(2, height // 24), max(2, width // 24), generator=generator)
    return image, interpolate(coarse, (height, width), mode="bilinear")[0].softmax(0)


def run_library(image, probabilities, appearance, smoothness, iterations):
    labels, height, width = probabilities.shape
    crf = library.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(-probabilities.log().flatten(1).numpy())
    crf.addPairwiseGaussian(sxy=smoothness.sigma_xy, compat=smoothness.weight)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    crf.addPairwiseBilateral(appearance.sigma_xy, appearance.sigma_rgb, pixels, compat=appearance.weight)
    return torch.from_numpy(np.array(crf.inference(iterations))).view(labels, height, width)


def timed(function, *arguments):
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("height", 360), ("width", 480), ("labels", 21), ("iterations", 10), ("runs", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    image, probabilities = case(options.labels, options.height, options.width)
    print(
        f"{options.width}x{options.height}, {options.labels} labels, {options.iterations} iterations, {options.runs} runs"
    )
    print("parameters     | C++ s | ours s | ratio | lattice kept s | ratio | mean difference | same label")
    for name, (appearance, smoothness) in PARAMETERS.items():
        crf = DenseCRF(appearance, smoothness, options.iterations)
        times = {"library": [], "ours": [], "kept": []}
        for run in range(options.runs + 1):
            build_kernel.cache_clear()
            theirs, expected = timed(run_library, image, probabilities, appearance, smoothness, options.iterations)
            ours, q = timed(crf, image, probabilities)
            kept, _ = timed(crf, image, probabilities)
            if run > 0:  # the first warms up
                for key, seconds in zip(times, (theirs, ours, kept)):
                    times[key].append(seconds)
        theirs, ours, kept = (statistics.median(seconds) for seconds in times.values())
        difference, same = (q - expected).abs().mean(), (q.argmax(0) == expected.argmax(0)).float().mean()
        print(
            f"{name:14} | {theirs:5.2f} | {ours:6.2f} | {ours / theirs:5.2f} | {kept:14.2f} | {kept / theirs:5.2f} "
            f"| {difference:15.1e} | {same:10.4%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
