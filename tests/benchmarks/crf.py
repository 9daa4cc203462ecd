"""The fully connected CRF beside the authors' C++ code (package pydensecrf2): the same photograph and probabilities.

Both build their lattices in the time measured; "lattice of the size kept" is ours for the next image of the same size.
"""

import os
import time

import numpy as np
import torch
from measure import alone, compare, explain
from skimage import data
from torch.nn.functional import interpolate

from segbook.crf import Bilateral, DenseCRF, Gaussian, smoothness_kernel

HEIGHT, WIDTH, LABELS, ITERATIONS = 360, 480, 21, 10
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
    import pydensecrf.densecrf as library

    labels, height, width = probabilities.shape
    crf = library.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(-probabilities.log().flatten(1).numpy())
    crf.addPairwiseGaussian(sxy=smoothness.sigma_xy, compat=smoothness.weight)
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    crf.addPairwiseBilateral(appearance.sigma_xy, appearance.sigma_rgb, pixels, compat=appearance.weight)
    return torch.from_numpy(np.array(crf.inference(iterations))).view(labels, height, width)


def run(options) -> list:
    image, probabilities = case(LABELS, HEIGHT, WIDTH)
    other = image.flip(-1)
    threads = torch.get_num_threads()
    rows = []
    for name, (appearance, smoothness) in PARAMETERS.items():
        crf = DenseCRF(appearance, smoothness, ITERATIONS)
        expected = run_library(image, probabilities, appearance, smoothness, ITERATIONS)
        q = crf(image, probabilities)
        difference, same = (q - expected).abs().mean(), (q.argmax(0) == expected.argmax(0)).float().mean()
        assert difference < 1e-5 and same > 0.9999
        checked = f"mean difference {difference:.0e}, labels {100 * same:.2f} % equal"

        def ours(crf=crf):
            smoothness_kernel.cache_clear()
            crf(image, probabilities)

        def theirs(appearance=appearance, smoothness=smoothness):
            run_library(image, probabilities, appearance, smoothness, ITERATIONS)

        def build(crf=crf):
            smoothness_kernel.cache_clear()
            crf.kernels(image)

        def with_building(row, clock):
            if explain(row, ours).profile:
                building = alone("", build, runs=options.runs, clock=clock)
                row.profile += f"; of it both lattices are built in {building.ours:.2f} s"
            return row

        work = f"CRF {WIDTH}×{HEIGHT}, {LABELS} labels, {ITERATIONS} iterations, {name}"
        torch.set_num_threads(1)
        row = compare(f"{work}, CPU time, 1 thread", "C++", ours, theirs, runs=options.runs, goal=1.1, checked=checked)
        rows.append(with_building(row, time.process_time))
        if os.cpu_count() > 1:  # the library has one thread; ours may use two
            torch.set_num_threads(2)
            clock = time.perf_counter
            row = compare(
                f"{work}, wall time, 2 threads", "C++", ours, theirs, runs=options.runs, goal=1.8, clock=clock
            )
            rows.append(with_building(row, clock))

            def forget(crf=crf):  # the appearance lattice of this image, not the smoothness lattice of its size
                smoothness_kernel.cache_clear()
                crf.kernels(other)

            row = compare(
                f"{work}, wall time, 2 threads, lattice of the size kept",
                "C++", lambda crf=crf: crf(image, probabilities), theirs, runs=options.runs, clock=clock, before=forget,
            )  # fmt: skip
            rows.append(row)
        torch.set_num_threads(threads)
    return [row for row in rows if options.only in row.work]
