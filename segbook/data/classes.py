"""The eleven classes of the driving data sets, and the colours that every figure of the course paints them with."""

import numpy as np

#: CamVid's eleven classes in the order of the SegNet split. Street uses the same.
DRIVING_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
#: Label of pixels that belong to no class; never trained on, never scored.
DRIVING_VOID = 11
#: uint8 [12, 3]: one RGB colour a class, the last for void.
DRIVING_PALETTE = np.array(
    [
        (158, 202, 225), (140, 109, 81), (255, 221, 0), (99, 99, 110), (214, 168, 205), (44, 120, 60),
        (240, 110, 20), (150, 220, 120), (20, 60, 180), (214, 20, 60), (120, 20, 120), (0, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip
