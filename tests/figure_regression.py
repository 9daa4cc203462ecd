"""Do two renderings of a figure show the same thing? nbval does not compare images, so the tests use this."""

import base64
import io

import numpy as np
from PIL import Image

#: Side of the coarse image that is compared.
COARSE = 32
#: Largest allowed difference (see :func:`distance`), and the same for cells tagged ``figure-from-training``.
BOUND, BOUND_FROM_TRAINING = 0.10, 0.30
#: A figure with less than this share of the ink of its reference lost something; with more than its inverse, gained.
INK = 0.5


def decode(encoded: str) -> np.ndarray:
    """Decode a base64 PNG of a notebook into RGB, uint8 [H, W, 3], on white where it is transparent."""
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        image = image.convert("RGBA")
    page = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(page, image).convert("RGB"))


def ink(image: np.ndarray) -> float:
    """Share of the pixels of an RGB image [H, W, 3] that differ from its most common colour, in [0, 1]."""
    packed = image.astype(np.int64) @ np.array([65536, 256, 1])
    return 1.0 - np.unique(packed, return_counts=True)[1].max() / packed.size


def distance(stored: np.ndarray, new: np.ndarray) -> float:
    """Coarse perceptual distance of two RGB images, uint8 [H, W, 3]: 0 for equal, about 1 for nothing in common.

    Both are averaged down to 32×32 colours. The sum of their absolute differences is divided by how much each varies
    around its own mean colour, so that a line on white paper counts as much as a full photograph. Measured on drawn
    examples: 0.02 for predictions with 10 % other labels, 0.06 for a curve scaled by 5 %, 0.13 when one of three scenes is
    another, 0.2 when all predictions are wrong, 0.4 and more for another image, 0.5 for axes without their curve.
    """
    a, b = (
        np.asarray(Image.fromarray(p).resize((COARSE, COARSE), Image.Resampling.BOX), dtype=np.float64)
        for p in (stored, new)
    )
    variation = sum(np.abs(p - p.mean(axis=(0, 1))).sum() for p in (a, b))
    apart = np.abs(a - b).sum()
    return float(apart / variation) if variation else float(apart > 0)


def difference(stored: np.ndarray, new: np.ndarray, from_training: bool = False, chosen: bool = False) -> str | None:
    """Say in one sentence how a new figure differs from the stored one; None when both show the same.

    Arguments: two RGB images, uint8 [H, W, 3]; ``from_training`` allows what a net trained on another machine changes.
    ``chosen``: training decides which images are shown (the worst ones, say), or the clock where things stand, so that
    only size and ink compare.
    """
    (height, width), (new_height, new_width) = stored.shape[:2], new.shape[:2]
    slack = 0.10 if from_training else 0.02  # tick labels of another width move the edge of a tightly cut figure
    if abs(new_height - height) > max(4, slack * height) or abs(new_width - width) > max(4, slack * width):
        return f"its size is {new_width}×{new_height} pixels, stored {width}×{height}"
    stored_ink, new_ink = ink(stored), ink(new)
    if new_ink < INK * stored_ink or new_ink * INK > stored_ink:
        return f"{new_ink:.1%} of its pixels are drawn, stored {stored_ink:.1%}"
    if chosen:
        return None
    bound = BOUND_FROM_TRAINING if from_training else BOUND
    apart = distance(stored, new)
    if apart > bound:
        return f"it looks different: coarse distance {apart:.2f}, allowed {bound:.2f}"
    return None


def images(outputs) -> list[str]:
    """Return the base64 PNGs among a cell's outputs, in order."""
    return [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def compare_cell(stored_outputs, new_outputs, from_training: bool = False, chosen: bool = False) -> list[str]:
    """Say how the figures of a new run of a cell differ from the stored ones, one line each; empty when they do not."""
    stored, new = images(stored_outputs), images(new_outputs)
    if len(stored) != len(new):
        return [f"the cell draws {len(new)} figure(s), {len(stored)} are stored"]
    messages = []
    for number, (a, b) in enumerate(zip(stored, new), start=1):
        problem = difference(decode(a), decode(b), from_training, chosen)
        if problem:
            messages.append(f"figure {number}: {problem}")
    return messages
