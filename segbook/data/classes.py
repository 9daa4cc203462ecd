"""The eleven classes of the driving data sets, and the colours that every figure of the course paints them with."""

import numpy as np

#: CamVid's eleven classes in the order of the SegNet split. Street uses the same.
DRIVING_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
#: Label of pixels that belong to no class; never trained on, never scored.
DRIVING_VOID = 11
#: uint8 [12, 3]: one RGB colour a class, the last for void. Chosen to suggest the class and to stay apart for everybody:
#: the closest pair is 14 CIEDE2000 units apart with full colour vision, and under protanopia, deuteranopia and tritanopia.
DRIVING_PALETTE = np.array(
    [
        (128, 204, 255), (106, 62, 74), (255, 255, 54), (116, 107, 122), (186, 166, 183), (73, 146, 112),
        (223, 133, 20), (183, 220, 171), (19, 55, 245), (200, 20, 10), (70, 0, 102), (0, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip
