"""Labels, random choices and shadows that all things of a Street scene share."""

from dataclasses import dataclass, field

from segbook.data.street.render import Stage

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, VOID = range(12)

# cos and sin of twelve directions: circles without calls into a mathematics library.
_H, _S = 0.5, 0.8660254037844386
CIRCLE = (
    (1, 0),
    (_S, _H),
    (_H, _S),
    (0, 1),
    (-_H, _S),
    (-_S, _H),
    (-1, 0),
    (-_S, -_H),
    (-_H, -_S),
    (0, -1),
    (_H, -_S),
    (_S, -_H),
)


class Draw:
    """Random choices from one stream of uniform numbers, so that they are the same on every machine."""

    def __init__(self, rng):
        self._rng, self._values = rng, []

    def __call__(self, low: float = 0.0, high: float = 1.0) -> float:
        if not self._values:
            self._values = self._rng.random(1024).tolist()
        return low + (high - low) * self._values.pop()

    def chance(self, probability: float) -> bool:
        return self() < probability

    def pick(self, options):
        return options[int(self() * len(options))]

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int(self() * (high - low + 1))

    def near(self, rgb, amount: float = 12.0):
        """A colour near `rgb`: a common change of brightness and a smaller one of hue."""
        r, g, b = rgb
        common, hue = self(-amount, amount), 0.4 * amount
        r, g, b = r + common + self(-hue, hue), g + common + self(-hue, hue), b + common + self(-hue, hue)
        return min(max(r, 4.0), 250.0), min(max(g, 4.0), 250.0), min(max(b, 4.0), 250.0)


def cast(stage: Stage, x: float, z: float, outline, darkness: int = 255) -> None:
    """Sun shadow of something upright and roughly round. outline: [(half width, height), …] from the foot up."""
    sx, sy, sz = stage.light.sun
    if not stage.light.shines:
        return
    length = (sx * sx + sz * sz) ** 0.5
    ax, az = -sz / length, sx / length
    left = [(x - h * sx / sy + r * ax, 0.0, z - h * sz / sy + r * az) for r, h in outline]
    right = [(x - h * sx / sy - r * ax, 0.0, z - h * sz / sy - r * az) for r, h in outline]
    stage.shadows.append((left + right[::-1], darkness))


def contact(stage: Stage, x: float, z: float, radius: float, darkness: int = 110) -> None:
    """The dim patch under anything that stands on the ground, in any light."""
    stage.shadows.append(([(x + radius * c, 0.0, z + radius * 0.8 * s) for c, s in CIRCLE], darkness))


@dataclass
class Plan:
    """The street's cross-section. Offsets are metres from the middle of the road; index 0 is left, 1 right."""

    style: str
    half: float
    pavement: tuple[float, float]
    bend: float
    end: float
    crossing: tuple[float, float] | None
    wall: tuple
    autumn: bool
    taken: list = field(default_factory=list)  # (x, z, radius) of everything solid on road and pavement

    def middle(self, z: float) -> float:
        return self.bend * z * z

    def tangent(self, z: float) -> tuple[float, float]:
        slope = 2 * self.bend * z
        length = (1 + slope * slope) ** 0.5
        return slope / length, 1 / length

    def edge(self, side: int) -> float:
        """From the middle to the house line."""
        return self.half + self.pavement[side > 0]

    def take(self, places, radius: float) -> bool:
        """Reserve the discs around some places for something solid; False if something else stands there."""
        for x, z in places:
            if any((x - a) ** 2 + (z - b) ** 2 < (radius + r) ** 2 for a, b, r in self.taken):
                return False
        self.taken.extend((x, z, radius) for x, z in places)
        return True
