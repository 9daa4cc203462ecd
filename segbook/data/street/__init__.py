"""Street: generated driving scenes with exact labels, the data set that the course trains on without any download.

A scene is drawn from one stream of random numbers seeded with (seed, split, index), so the same three give the same
image on every machine and the splits never meet. The image's size does not enter: a larger one shows the same scene
in more detail. Classes and their order are CamVid's eleven; label 11 is void. Vegetation of any height (grass, hedges)
is "tree", kerbs are "pavement", lane markings are "road", signal heads are "sign", buses and vans are "car", as in
CamVid's reduced set.
"""

from segbook.data.street.dataset import read
from segbook.data.street.scene import SMALLEST, SPLITS, Scene, scene

__all__ = ["SMALLEST", "SPLITS", "Scene", "read", "scene"]
