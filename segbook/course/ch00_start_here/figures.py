"""The live figure of chapter 00: what a net is certain of."""

import numpy as np

from segbook import plots


def certainty(dataset, index, probabilities, threshold):
    """Image, prediction and what is left of it above a certainty.

    ``probabilities`` float [K, H, W] of the image ``dataset[index]``; ``threshold`` in [0, 1]. Pixels whose largest
    probability is below the threshold are white on the right; the title says how accurate the rest is.
    """
    image, truth = dataset[index]
    best, labels = probabilities.max(dim=0)
    kept = best >= threshold
    scored = (truth != dataset.ignore_index) & kept
    accuracy = (labels == truth)[scored].float().mean().item() if scored.any() else float("nan")
    # The palette gets white as one more colour, for the pixels that are not certain enough.
    palette = np.vstack([dataset.palette, [(255, 255, 255)]]).astype(np.uint8)
    shown = labels.masked_fill(~kept, len(palette) - 1)

    fig = plots.figure(9.0, 3.0)
    left, middle, right = fig.subplots(1, 3)
    plots.image(left, image)
    left.set_title("image")
    plots.label_map(middle, labels, dataset.palette)
    middle.set_title("prediction")
    right.imshow(palette[shown.numpy()], interpolation="nearest")
    right.set_axis_off()
    certain = 100 * kept.float().mean().item()
    right.set_title(f"{certain:.0f} % kept, {100 * accuracy:.0f} % of it right" if scored.any() else "nothing kept")
    return fig
